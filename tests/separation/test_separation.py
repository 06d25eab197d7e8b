"""Separation and smoothness indices against cases worked by hand, scikit-learn, and loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from rrahelpers.class_similarity import class_similarity
from rrahelpers.neighbors import KNNGraph, knn_graph
from rrahelpers.separation import (
    center_separation_by_class,
    center_separation_index,
    confidence,
    separation_by_class,
    separation_index,
    separation_orders,
    smoothness_index,
    smoothness_orders,
)

LINE = torch.tensor([[0.0], [1.0], [2.1], [3.0], [7.0]])  # nearest neighbours 1 0 3 2 3, the second ones 2 2 1 1 2
LABELS = torch.tensor([0, 0, 0, 1, 1])


def clusters(n=120, classes=3, spread=0.6):
    labels = torch.arange(n) % classes
    return torch.randn(n, 5) * spread + torch.randn(classes, 5)[labels], labels


def test_cases_worked_by_hand():
    graph = knn_graph(LINE, 2)
    assert separation_index(graph, LABELS) == pytest.approx(3 / 5)  # all but 2.1 and 3.0
    assert separation_index(graph, LABELS, 2) == pytest.approx(2 / 5)
    assert separation_index(graph, LABELS, 2, soft=True) == pytest.approx((1 + 1 + 1 / 2 + 0 + 1 / 2) / 5)
    assert separation_orders(graph, LABELS) == pytest.approx([3 / 5, 2 / 5])
    table = separation_by_class(graph, LABELS)
    assert table.to_dict("list") == {"class": [0, 1], "samples": [3, 2], "value": [pytest.approx(2 / 3), 0.5]}
    # centres 1.0333 and 5: 3.0 is nearer to the first
    assert center_separation_index(LINE, LABELS) == pytest.approx(4 / 5)
    assert center_separation_by_class(LINE, LABELS).value.tolist() == [1, 0.5]


def test_order_1_is_the_class_similarity_of_one_neighbour_and_soft_that_of_several():
    x, labels = clusters()
    graph = knn_graph(x, 6)
    one = KNNGraph(graph.indices[:, :1], graph.distances[:, :1])
    assert separation_index(graph, labels) == class_similarity(one, labels)
    assert separation_index(graph, labels, 6, soft=True) == pytest.approx(class_similarity(graph, labels))


def test_agrees_with_scikit_learn():
    x, labels = (part.numpy() for part in clusters())
    kept_out = [KNeighborsClassifier(1).fit(np.delete(x, i, 0), np.delete(labels, i)).predict(x[i:i + 1])[0]
                for i in range(len(x))]
    assert separation_index(knn_graph(x, 1), labels) == pytest.approx(np.mean(np.array(kept_out) == labels))
    centres = NearestCentroid().fit(x, labels)
    assert center_separation_index(x, labels) == pytest.approx(centres.score(x, labels))


def test_orders():
    x, labels = clusters()
    graph = knn_graph(x, 8)
    orders = separation_orders(graph, labels)
    assert orders == pytest.approx([separation_index(graph, labels, r) for r in range(1, 9)])
    assert all(a >= b for a, b in zip(orders, orders[1:])) and 0 < orders[-1] < orders[0] < 1


def test_the_mean_over_classes_weighted_by_their_size_is_the_index():
    x, labels = clusters()
    labels = torch.where(torch.rand(120) < 0.3, 7, labels)  # classes 0, 1, 2 and 7, of different size
    graph = knn_graph(x, 3)
    for table, value in ((separation_by_class(graph, labels, 2), separation_index(graph, labels, 2)),
                         (center_separation_by_class(x, labels), center_separation_index(x, labels))):
        assert table["class"].tolist() == [0, 1, 2, 7]
        assert np.average(table.value, weights=table.samples) == pytest.approx(value)


def test_rotation_and_scaling_change_nothing():
    x, labels = clusters()
    x = x.double()
    targets = x[:, 0].sin()
    turned = 1e3 * x @ torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q - 5
    a, b = knn_graph(x, 4), knn_graph(turned, 4)
    assert separation_orders(a, labels) == separation_orders(b, labels)
    assert center_separation_index(x, labels) == center_separation_index(turned, labels)
    assert smoothness_index(a, targets) == pytest.approx(smoothness_index(b, -9 * targets + 3))


def test_one_class_and_twins_with_different_labels():
    x = torch.randn(20, 3)
    one = torch.full((20,), 4)
    assert separation_orders(knn_graph(x, 5), one) == [1] * 5
    assert center_separation_index(x, one) == 1
    twins = knn_graph(x.repeat(2, 1), 1)
    assert separation_index(twins, torch.arange(40) // 20) == 0
    assert center_separation_index(x.repeat(2, 1), torch.arange(40) // 20) == 0.5  # a tie: the lower class


def smoothness_written_out(x, y):
    values = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        gaps = {j: np.linalg.norm(y[i] - y[j]) for j in others}
        nearest = min(others, key=lambda j: np.linalg.norm(x[i] - x[j]))
        values.append((max(gaps.values()) - gaps[nearest]) / (max(gaps.values()) - min(gaps.values())))
    return np.mean(values)


def test_smoothness():
    # nearest 1 0 3 2 3; targets 0 4 2 3 10: gaps 4 4 1 1 7, nearest 2 1 1 1 6, farthest 10 6 8 7 10
    targets = torch.tensor([0.0, 4, 2, 3, 10])
    assert smoothness_index(knn_graph(LINE, 1), targets) == pytest.approx((6 / 8 + 2 / 5 + 1 + 1 + 3 / 4) / 5)
    x, y = np.random.randn(60, 3), np.random.randn(60, 2)
    assert smoothness_index(knn_graph(x, 2), y) == pytest.approx(smoothness_written_out(x, y))
    line = torch.rand(50, 1)
    assert smoothness_index(knn_graph(line, 1), 5 - 2 * line[:, 0]) == pytest.approx(1)
    assert smoothness_index(knn_graph(line, 1), torch.rand(50)) < 0.9
    assert smoothness_index(knn_graph(line, 1), torch.full((50,), 3.0)) == 1  # all targets are equally far


def test_confidence_is_the_index_of_the_targets_kind():
    x, labels = clusters()
    graph = knn_graph(x, 3)
    assert confidence(graph, labels) == separation_index(graph, labels)
    assert confidence(graph, x[:, :2]) == smoothness_index(graph, x[:, :2])


def test_labels_and_orders_of_other_libraries():
    x, labels = clusters()
    # a part of a longer table
    graph, rows = knn_graph(x, 3), pd.Series(labels.tolist(), index=range(7, 7 + len(labels)))
    assert separation_index(graph, rows, np.int64(2)) == separation_index(graph, labels, 2)
    assert confidence(graph, rows) == confidence(graph, labels)
    assert separation_by_class(graph, rows).value.tolist() == separation_by_class(graph, labels).value.tolist()
    assert smoothness_index(graph, rows.astype(float)) == smoothness_index(graph, labels.double())


@pytest.mark.parametrize("call, error, message", [
    (lambda g, x: separation_index(g, torch.zeros(4, dtype=torch.int64)), ValueError, r"5 samples.*\(4,\)"),
    (lambda g, x: separation_index(g, torch.zeros(5)), TypeError, "integers, got torch.float32"),
    (lambda g, x: separation_index(g, LABELS, 3), ValueError, "from 1 to 2 .* got 3"),
    (lambda g, x: separation_index(g, LABELS, 0), ValueError, "got 0"),
    (lambda g, x: separation_index(g, LABELS, 1.5), ValueError, "got 1.5"),
    (lambda g, x: separation_index(g, LABELS, True), ValueError, "got True"),
    (lambda g, x: center_separation_index(x * torch.nan, LABELS), ValueError, "5 NaN"),
    (lambda g, x: center_separation_index(x, LABELS[:4]), ValueError, r"5 samples.*\(4,\)"),
    (lambda g, x: smoothness_index(g, LABELS), TypeError, "floating point.*torch.int64"),
    (lambda g, x: smoothness_index(g, torch.rand(4)), ValueError, r"\[5\].*\(4,\)"),
    (lambda g, x: smoothness_index(g, torch.rand(5, 1, 1)), ValueError, r"\(5, 1, 1\)"),
    (lambda g, x: smoothness_index(g, torch.full((5,), torch.inf)), ValueError, "5 NaN or infinite"),
    (lambda g, x: confidence(g, torch.rand(4)), ValueError, r"\(4,\)"),
    (lambda g, x: confidence(g, list("abcde")), TypeError,
     r"labels \(integers\) or targets \(real numbers\), got \['a'"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(knn_graph(LINE, 2), LINE)


def smoothness_by_loops(x, y, order, soft=False):
    """Kalhor's high and soft order, written out for each sample and neighbour."""
    n, total = len(x), 0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        by_place = sorted(others, key=lambda j: (np.linalg.norm(x[i] - x[j]), j))
        gaps = sorted(np.linalg.norm(y[i] - y[j]) for j in others)
        scores = [min(1, (gaps[-1] - np.linalg.norm(y[i] - y[by_place[r]])) / (gaps[-1] - gaps[r]))
                  for r in range(order)]
        total += np.mean(scores) if soft else min(scores)
    return total / n


