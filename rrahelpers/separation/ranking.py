"""Which pretrained network suits new data: ranking by SI or SmI of the best features (slides' algorithm 2).

The new data go through each network up to the last layer before the fully connected ones; the subset of its features
with the largest index stands for the network. The slides prescribe no search, and all 2^D subsets are out of reach:
features are added one at a time, each the one that raises the index most, as in Kalhor's published code, and the best
prefix of that order counts, or all features where they do better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import torch

from rrahelpers.base.arrays import as_features, is_whole
from rrahelpers.neighbors import knn_graph
from rrahelpers.separation.indices import confidence, scorer

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Features, Targets

BLOCK = 2**18  # distances held at a time: 1 MiB, which stays in a processor's cache
LANE = 64


class Subset(NamedTuple):
    """Chosen features (columns, in order of choice), the index that they give, and the index of all features."""

    features: list[int]
    value: float
    value_of_all: float


def best_features(x: Features, targets: Targets, limit: int = 32) -> Subset:
    """The features whose nearest neighbours agree best, by forward selection.

    Parameters
    ----------
    x: [N, D], or [N, ...] which is flattened. Features are taken in the units that they come in.
    targets: integers [N] (SI is made large) or real numbers [N] or [N, Q] (SmI).
    limit: features to add at most.

    Returns a :class:`Subset`. Chosen and judged on the same samples, the value flatters the features, the more the
    fewer samples: compare networks by it, don't predict accuracy. N² D operations for each feature added: 6 s on one
    core for N = 2,000, D = 64, 32 features; a few MiB. Raises ``ValueError``, ``TypeError`` for features, targets or a
    limit of wrong form.
    """
    x = as_features(x)
    if not is_whole(limit):
        raise ValueError(f"expected a limit of at least 1 feature, got {limit!r}")
    score = scorer(targets, len(x))
    value_of_all = confidence(knn_graph(x, 1), targets)
    chosen: list[int] = []
    best, length = -1.0, 0
    while len(chosen) < min(limit, x.shape[1]) and best < 1:
        rest = [f for f in range(x.shape[1]) if f not in chosen]
        values = [score(nearest) for nearest in _nearest_with_each(x, chosen, rest)]
        value = max(values)
        chosen.append(rest[values.index(value)])
        if value > best:
            best, length = value, len(chosen)
    chosen = chosen[:length]
    value = confidence(knn_graph(x[:, chosen], 1), targets)
    if value_of_all > value:
        return Subset(list(range(x.shape[1])), value_of_all, value_of_all)
    return Subset(chosen, value, value_of_all)


def rank_models(features: dict[str, Features], targets: Targets, limit: int = 32) -> pd.DataFrame:
    """Pretrained networks in the order in which they suit the data, best first (algorithm 2).

    Parameters
    ----------
    features: {name of the network: [N, D]}, of the last layer before the fully connected ones, for the same N samples.
    targets, limit: as for :func:`best_features`.

    Returns a table: rank (from 1; equal values share one), model, value (SI, or SmI, of its best features),
    value_of_all, chosen (number of features), of (number of all), features (their columns). Raises as
    :func:`best_features`, and ``ValueError`` without networks.
    """
    if not features:
        raise ValueError("expected the features of at least one network, got none")
    rows = []
    for model, x in features.items():
        subset = best_features(x, targets, limit)
        rows.append({"model": model, "value": subset.value, "value_of_all": subset.value_of_all,
                     "chosen": len(subset.features), "of": x[0].numel() if isinstance(x, torch.Tensor) else x[0].size,
                     "features": subset.features})
    table = pd.DataFrame(rows).sort_values("value", ascending=False, kind="stable", ignore_index=True)
    table.insert(0, "rank", table.value.rank(ascending=False, method="min").astype(int))
    return table


def _nearest_with_each(x, chosen, rest):
    """For each feature of ``rest`` the nearest neighbours int64 [N] by the features ``chosen`` and that one."""
    n, nearest = len(x), torch.empty(len(rest), len(x), dtype=torch.int64, device=x.device)
    columns = torch.nn.functional.pad(x.T, (0, -n % LANE))
    step = max(1, BLOCK // n)
    for start in range(0, n, step):
        own = columns[:, start:min(start + step, n), None]
        squared = x.new_zeros(own.shape[1], columns.shape[1])
        squared[:, n:] = torch.inf  # the padding
        squared.diagonal(start).fill_(torch.inf)  # not the sample itself
        for feature in chosen:
            squared += (own[feature] - columns[feature]).square_()
        for place, feature in enumerate(rest):
            nearest[place, start:start + step] = _argmin((own[feature] - columns[feature]).square_().add_(squared))
    return nearest


def _argmin(rows):
    """``rows.argmin(1)``, where the length of a row is a multiple of LANE, several times as fast: minima vectorise."""
    lanes = rows.unflatten(1, (-1, LANE))
    lane = lanes.amin(2).argmin(1)
    return lane * LANE + lanes[torch.arange(len(rows), device=rows.device), lane].argmin(1)
