"""Class similarity against cases worked by hand, scikit-learn, and its bounds."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors
from torch import nn
from torch.nn.functional import avg_pool1d, avg_pool2d

from rrahelpers import models
from rrahelpers.class_similarity import chance_similarity, class_similarity, classrepsim, scale_graphs
from rrahelpers.neighbors import KNNGraph, knn_graph, pyramid_graphs


def test_a_case_worked_by_hand():
    # on a line: 0 and 1 are neighbours of one class, 3 and 4 too, 2 of the first class lies between
    graph = knn_graph(torch.tensor([[0.0], [1.0], [2.1], [3.0], [4.0]]), 1)
    assert graph.indices.flatten().tolist() == [1, 0, 3, 2, 3]
    assert class_similarity(graph, torch.tensor([0, 0, 0, 1, 1])) == pytest.approx(3 / 5)


LINE = knn_graph(torch.tensor([[0.0], [1.0], [2.1], [3.0], [4.0], [9.0]]), 3)
ODD = torch.tensor([0, 0, 0, 0, 1, 1])


def test_unbalanced_classes_worked_by_hand():
    assert LINE.indices.tolist() == [[1, 2, 3], [0, 2, 3], [3, 1, 4], [2, 4, 1], [3, 2, 1], [4, 3, 2]]
    shares = [1, 1, 2 / 3, 2 / 3, 0, 1 / 3]
    assert class_similarity(LINE, ODD) == pytest.approx(sum(shares) / 6)
    assert class_similarity(LINE, ODD, balanced=True) == pytest.approx((sum(shares[:4]) / 4 + sum(shares[4:]) / 2) / 2)
    # half a class: two neighbours of the first four samples, one of the last two
    assert class_similarity(LINE, ODD, class_fraction=0.5) == pytest.approx((1 + 1 + 1 + 1 / 2 + 0 + 1) / 6)
    assert class_similarity(LINE, ODD, class_fraction=0.5, balanced=True) == pytest.approx((3.5 / 4 + 1 / 2) / 2)
    assert chance_similarity(ODD) == pytest.approx((4 * 3 + 2 * 1) / (6 * 5))
    assert chance_similarity(ODD, balanced=True) == pytest.approx((3 / 5 + 1 / 5) / 2)
    assert np.isnan(chance_similarity([3]))


def test_balanced_classes_need_no_weights_and_labels_may_be_any_numbers():
    graph, labels = knn_graph(torch.randn(40, 3), 10), torch.arange(40) % 4
    plain = class_similarity(graph, labels)
    assert class_similarity(graph, 1000 * labels - 7, balanced=True) == pytest.approx(plain)
    assert class_similarity(graph, labels, class_fraction=1) == pytest.approx(plain)


@pytest.mark.parametrize("balanced", [False, True])
def test_features_that_know_nothing_are_at_the_level_of_chance(balanced):
    labels, generator = torch.arange(300) // 200 + (torch.arange(300) >= 290).long(), torch.Generator().manual_seed(0)
    found = [class_similarity(knn_graph(torch.randn(300, 4, generator=generator), 10), labels, balanced=balanced)
             for _ in range(20)]
    assert chance_similarity(labels, balanced=balanced) == pytest.approx(np.mean(found), abs=0.01)


@pytest.mark.parametrize("fraction, message", [(0, "to 1, got 0"), (1.5, "got 1.5"), (1.0, "of 4 neighbours .* k=3")])
def test_impossible_class_fractions(fraction, message):
    with pytest.raises(ValueError, match=message):
        class_similarity(LINE, ODD, class_fraction=fraction)


def test_unbalanced_classes_as_dadapy_weighs_them():
    dadapy = pytest.importorskip("dadapy", exc_type=ImportError)  # builds that don't fit numpy too
    x, labels = np.random.default_rng(0).normal(size=(90, 3)), np.repeat([0, 1, 2], [60, 20, 10])
    x += labels[:, None]
    found = dadapy.MetricComparisons(x, maxk=30)
    for fraction in (0.2, 0.5):
        for balanced in (True, False):
            expected = found.return_label_overlap(labels, class_fraction=fraction, weighted=balanced)
            assert class_similarity(knn_graph(x, 30), labels, class_fraction=fraction,
                                    balanced=balanced) == pytest.approx(expected)


def test_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    x, labels = generator.normal(size=(200, 5)), generator.integers(0, 4, 200)
    _, indices = NearestNeighbors(n_neighbors=8).fit(x).kneighbors()
    expected = (labels[indices] == labels[:, None]).mean()
    assert class_similarity(knn_graph(torch.tensor(x), 7 + 1), labels) == pytest.approx(expected)


def test_one_class_gives_1_and_no_shared_class_gives_0():
    graph = knn_graph(torch.randn(6, 2), 2)
    assert class_similarity(graph, torch.zeros(6, dtype=torch.int64)) == 1
    assert class_similarity(graph, torch.arange(6)) == 0


def test_labels_of_wrong_length_or_type_are_refused():
    graph = knn_graph(torch.randn(6, 2), 2)
    with pytest.raises(ValueError, match=r"6 samples.*\(5,\)"):
        class_similarity(graph, torch.zeros(5, dtype=torch.int64))
    with pytest.raises(TypeError, match="integers, got torch.float32"):
        class_similarity(graph, torch.zeros(6))


def test_classrepsim_equals_algorithm_1_written_out():
    torch.manual_seed(0)
    model, images, labels = models.build("resnet20", width=0.5), torch.randn(24, 3, 32, 32), torch.arange(24) % 3
    table = classrepsim(model, images, labels, layers=["input", "stages.1.0", "fc"], k=4, progress=False)
    assert list(table.columns) == ["layer", "index", "scale", "side", "value"]
    assert len(table) == 3 * 5

    model.eval()
    with torch.no_grad():
        features = model.stem(images)
        features = model.stages[1][0](model.stages[0](features))
    for scale, side in ((1, 16), (2, 8), (4, 4), (8, 2), ("global", 1)):
        window = 16 if scale == "global" else scale
        flat = avg_pool2d(features, window).flatten(1).double().numpy()
        _, indices = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(flat).kneighbors()
        row = table[(table.layer == "stages.1.0") & (table.scale == str(scale))].iloc[0]
        assert row.side == side
        assert row["index"] == 1
        assert row.value == pytest.approx((labels.numpy()[indices] == labels.numpy()[:, None]).mean())


def test_a_window_larger_than_the_map_is_the_whole_map():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=8))
    graphs = {g.scale: g for g in scale_graphs(model, torch.randn(20, 3, 32, 32), layers=["0"], k=3, progress=False)}
    assert graphs[8].side == graphs["global"].side == 1
    assert torch.equal(graphs[8].graph.indices, graphs["global"].graph.indices)
    assert not torch.equal(graphs[1].graph.indices, graphs["global"].graph.indices)


def test_the_first_columns_of_a_graph_are_the_smaller_graph():
    x = torch.randn(50, 3)
    large, small = knn_graph(x, 9), knn_graph(x, 4)
    assert torch.equal(KNNGraph(large.indices[:, :4], large.distances[:, :4]).indices, small.indices)


def test_bad_input_is_refused_before_the_forward_pass():
    model = models.build("resnet20", width=0.5)
    model.register_forward_hook(lambda *_: pytest.fail("the model ran"))
    images, labels = torch.randn(5, 3, 32, 32), torch.zeros(5, dtype=torch.int64)
    with pytest.raises(ValueError, match="k must be between 1 and .*4.*got 5"):
        classrepsim(model, images, labels, k=5)
    with pytest.raises(ValueError, match="5 samples"):
        classrepsim(model, images, labels[:3], k=2)


def test_features_that_are_not_finite_name_their_layer():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Flatten())
    with torch.no_grad():
        network[1].weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="layer '1': expected finite features"):
        classrepsim(network, torch.randn(6, 1, 12, 12), [0, 1] * 3, layers=["0", "1"], scales=(1,), k=2, progress=False)


def test_windows_that_do_not_divide_a_map_are_found_before_the_first_layer_is_done():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, stride=2), nn.Flatten())
    images = torch.randn(6, 1, 14, 14)
    with pytest.raises(ValueError, match=r"don't divide the map, by layer: 0 \(12 x 12\): 8; 1 \(5 x 5\): 4"):
        next(scale_graphs(network, images, layers=["0", "1"], scales=(1, 4, 8), k=2))
    with pytest.warns(UserWarning, match=r"left out pooling windows .* 0 \(12 x 12\): 8; 1 \(5 x 5\): 2, 4"):
        table = classrepsim(network, images, [0, 1] * 3, layers=["0", "1"], k=2, progress=False)
    assert table.groupby("layer").scale.agg(list).tolist() == [["1", "2", "4", "global"], ["1", "8", "global"]]


def test_many_layers_of_one_size_are_told_once():
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(30)), nn.Conv2d(1, 1, 2, stride=2))
    with pytest.warns(UserWarning, match=r"by layer: input and 30 more \(12 x 12\): 8; 30 \(6 x 6\): 4$"):
        classrepsim(model, torch.randn(5, 1, 12, 12), torch.arange(5), k=2, progress=False)


def test_maps_that_are_not_square():
    torch.manual_seed(0)
    network, labels = nn.Sequential(nn.Identity(), nn.Flatten()), [0, 1] * 4
    images = torch.randn(8, 2, 4, 8)
    graphs = {g.scale: g for g in scale_graphs(network, images, layers=["0"], scales=(4, 8), k=3, progress=False)}
    for scale, window in ((4, 4), (8, (4, 8))):  # as large as the longer side: the whole map
        x = torch.nn.functional.avg_pool2d(images, window).flatten(1)
        assert torch.equal(graphs[scale].graph.indices, knn_graph(x, 3).indices)
    with pytest.raises(ValueError, match=r"0 \(4 x 8\): 3"):
        next(scale_graphs(network, images, layers=["0"], scales=(3,), k=3))
    with pytest.raises(ValueError, match=r"0 \(4 x 6\): 4"):  # divides one side alone
        classrepsim(network, images[..., :6], labels, layers=["0"], scales=(4,), k=3, progress=False)


def test_a_sequence_is_pooled_along_its_length():
    torch.manual_seed(0)
    network, signals = nn.Sequential(nn.Conv1d(3, 4, 1), nn.ReLU()), torch.randn(12, 3, 8)
    with torch.no_grad():
        x = network(signals)
    for graph in scale_graphs(network, signals, layers=["1"], k=3, progress=False):
        window = 8 if graph.scale == "global" else graph.scale
        assert graph.side == 8 // window
        assert torch.equal(graph.graph.indices, knn_graph(avg_pool1d(x, window).flatten(1), 3).indices)


def test_volumes_are_refused():
    with pytest.raises(ValueError, match=r"layer '0' has maps of three dimensions, \(4, 4, 4\) places"):
        next(scale_graphs(nn.Sequential(nn.Conv3d(1, 2, 1)), torch.randn(6, 1, 4, 4, 4), layers=["0"], k=2,
                          progress=False))


@pytest.mark.parametrize("scales, message",
                         [(("gloabl",), "got .'gloabl'."), ((0,), "got .0."), ((1.5,), "got .1.5."), ((), "one scale")])
def test_impossible_scales(scales, message):
    with pytest.raises(ValueError, match=message):
        next(scale_graphs(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.randn(6, 1, 9, 9), scales=scales, k=2))


def test_labels_that_are_no_numbers():
    with pytest.raises(TypeError, match="labels must be integers, got"):
        classrepsim(nn.Conv2d(1, 2, 3), torch.randn(2, 1, 9, 9), ["cat", "dog"], k=1)


@pytest.mark.parametrize("operation, by_hand", [
    ("average", lambda blocks: blocks.mean((3, 5))), ("maximum", lambda blocks: blocks.max(5).max(3)),
    ("nearest", lambda blocks: blocks[:, :, :, 0, :, 0]), ("bilinear", lambda blocks: blocks.mean((3, 5)))])
def test_the_operation_that_makes_maps_smaller(operation, by_hand):
    """Bilinear interpolation to a half is the mean of four places; to a quarter, that of the four in the middle."""
    maps = np.random.default_rng(0).normal(size=(60, 3, 8, 4))
    graphs = pyramid_graphs(maps, (1, 2, 4, "global"), k=5, operation=operation)
    wanted = {1: maps, 2: by_hand(maps.reshape(60, 3, 4, 2, 2, 2))}
    wanted[4] = by_hand((maps[:, :, [1, 2, 5, 6]][:, :, :, [1, 2]] if operation == "bilinear" else maps).reshape(
        60, 3, 2, *([2, 1, 2] if operation == "bilinear" else [4, 1, 4])))
    for scale, x in wanted.items():
        x = x.reshape(60, -1)
        distances = np.linalg.norm(x[:, None] - x, axis=2)
        np.fill_diagonal(distances, np.inf)
        assert graphs[scale].indices.tolist() == distances.argsort(1, kind="stable")[:, :5].tolist()
        np.testing.assert_allclose(graphs[scale].distances, np.sort(distances, 1)[:, :5], rtol=1e-5)
    assert list(graphs) == [1, 2, 4, "global"]


def test_operations_of_a_network_and_of_sequences():
    model, x, y = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 3)), torch.rand(
        50, 1, 4, 4), torch.arange(50) % 3
    table = classrepsim(model, x, y, scales=(1, 2, "global"), k=5, operation="maximum", progress=False)
    with torch.no_grad():
        pooled = F.max_pool2d(model[0](x), 2)
    row = table[(table.layer == "0") & (table.scale == "2")]
    assert row.value.tolist() == [class_similarity(knn_graph(pooled, 5), y)]
    by_average = classrepsim(model, x, y, scales=(1, 2, "global"), k=5, progress=False)
    assert table[table.scale == "1"].equals(by_average[by_average.scale == "1"])
    sequence = torch.rand(30, 2, 6)
    found = pyramid_graphs(sequence, (3,), k=4, operation="maximum")[3]
    assert found.indices.equal(knn_graph(F.max_pool1d(sequence, 3), 4).indices)
    for call in (lambda: pyramid_graphs(x, operation="sum"), lambda: classrepsim(model, x, y, operation="sum")):
        with pytest.raises(ValueError, match="unknown operation 'sum'; expected one of"):
            call()
