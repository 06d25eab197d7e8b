"""The one call gives what the measures give one by one."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers.class_similarity import LayerGraph, class_similarity, scale_graphs
from rrahelpers.features import each_layer
from rrahelpers.intrinsic_dimension import two_nn
from rrahelpers.neighbors import knn_graph, pyramid_graphs
from rrahelpers.representational_response import (
    across_scales,
    embedding_sizes,
    representational_response,
    scale_symmetry,
)
from rrahelpers.separation import separation_index
from rrahelpers.similarity import linear_cka
from rrahelpers.topology import births_and_deaths, nntp, nnts

LAYERS, SCALES = ["input", "0", "2", "5"], (1, 2, "global")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1),
                          nn.Flatten(), nn.Linear(4, 3))
    images, labels = torch.randn(60, 3, 8, 8), torch.arange(60) % 3
    return model, images, labels, list(scale_graphs(model, images, layers=LAYERS, scales=SCALES, k=4, progress=False))


def test_every_measure_of_every_layer_and_scale(network):
    _, _, labels, graphs = network
    table = representational_response(iter(graphs), labels).layers
    assert list(table.columns) == ["layer", "index", "scale", "side", "measure", "neighbours", "value"]
    assert len(table) == 4 * 3 * (1 + 4 + 4)
    values = table.set_index(["layer", "scale", "measure", "neighbours"]).value.sort_index()
    for g in graphs:
        of = values[g.layer, str(g.scale)]
        assert of["class similarity", 4] == class_similarity(g.graph, labels)
        for order in range(1, 5):
            assert of["separation index", order] == pytest.approx(separation_index(g.graph, labels, order))
        assert of["intrinsic dimension", 2] == two_nn(g.graph).dimension
        assert (of["dimension low", 2], of["dimension high", 2]) == (two_nn(g.graph).low, two_nn(g.graph).high)
        assert of["dimension low", 2] < of["intrinsic dimension", 2] < of["dimension high", 2]
        assert of["duplicates", 1] == 0


def test_pairs_and_flow(network):
    model, images, labels, graphs = network
    response = representational_response(graphs, labels, features=each_layer(model, images[:40], LAYERS))
    pairs = response.pairs.set_index(["scale", "measure", "i", "j"]).value.sort_index()
    for scale in SCALES:
        chain = [g.graph for g in graphs if g.scale == scale]
        assert pairs[str(scale), "NNTS", 1, 3] == nnts(chain[1], chain[3]) == pairs[str(scale), "NNTS", 3, 1]
        assert pairs[str(scale), "NNTP"].to_dict() == nntp(chain).set_index(["i", "j"]).value.to_dict()
        flow = response.flow[response.flow.scale == str(scale)].drop(columns="scale").reset_index(drop=True)
        assert flow.equals(births_and_deaths(chain, labels))
    found = dict(each_layer(model, images[:40], LAYERS))
    assert pairs["1", "CKA", 0, 2] == pytest.approx(linear_cka(found["input"], found["2"]), rel=1e-4)
    assert len(pairs) == 3 * (16 + 10) + 16
    scales = response.scales.set_index(["index", "a", "b"]).value
    graph = {(g.index, str(g.scale)): g.graph for g in graphs}
    assert len(scales) == 4 * 3 and scales[2, "1", "global"] == nnts(graph[2, "1"], graph[2, "global"])
    assert scales[3, "1", "2"] == 1  # the logits have no extent to pool


def test_layers_keep_their_index_and_a_dead_layer_loses_nothing(network):
    _, _, labels, graphs = network
    from dataclasses import replace

    from rrahelpers.neighbors import knn_graph

    some = [replace(g, index=10 * g.index) for g in graphs if g.scale == 1 and g.index != 1]
    some[1] = replace(some[1], graph=knn_graph(torch.zeros(60, 2), 4))
    response = representational_response(some[::-1], labels)
    assert set(response.pairs.i) == set(response.pairs.j) == {0, 20, 30}
    assert set(zip(response.flow.i, response.flow.j)) == {(0, 20), (20, 30)}
    dead = response.layers[response.layers["index"] == 20].set_index("measure").value
    assert dead["duplicates"] == 60 and dead["intrinsic dimension"] != dead["intrinsic dimension"]


def test_a_scale_that_fits_one_layer_alone_has_no_flow(network):
    _, _, labels, graphs = network
    some = [g for g in graphs if g.scale == 1 or g.layer == "5"]
    response = representational_response(some, labels)
    assert set(response.flow.scale) == {"1"}
    assert set(response.layers.scale) == set(response.pairs.scale) == {"1", "2", "global"}


def test_bad_input(network):
    model, images, labels, graphs = network
    with pytest.raises(ValueError, match="at least two layers at one scale, got 0 in all"):
        representational_response([], labels)
    with pytest.raises(ValueError, match="at least two layers at one scale, got 1 in all"):
        representational_response(graphs[:1], labels)
    with pytest.raises(ValueError, match=r"60 samples.*\(59,\)"):
        representational_response(graphs, labels[:59])
    with pytest.raises(ValueError, match="layer '1' has features but no graph; expected some of: input, 0, 2, 5"):
        representational_response(graphs, labels, features=each_layer(model, images, ["1"]))


def chain(n=40, layers=3):
    torch.manual_seed(0)
    maps = [torch.rand(n, 2, 4, 4) for _ in range(layers)]
    return maps, [LayerGraph(str(i), i, scale, 4, graph) for i, x in enumerate(maps)
                  for scale, graph in pyramid_graphs(x, (1, 2, "global"), k=5).items()]


def test_layers_at_all_scales_are_compared():
    maps, graphs = chain()
    table = across_scales(graphs)
    assert len(table) == 81
    by_hand = nnts(knn_graph(maps[0], 5), knn_graph(F.avg_pool2d(maps[2], 2), 5))
    both = [table.query("i == @i and a == @a and j == @j and b == @b").value.item()
            for i, a, j, b in ((0, "1", 2, "2"), (2, "2", 0, "1"))]
    assert both == pytest.approx([by_hand, by_hand])
    assert (table[(table.i == table.j) & (table.a == table.b)].value == 1).all()
    symmetry = scale_symmetry(table).set_index(["a", "b"])
    value = lambda i, a, j, b: table.query("i == @i and a == @a and j == @j and b == @b").value.item()
    differences = [value(i, "1", j, "2") - value(i, "2", j, "1") for i, j in ((0, 1), (0, 2), (1, 2))]
    found = symmetry.loc["1", "2"]
    assert found.layers == 3 and found.difference == pytest.approx(np.mean(differences))
    assert found.asymmetry == pytest.approx(np.mean(np.abs(differences)))
    assert found.same == pytest.approx(np.mean([value(i, "1", i, "2") for i in range(3)]))


def test_a_network_of_one_map_is_symmetric():
    _, graphs = chain(layers=1)
    same = [LayerGraph(str(i), i, g.scale, g.side, g.graph) for i in range(3) for g in graphs]
    assert scale_symmetry(across_scales(same)).asymmetry.tolist() == [0, 0, 0]
    assert scale_symmetry(across_scales(graphs)).asymmetry.isna().all()  # one layer is no pair


def test_embedding_sizes():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    table = embedding_sizes(model, torch.rand(5, 1, 8, 8), layers=["0", "2", "4"])
    assert table.layer.tolist() == ["input", "0", "2", "4"] and table["values"].tolist() == [64, 512, 128, 10]
    assert table.times.tolist() == [1, 8, 2, 10 / 64]
