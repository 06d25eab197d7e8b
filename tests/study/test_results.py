"""Measures of stored runs: computed once, kept beside the run, with the seed."""

import pandas as pd
import pytest
from torch import nn

from rrahelpers import data
from rrahelpers.base import files
from rrahelpers.class_similarity import scale_graphs
from rrahelpers.eigenspace import covariances, describe, saturation_by_delta
from rrahelpers.features import each_layer
from rrahelpers.neighbors import knn_graph
from rrahelpers.representational_response import across_scales, representational_response
from rrahelpers.separation import center_separation_index, separation_orders
from rrahelpers.study import grids, results
from rrahelpers.study.results import probe_table
from rrahelpers.training import train


@pytest.fixture
def run():
    return train(grids.recipe("digits", epochs=1, limit=64, options={"width": 0.25, "depth": 0.34}, seed=3))


def test_the_response_of_a_run_is_that_of_its_network_and_stored(run, monkeypatch):
    first = results.response(run, 40, 4, kernel_samples=20)
    test = data.load("digits", "test", limit=40)
    expected = representational_response(scale_graphs(run.model(), run.preprocess(test.images), k=4), test.labels)
    assert first.layers.value.to_numpy() == pytest.approx(expected.layers.value.to_numpy(), nan_ok=True)
    assert set(first.pairs.measure) == {"NNTS", "NNTP", "CKA"}
    assert all((getattr(first, name).seed == 3).all() for name in ("layers", "pairs", "flow", "scales"))
    monkeypatch.setattr(results.responses, "scale_graphs", lambda *a, **k: pytest.fail("computed again"))
    again = results.response(run, 40, 4, kernel_samples=20)
    for name in ("layers", "pairs", "flow", "scales"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name))


@pytest.mark.filterwarnings("ignore:left out pooling windows")
def test_layers_that_do_not_run_are_left_out_of_every_measure(run, monkeypatch):
    class WithAuxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.auxiliary, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 10), nn.Linear(4, 10)

        def forward(self, x):
            return self.fc(self.conv(x[:, :1]).mean((2, 3)))

    monkeypatch.setattr(type(run), "model", lambda self, device: WithAuxiliary().to(device))
    with pytest.warns(UserWarning, match=r"left out, .* auxiliary \(0 times\)"):
        found = results.response(run, 40, 4, kernel_samples=20)
    assert set(found.layers.layer) == {"input", "conv", "fc"} and (found.pairs.measure == "CKA").sum() == 9


def test_class_similarity_is_left_out_where_it_is_not_stored(run):
    assert results.class_similarity_table(run, 30, 3, compute=False) is None
    table = results.class_similarity_table(run, 30, 3)
    pd.testing.assert_frame_equal(results.class_similarity_table(run, 30, 3, compute=False), table)
    assert (table.seed == 3).all()


def test_class_similarity_of_both_splits_is_that_of_each(run):
    table = results.split_table([run], {"train": 40, "test": 30}, 3)
    assert table.images.unique().tolist() == ["train images", "test images"]
    for split, count in {"train": 40, "test": 30}.items():
        part = table[table.images == f"{split} images"].drop(columns="images").reset_index(drop=True)
        pd.testing.assert_frame_equal(part, results.class_similarity_table(run, count, 3, split=split, compute=False))


def test_operations_gains_and_dense_classifiers_are_stored_beside(run, monkeypatch):
    table = results.operation_table([run], 30, 3, ("average", "maximum"))
    by_average = results.class_similarity_table(run, 30, 3, compute=False)
    kept = table[table.operation == "average"].drop(columns="operation").reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, by_average)
    assert (table[table.operation == "maximum"].value.to_numpy() != by_average.value.to_numpy()).any()
    gain = results.class_similarity_gain([run], [run], 30, 3)
    assert len(gain) == len(by_average) and (gain.gain == 0).all()
    logistic, dense = (results.probe_table(run, 40, layers=["stem"], classifier=classifier)
                       for classifier in ("logistic", "dense"))
    assert "gap" in logistic and "gap" not in dense and 0 <= dense.value.item() <= 1
    monkeypatch.setattr(results.probes, "each_probe", lambda *_, **__: pytest.fail("fitted again"))
    assert results.probe_table(run, 40, layers=["stem"], classifier="dense", compute=False).equals(dense)


def test_what_covariances_say_of_a_run_is_stored(run, monkeypatch):
    images = run.preprocess(data.load("digits", "train", limit=50).images)
    found = covariances(run.model(), images)
    table = results.saturation_by_delta_table(run, 50, (0.9, 0.99))
    pd.testing.assert_frame_equal(table.drop(columns="seed"), saturation_by_delta(found, (0.9, 0.99)))
    filters = results.filters_table(run, 50, delta=0.9)
    kept = dict(zip(filters.layer, filters.keep))
    assert list(kept) == list(found)[:-1], "the classifier's outputs are the classes"
    assert kept == {layer: describe(found[layer], 0.9)["intrinsic_dimension"] for layer in kept}
    monkeypatch.setattr(results.eigenspaces, "covariances", lambda *_: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(results.saturation_by_delta_table(run, 50, (0.9, 0.99)), table)
    pd.testing.assert_frame_equal(results.filters_table(run, 50, delta=0.9, compute=False), filters)
    assert results.filters_table(run, 50, delta=0.8, compute=False) is None
    assert results.saturation_by_delta_table(run, 50, (0.8,), compute=False) is None


def test_neighbours_across_scales_are_stored(run, monkeypatch):
    images = run.preprocess(data.load("digits", "test", limit=40).images)
    expected = across_scales(scale_graphs(run.model(), images, scales=[1, "global"], k=4))
    assert results.symmetry_table(run, 40, 4, [1, "global"], compute=False) is None
    table = results.symmetry_table(run, 40, 4, [1, "global"])
    pd.testing.assert_frame_equal(table.drop(columns="seed"), expected)
    monkeypatch.setattr(results.responses, "scale_graphs", lambda *_, **__: pytest.fail("computed again"))
    pd.testing.assert_frame_equal(results.symmetry_table(run, 40, 4, [1, "global"]), table)


def test_separation_and_classification_rate_of_every_layer(run):
    table = results.separation_table(run, 60, 3)
    assert set(table.split) == {"train", "test"} and (table.seed == 3).all()
    images = data.load("digits", "test", limit=60)
    features = dict(each_layer(run.model(), run.preprocess(images.images), ["stem"]))["stem"]
    stem = table[(table.split == "test") & (table.layer == "stem")].set_index(["measure", "order"]).value
    graph = knn_graph(features, 3)
    orders = [stem["separation index", order] for order in (1, 2, 3)]
    assert orders == pytest.approx(separation_orders(graph, images.labels))
    assert stem["centre-based index", 1] == pytest.approx(center_separation_index(features, images.labels))
    assert stem["correct classification rate", 1] == probe_table(run, 60).set_index("layer").value["stem"]


def test_probes_that_cannot_be_stored_are_not_lost(run, monkeypatch):
    choice = {"layers": ["stages.0.0", "stages.2.0"], "sizes": (1,)}

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="cannot write .*No space left on device"):
        patch.setattr(files.os, "replace", full_disk)
        unstored = probe_table(run, 40, **choice)
    assert not list(run.folder.glob("results/probes-*.csv"))
    again = probe_table(run, 40, **choice)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), unstored.drop(columns="seconds"), rtol=1e-6)
