"""TwoNN against a case worked by hand, the straight-line fit of its paper, and data of known dimension."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gamma

from rrahelpers.intrinsic_dimension import two_nn
from rrahelpers.neighbors import KNNGraph, knn_graph


def cube(n, dimension, width=12, seed=0):
    """Uniform in a cube, turned into ``width`` dimensions."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(width, dimension, generator=generator, dtype=torch.float64)).Q
    return torch.rand(n, dimension, generator=generator, dtype=torch.float64) @ basis.T


def test_a_case_worked_by_hand():
    found = two_nn(knn_graph(torch.tensor([[0.0], [1], [3]]), 2))  # ratios 3/1, 2/1, 3/2
    assert found.dimension == pytest.approx(2 / math.log(9))
    assert (found.samples, found.duplicates) == (3, 0)
    # the dimension times Σ ln μ follows a gamma distribution of shape n
    assert [found.low, found.high] == pytest.approx(gamma(3).ppf([0.025, 0.975]) / math.log(9))


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_a_cube_has_its_dimension(dimension):
    x = torch.rand(3000, dimension)
    inner = ((x - 0.5).abs() < 0.38).all(1)  # at the edges a neighbourhood is no ball
    basis = torch.linalg.qr(torch.randn(12, dimension)).Q
    graph = knn_graph(x @ basis.T, 2)
    found = two_nn(KNNGraph(graph.indices[inner], graph.distances[inner]))
    assert found.low < dimension < found.high
    assert found.high - found.low < 0.15 * dimension
    assert found.low < found.dimension < found.high
    assert two_nn(graph).dimension < dimension * 1.03


def test_the_interval_covers_about_as_often_as_stated():
    covered = [found.low < 2 < found.high for seed in range(40)
               for found in [two_nn(knn_graph(cube(200, 2, width=2, seed=seed), 2))]]
    assert 0.75 < np.mean(covered) < 0.99  # nominal 0.95; 0.89 as neighbouring ratios depend on each other


def test_the_paper_fits_a_straight_line():
    graph = knn_graph(cube(1500, 4), 2)
    ratios = np.sort(np.log((graph.distances[:, 1] / graph.distances[:, 0]).double().numpy()))[:1350]
    y = -np.log(1 - np.arange(1, 1351) / 1500)
    assert two_nn(graph).dimension == pytest.approx((ratios @ y) / (ratios @ ratios), rel=0.05)


def test_rotation_scaling_and_further_neighbours_change_nothing():
    x = cube(400, 3)
    rotation = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64)).Q
    assert two_nn(knn_graph(1e-3 * x @ rotation, 7)) == pytest.approx(two_nn(knn_graph(x, 2)), rel=1e-4)


def test_a_wider_interval_for_more_confidence():
    graph = knn_graph(cube(200, 2), 2)
    narrow, wide = two_nn(graph, 0.5), two_nn(graph, 0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_duplicates_are_left_out_and_counted():
    x = cube(300, 2)
    graph = knn_graph(torch.cat([x, x[:40]]), 2)
    found = two_nn(graph)
    assert (found.samples, found.duplicates) == (260, 80)
    rest = graph.distances[:, 0] > 0
    assert found[:4] == two_nn(KNNGraph(graph.indices[rest], graph.distances[rest]))[:4]


def test_degenerate_features():
    constant = two_nn(knn_graph(torch.ones(20, 3), 2))
    assert math.isnan(constant.dimension) and math.isnan(constant.low) and constant.duplicates == 20
    simplex = two_nn(knn_graph(torch.eye(20), 2))
    assert simplex[:3] == (math.inf, math.inf, math.inf) and simplex.samples == 20


def test_bad_input():
    with pytest.raises(ValueError, match="k=1"):
        two_nn(knn_graph(torch.randn(9, 2), 1))
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match=f"got {confidence}"):
            two_nn(knn_graph(torch.randn(9, 2), 2), confidence)
