"""Arrays as users have them: backwards, of another machine's byte order, of objects, of any integer."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.base.arrays import as_features, as_targets, as_tensor, check_labels, place_in_class
from rrahelpers.class_similarity import class_similarity
from rrahelpers.eigenspace import Covariance, eigenvalues, embed
from rrahelpers.features import extract
from rrahelpers.neighbors import knn_graph, pyramid_graphs
from rrahelpers.probes import fit_probe
from rrahelpers.separation import separation_index

LABELS = [2, 0, 1, 0, 2, 1]

INTEGERS = {
    "backwards": np.array(LABELS[::-1])[::-1],
    "every other": np.repeat(LABELS, 2)[::2],
    "big-endian": np.array(LABELS, ">i8"),
    "big-endian, backwards": np.array(LABELS[::-1], ">i2")[::-1],
    "objects": np.array(LABELS, object),
    "objects of numpy's": np.array([np.int16(label) for label in LABELS], object),
    "read-only": np.array(LABELS).view(),
    "tuple": tuple(LABELS), "numpy's in a list": list(np.array(LABELS)),
    "series": pd.Series(LABELS), "series of objects": pd.Series(LABELS, dtype=object),
    "series with a mask": pd.Series(LABELS, dtype="Int64"),
    **{kind: np.array(LABELS, kind) for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8")},
}
INTEGERS["read-only"].flags.writeable = False


@pytest.mark.parametrize("labels", INTEGERS.values(), ids=INTEGERS)
def test_labels_are_integers_however_they_lie(labels):
    found = check_labels(labels, 6)
    assert found.dtype == torch.int64 and found.tolist() == LABELS


@pytest.mark.parametrize("labels", [
    np.array(["cat"] * 6, object), np.array([0.5] * 6, object), np.array([None] * 6, object),
    np.array([[0], [1, 2]] * 3, object),
    np.array(LABELS, ">f4"), pd.Series([*LABELS[:5], None], dtype="Int64"),
])
def test_labels_that_are_none(labels):
    with pytest.raises(TypeError, match="labels must be integers, got"):
        check_labels(labels, 6)


def changed(x):
    """An array in three other layouts: backwards along every axis, big-endian, of objects."""
    flipped = tuple(slice(None, None, -1) for _ in x.shape)
    return {"backwards": x[flipped].copy()[flipped], "big-endian": x.astype(x.dtype.newbyteorder(">")),
            "objects": x.astype(object)}


X = np.random.default_rng(0).normal(size=(12, 4))
MAPS = np.random.default_rng(1).normal(size=(12, 4, 2, 2))
Y = np.arange(12) % 3


@pytest.mark.parametrize("layout", changed(X))
def test_every_measure_takes_features_and_labels_in_any_layout(layout):
    x, y, maps, matrix = (changed(a)[layout] for a in (X, Y, MAPS, np.cov(X.T)))
    graph = knn_graph(X, 3)
    assert torch.equal(knn_graph(x, 3).indices, graph.indices)
    assert torch.equal(pyramid_graphs(maps, ("global",), 3)["global"].indices,
                       pyramid_graphs(MAPS, ("global",), 3)["global"].indices)
    assert torch.equal(as_features(x), torch.tensor(X)) and torch.equal(as_targets(x, 12), torch.tensor(X))
    assert class_similarity(graph, y) == class_similarity(graph, Y)
    assert separation_index(graph, y) == separation_index(graph, Y)
    assert fit_probe(x, y, x, y).accuracy == fit_probe(X, Y, X, Y).accuracy
    found, expected = Covariance(4), Covariance(4)
    found.update(x), expected.update(X)
    assert torch.equal(found.matrix(), expected.matrix()) and torch.equal(embed(found, x), embed(expected, X))
    np.testing.assert_array_equal(eigenvalues(matrix), eigenvalues(np.cov(X.T)))
    network = nn.Conv2d(4, 2, 1)
    assert torch.equal(extract(network, maps, ["input"])["input"], torch.tensor(MAPS))


@pytest.mark.parametrize("x",
                         [np.array([["a"], ["b"]]), np.array([["a"], ["b"]], object), np.array([[1], [2, 3]], object)])
def test_arrays_of_other_things_are_refused(x):
    with pytest.raises(TypeError, match="expected real numbers, got an array of"):
        as_tensor(x)


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint16, torch.int8])
def test_images_of_whole_numbers_are_refused(kind):
    with pytest.raises(TypeError, match=rf"images as the model takes them, float \[N, C, H, W\], got {kind}"):
        extract(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.zeros(2, 3, 8, 8, dtype=kind), ["0"])
    with pytest.raises(TypeError, match=f"got {kind}"):
        extract(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.zeros(2, 3, 8, 8, dtype=kind).numpy(), ["0"])


@pytest.mark.parametrize("x, what", [
    (torch.zeros(4, 3, device="meta"), "numbers at hand, got a tensor on meta"),
    (torch.eye(4).to_sparse(), "numbers at hand, got a tensor of torch.sparse_coo"),
    (np.ma.masked_greater(np.eye(4), 0), "got an array with masked ones"),
])
def test_numbers_that_are_not_there_are_refused(x, what):
    for measure in (lambda x: knn_graph(x, 1), as_tensor, Covariance(x.shape[1]).update):
        with pytest.raises(TypeError, match=f"expected .*{what}"):
            measure(x)


def test_an_array_that_could_be_masked_but_is_not_is_one():
    assert as_tensor(np.ma.array(np.eye(4))).tolist() == torch.eye(4).tolist()


@pytest.mark.parametrize("labels, expected", [([], []), ([3, 3, 3], [0, 1, 2]),
                                              ([1, 0, 1, 1, 0, -2], [0, 0, 1, 2, 1, 0])])
def test_places_in_classes_whatever_their_order(labels, expected):
    assert place_in_class(torch.tensor(labels, dtype=torch.int64)).tolist() == expected
