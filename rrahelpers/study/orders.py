"""What a higher order of SI and of SmI is good for: the slides' two statements, on made-up data."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch

from rrahelpers.neighbors import knn_graph
from rrahelpers.separation import error_bound, margins_of, separation_orders, smoothness_orders

SAMPLES, CLASSES, DIMENSIONS, ORDERS = 240, 3, 4, 40
NEARLY = 0.99  # an order counts where its SmI is at least this


def gamma_against_order(gaps: Iterable[float], seeds: Iterable[int]) -> pd.DataFrame:
    """Three classes, uniform in cubes of side 1 that lie so many ``gaps`` apart: how far SI^r = 1 goes, and γ.

    Returns a row for each gap and seed: gap, seed, order (the highest r with SI^r = 1; 0 where SI < 1), gamma (the
    mean over new samples of what errors their predictions withstand), smallest; both are 0 where SI < 1.
    """
    rows = []
    for gap in gaps:
        for seed in seeds:
            draw = torch.Generator().manual_seed(seed)
            x, y, new = _cubes(gap, draw)
            order = sum(value == 1 for value in separation_orders(knn_graph(x, ORDERS), y))
            gamma = margins_of(new, x, y).gamma * (order > 0)
            rows.append({"gap": gap, "seed": seed, "order": order, "gamma": gamma.mean().item(),
                         "smallest": gamma.min().item()})
    return pd.DataFrame(rows)


def bound_against_order(noises: Iterable[float], seeds: Iterable[int], gamma: float = 0.002) -> pd.DataFrame:
    """Targets that are the places of points on a line, with so much noise: SmI of each order, and the error bound.

    Returns a row for each noise and seed: noise, seed, "SmI" (of order 1), order (the highest with SmI of at least
    0.99; 0 where there is none), bound (the mean of :func:`rrahelpers.separation.error_bound` for inputs wrong by
    ``gamma``; the larger it is, the less of the bound is the noise's), error (the mean over new samples of the distance
    between the nearest neighbour's target and theirs).
    """
    rows = []
    for noise in noises:
        for seed in seeds:
            draw = torch.Generator().manual_seed(seed)
            x, new = (torch.rand(SAMPLES, 1, generator=draw, dtype=torch.float64) for _ in range(2))
            y, y_new = (at + noise * torch.randn(at.shape, generator=draw, dtype=torch.float64) for at in (x, new))
            values = smoothness_orders(knn_graph(x, ORDERS), y)
            nearest = torch.cdist(new, x).argmin(1)
            rows.append({"noise": noise, "seed": seed, "SmI": values[0], "order": sum(v >= NEARLY for v in values),
                         "bound": error_bound(new, x, y, gamma).mean().item(),
                         "error": (y[nearest] - y_new).norm(dim=1).mean().item()})
    return pd.DataFrame(rows)


def _cubes(gap, draw):
    labels = torch.arange(SAMPLES) % CLASSES
    centres = (1 + gap) * torch.eye(CLASSES, DIMENSIONS, dtype=torch.float64)
    x, new = (torch.rand(SAMPLES, DIMENSIONS, generator=draw, dtype=torch.float64) + centres[labels] for _ in range(2))
    return x, labels, new
