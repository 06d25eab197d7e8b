"""TwoNN and Gride against cases worked by hand, the fit of a paper, other solvers, and data of known dimension."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import beta, gamma

from rrahelpers.intrinsic_dimension import gride, two_nn
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
        for measure in (two_nn, gride):
            with pytest.raises(ValueError, match=f"got {confidence}"):
                measure(knn_graph(torch.randn(9, 2), 2), confidence=confidence)
    with pytest.raises(ValueError, match="the 8 nearest neighbours of each sample, got one with k=4"):
        gride(knn_graph(torch.randn(9, 2), 4), [(4, 8)])
    for pair in ((0, 2), (2, 2), (3, 1)):
        with pytest.raises(ValueError, match=r"1 <= n1 < n2, got \[\("):
            gride(knn_graph(torch.randn(9, 2), 4), [pair])


def torus(n, dimension, k, seed=0):
    """The graph of uniform samples on a flat torus, which has no edges and no curvature."""
    x = torch.rand(n, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    apart = (x[:, None] - x).abs()
    distances, indices = torch.minimum(apart, 1 - apart).norm(dim=2).fill_diagonal_(math.inf).topk(k, largest=False)
    return KNNGraph(indices, distances.float())


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_gride_on_a_torus_finds_its_dimension_at_every_scale(dimension):
    table = gride(torus(1500, dimension, 16))
    assert list(zip(table.n1, table.n2)) == [(1, 2), (2, 4), (4, 8), (8, 16)] and (table.samples == 1500).all()
    assert table.dimension.tolist() == pytest.approx([dimension] * 4, rel=0.1)
    assert (table.low < table.dimension).all() and (table.dimension < table.high).all()
    assert table.distance.is_monotonic_increasing


@pytest.mark.parametrize("n1, n2", [(1, 2), (2, 4), (1, 7), (8, 16), (5, 6)])
def test_gride_of_ratios_drawn_from_their_distribution(n1, n2):
    """μ^-d is beta distributed (Denti et al. 2022): estimates vary as the interval says."""
    generator, d, found = np.random.default_rng(n1 * n2), 3.0, []
    for _ in range(60):
        distances = np.ones((300, n2), np.float32)
        distances[:, n2 - 1] = beta(n1, n2 - n1).rvs(300, random_state=generator) ** (-1 / d)
        found.append(gride(KNNGraph(torch.zeros(300, n2, dtype=torch.int64), torch.tensor(distances)), [(n1, n2)]))
    table = np.concatenate([one[["dimension", "low", "high"]].to_numpy() for one in found])
    assert abs(table[:, 0].mean() - d) < 3 * table[:, 0].std() / 60**0.5 + 0.02
    assert 0.85 <= ((table[:, 1] < d) & (d < table[:, 2])).mean() <= 1


@pytest.mark.parametrize("n1, n2", [(1, 2), (2, 4), (3, 8)])
def test_gride_maximises_the_likelihood_of_its_paper(n1, n2):
    graph = knn_graph(cube(300, 3), 8)
    mu = (graph.distances[:, n2 - 1] / graph.distances[:, n1 - 1]).double().numpy()

    def against(d):  # its logarithm, negative, without what doesn't depend on d
        return -(np.log(d) + (n2 - n1 - 1) * np.log(mu**d - 1) - ((n2 - 1) * d + 1) * np.log(mu)).sum()

    expected = minimize_scalar(against, bounds=(0.5, 20), method="bounded", options={"xatol": 1e-9}).x
    (row,) = gride(graph, [(n1, n2)]).itertuples()
    assert row.dimension == pytest.approx(expected, rel=1e-5)
    step = 1e-3 * expected
    curvature = (against(expected + step) - 2 * against(expected) + against(expected - step)) / step**2
    assert math.log(row.high / row.dimension) == pytest.approx(1.959964 / (expected * curvature**0.5), rel=1e-3)


def test_grides_first_pair_is_two_nn():
    graph = knn_graph(cube(200, 2), 2)
    (row,) = gride(graph).itertuples()
    assert row.dimension == pytest.approx(two_nn(graph).dimension * 200 / 199)


def test_noise_is_seen_near_and_the_plane_from_far():
    x = torch.rand(2000, 2)
    x = torch.cat([x, 0.01 * torch.randn(2000, 3)], 1)
    dimension = gride(knn_graph(x, 64)).dimension
    assert dimension.iloc[0] > 3.3 and dimension.iloc[-1] < 2.3


def test_gride_of_degenerate_features():
    (constant,) = gride(knn_graph(torch.ones(20, 3), 2)).itertuples()
    assert math.isnan(constant.dimension) and math.isnan(constant.low) and constant.samples == 0
    simplex = gride(knn_graph(torch.eye(20), 4))
    assert simplex.dimension.tolist() == simplex.low.tolist() == [math.inf] * 2
    grid = torch.cartesian_prod(torch.arange(12.0), torch.arange(12.0))  # most ratios of neighbours are 1
    assert 1 < gride(knn_graph(grid, 8), [(4, 8)]).dimension.item() < 4
    x = cube(100, 2)
    twins = gride(knn_graph(torch.cat([x, x]), 4))
    assert twins.samples.tolist() == [0, 200]  # of twins r₁ = 0


def test_gride_as_dadapy_has_it():
    dadapy = pytest.importorskip("dadapy", exc_type=ImportError)  # builds that don't fit numpy too
    x = cube(500, 3).numpy()
    expected = dadapy.IdEstimation(x, maxk=100).return_id_scaling_gride(range_max=64)
    table = gride(knn_graph(x, 64))
    np.testing.assert_allclose(table.dimension, expected[0], rtol=5e-3)  # its (n - 1) / n
    np.testing.assert_allclose(table.distance, expected[2], rtol=1e-4)
