"""Feature selection against the search through all subsets, and the ranking of networks."""

from itertools import combinations

import numpy as np
import pytest
import torch

from rrahelpers.neighbors import knn_graph
from rrahelpers.separation import best_features, confidence, rank_models, ranking


def index_of(x, columns, targets):
    return confidence(knn_graph(x[:, list(columns)], 1), targets)


def test_the_feature_that_tells_is_found_among_noise():
    labels = torch.arange(90) % 3
    x = 2 * torch.randn(90, 8)
    x[:, 5] = labels + 0.01 * torch.rand(90)
    assert best_features(x, labels) == ([5], 1, pytest.approx(index_of(x, range(8), labels)))
    targets = torch.rand(90)
    x[:, 2] = 4 * targets
    found = best_features(x, targets)
    assert found.features == [2] and found.value == 1 > found.value_of_all


def test_two_features_that_tell_only_together():
    labels = torch.arange(200) % 4
    x = torch.randn(200, 6)
    x[:, 1], x[:, 4] = labels // 2 + 0.01 * torch.rand(200), labels % 2 + 0.01 * torch.rand(200)
    found = best_features(x, labels)
    assert set(found.features) == {1, 4} and found.value == 1


@pytest.mark.parametrize("real", [False, True])
def test_between_all_features_and_the_best_of_all_subsets(real):
    x = torch.randn(60, 5)
    targets = (x[:, 0] + x[:, 1] * x[:, 2] if real else (x[:, 0] + x[:, 1] > 0).long())
    values = {s: index_of(x, s, targets) for size in range(1, 6) for s in combinations(range(5), size)}
    found = best_features(x, targets)
    assert found.value == pytest.approx(values[tuple(sorted(found.features))])
    assert max(values[(f,)] for f in range(5)) <= found.value <= max(values.values())
    assert found.value >= found.value_of_all == pytest.approx(values[0, 1, 2, 3, 4])


def test_no_more_features_than_help():
    x = torch.randn(50, 4)
    x[:, [0, 1, 3]] = 1.0  # say nothing
    x[:, 2] += 2 * (torch.arange(50) % 2)
    found = best_features(x, torch.arange(50) % 2)
    assert found.features == [2] and found.value == found.value_of_all < 1


def test_all_features_where_none_alone_helps():
    """Every feature carries a little: a limit of one is worse than all, which are then the answer."""
    labels = torch.arange(100) % 2
    x = torch.randn(100, 30) + 0.8 * labels[:, None]
    found = best_features(x, labels, limit=1)
    assert found.features == list(range(30)) and found.value == found.value_of_all > 0.8


@pytest.mark.parametrize("n", [50, 64, 700])
def test_the_search_finds_true_nearest_neighbours(n):
    x = torch.randint(0, 4, (n, 6)).float()  # many ties
    nearest = ranking._nearest_with_each(x, [1, 3], [0, 5])
    for feature, found in zip((0, 5), nearest):
        assert torch.equal(found, knn_graph(x[:, [1, 3, feature]], 1).indices[:, 0])


def test_networks_are_ranked():
    labels = torch.arange(80) % 4
    noise = torch.randn(80, 6, 2, 2)
    good = noise.clone()
    good[:, 0, 0, 0] = labels
    table = rank_models({"noise": noise, "good": good, "good too": good.numpy()}, labels, limit=3)
    assert table["rank"].tolist() == [1, 1, 3]
    assert table.model.tolist() == ["good", "good too", "noise"]
    assert table.value.tolist()[:2] == [1, 1] and table.value[2] < 0.7
    assert table.features.tolist()[:2] == [[0], [0]] and table.chosen[0] == 1 and (table["of"] == 24).all()
    assert (table.value >= table.value_of_all).all()


def test_a_constant_network_has_an_index_too():
    table = rank_models({"dead": np.zeros((10, 3)), "alive": np.arange(10.0)[:, None]}, np.arange(10) // 5)
    assert table.model.tolist() == ["alive", "dead"]


@pytest.mark.parametrize("call, error, message", [
    (lambda x: rank_models({}, torch.zeros(9)), ValueError, "at least one network"),
    (lambda x: best_features(x, torch.zeros(8, dtype=torch.int64)), ValueError, r"9 samples.*\(8,\)"),
    (lambda x: best_features(x, torch.rand(8)), ValueError, r"\[9\].*\(8,\)"),
    (lambda x: best_features(x * torch.nan, torch.rand(9)), ValueError, "18 NaN"),
    (lambda x: best_features(x, torch.rand(9), limit=0), ValueError, "limit .* got 0"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.rand(9, 2))