@pytest.mark.parametrize("order", [1, 3, 6])
def test_smoothness_of_higher_order(order):
    draw = np.random.default_rng(order)
    x, y = draw.normal(size=(40, 3)), draw.normal(size=(40, 2))
    y[:20] = x[:20, :2]
    graph = knn_graph(x, 6)
    for soft in (False, True):
        assert smoothness_index(graph, y, order, soft=soft) == pytest.approx(smoothness_by_loops(x, y, order, soft))
    assert smoothness_orders(graph, y)[order - 1] == pytest.approx(smoothness_by_loops(x, y, order))
    assert smoothness_index(graph, y) == pytest.approx(confidence(graph, y))


def test_places_on_a_line_are_smooth_to_every_order():
    x = torch.rand(50, 1, dtype=torch.float64)
    assert smoothness_orders(knn_graph(x, 20), 3 * x - 1) == [1] * 20
    values = smoothness_orders(knn_graph(x, 20), x + 0.01 * torch.randn(50, 1, dtype=torch.float64))
    assert values == sorted(values, reverse=True) and values[-1] < values[0] < 1
    assert smoothness_orders(knn_graph(x, 3), torch.ones(50)) == [1, 1, 1]  # all targets are equally far
    with pytest.raises(ValueError, match="an order from 1 to 3"):
        smoothness_index(knn_graph(x, 3), x, 4)
