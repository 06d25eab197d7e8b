"""Neighbours by brute force in float64, and samples among which they are hard to find."""

import torch


def brute_force(x, k):
    """Squared distances by direct float64 differences; a stable sort, so ties go to the lower index."""
    x = x.double().flatten(1)
    squared = torch.stack([(x - row).square().sum(1) for row in x])
    squared.fill_diagonal_(torch.inf)
    squared, indices = squared.sort(dim=1, stable=True)
    return indices[:, :k], squared[:, :k].sqrt()


def check(graph, x, k):
    indices, distances = brute_force(x, k)
    assert torch.equal(graph.indices, indices)
    torch.testing.assert_close(graph.distances.double(), distances, rtol=2e-6, atol=0)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def near_ties():
    """All points nearly at one distance from one another: a simplex with differences in the seventh digit."""
    return torch.eye(90) + 1e-7 * normal(90, 90)


def tiny_differences():
    """Large norms with tiny differences: neighbours decided by the last bits of float32."""
    base = 1000 * normal(1, 200)
    return torch.cat([base + 1e-4 * normal(60, 200, seed=1), -base + 1e-4 * normal(60, 200, seed=2)])


ADVERSARIAL = {
    "near ties": near_ties(),
    "exact ties": torch.randint(0, 2, (150, 8), generator=torch.Generator().manual_seed(0)).float(),
    "simplex": torch.eye(80),
    "duplicates": normal(25, 30).repeat(5, 1),
    "half zero": torch.cat([torch.zeros(70, 30), normal(50, 30)]),
    "constant": torch.full((60, 7), 3.0),
    "tiny differences": tiny_differences(),
    "large offset": 1e5 + normal(120, 50),
    "one outlier": torch.cat([normal(100, 40), 1e6 * normal(1, 40, seed=3)]),
    "huge": 1e30 * normal(90, 40),
    "tiny": 1e-30 * normal(90, 40),
    "mixed sizes": normal(100, 40) * torch.logspace(-12, 12, 100)[:, None],
    "float64": 1e9 + 1e-3 * normal(80, 20).double(),
    "whole numbers": torch.randint(0, 255, (90, 30), generator=torch.Generator().manual_seed(0), dtype=torch.uint8),
    "half precision": normal(100, 30).half(),
    "wide": normal(100, 6000),
    "wide near ties": torch.cat([normal(1, 5000) + 1e-6 * normal(100, 5000, seed=1), normal(50, 5000, seed=2)]),
}
