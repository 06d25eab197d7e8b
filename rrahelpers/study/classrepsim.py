"""Section 3 of the STAC paper in numbers: the two approaching classes of figure 3, and what the text says of figure 4.

Class-similarity curves are rows of :func:`rrahelpers.study.results.class_similarity_table`, with the column ``panel``:
which data set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import torch

from rrahelpers.class_similarity import class_similarity
from rrahelpers.neighbors import knn_graph
from rrahelpers.plots import SCALE_ORDER

NEIGHBOURS = 10  # of a point of figure 3


def strips(transition: float, generator: np.random.Generator, n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Two classes of n points each in upright strips: (points [2n, 2], labels [2n]). They touch at transition 1."""
    points = generator.uniform(size=(2 * n, 2)) * [0.5, 2.0]
    labels = np.repeat([0, 1], n)
    points[labels == 1, 0] += 0.5 + 0.5 * (1 - transition)
    return points, labels


def approach(transitions: Iterable[float], draws: int) -> pd.DataFrame:
    """Class similarity of the two strips on their way: rows of draw, transition, value."""
    rows, transitions = [], list(transitions)
    for draw in range(draws):
        for transition in transitions:
            points, labels = strips(transition, np.random.default_rng(draw))
            value = class_similarity(knn_graph(torch.tensor(points), NEIGHBOURS), torch.tensor(labels))
            rows.append({"draw": draw, "transition": transition, "value": value})
    return pd.DataFrame(rows)


def curve(table: pd.DataFrame, scale: int | str) -> pd.Series:
    """Mean class similarity over layers at one scale, indexed by layer."""
    return table[table.scale == str(scale)].groupby("index").value.mean()


def statements(curves: pd.DataFrame) -> pd.DataFrame:
    """What section 3.2 says of its curves beside ours: the mean over seeds, with the smallest and the largest value of
    a network, a column for each panel."""
    rows = []
    for text, published, statistic in STATEMENTS:
        row = {"statement": text, "published": published}
        for name, part in curves.groupby("panel", sort=False):
            values = [statistic(table) for _, table in part.groupby("seed")]
            row[name] = f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
        rows.append(row)
    return pd.DataFrame(rows)


def best_scales(curves: pd.DataFrame) -> pd.DataFrame:
    """The scales of the highest mean value, a row for each layer, a column for each panel."""
    panels = list(dict.fromkeys(curves.panel))
    values = curves.groupby(["panel", "index", "scale"]).value.mean().unstack("scale")
    return values.apply(_best, axis=1).unstack("panel").reindex(columns=panels)


def correlations(curves: pd.DataFrame) -> pd.DataFrame:
    """Correlation r over layers of every pair of curves, one from each of two panels.

    Rows of ``first`` and ``second`` (scales), "equal window", "equal map" (whether their pooled inputs have one side).
    Raises ``ValueError`` for more or fewer panels.
    """
    parts = dict(iter(curves.groupby("panel", sort=False)))
    if len(parts) != 2:
        raise ValueError(f"expected curves of two panels, got {len(parts)}: {', '.join(parts)}")
    rows, scales = [], list(dict.fromkeys(curves.scale))
    for a in scales:
        for b in scales:
            sides = [part[(part.scale == scale) & (part["index"] == 0)].side.tolist()[:1]
                     for part, scale in zip(parts.values(), (a, b))]
            one, other = (curve(part, scale) for part, scale in zip(parts.values(), (a, b)))
            one, other = one.align(other, join="inner")
            rows.append({"first": a, "second": b, "equal window": a == b, "equal map": sides[0] == sides[1] != [],
                         "r": np.corrcoef(one, other)[0, 1]})
    return pd.DataFrame(rows)


def correlations_for_reading(pairs: pd.DataFrame) -> pd.DataFrame:
    """The means of :func:`correlations` beside those that the paper prints."""
    chosen = {"equal window": (0.95, pairs["equal window"]),
              "equal size of the pooled map": (0.97, pairs["equal map"]), "any": (0.94, pd.Series(True, pairs.index))}
    return pd.DataFrame([{"pairs": name, "published": printed, "measured": pairs[mask].r.mean(), "number": mask.sum()}
                         for name, (printed, mask) in chosen.items()])


def _best(values):
    """The scale of the highest value, all of them where several share it."""
    top = [scale for scale in SCALE_ORDER if scale in values
           and np.isclose(values[scale], values.max(), rtol=0, atol=1e-12)]
    return "all the same" if len(top) == values.notna().sum() else ", ".join(top)


def _straightness(table):
    """R² of a line through the globally pooled curve, layers 0 to 7."""
    y = curve(table, "global").loc[0:7]
    return np.corrcoef(y.index, y)[0, 1] ** 2


def _gain(later, earlier):
    return lambda table: (curve(table, later) - curve(table, earlier)).loc[0:7].mean()


STATEMENTS: tuple[tuple[str, str, Callable[[pd.DataFrame], float]], ...] = (
    ("initial CS contraction: identity, layer 0 less the lowest of layers 1 to 3", "small but non-trivial",
     lambda table: curve(table, 1)[0] - curve(table, 1).loc[1:3].min()),
    ("CS cluster spike: identity, layer 10 less layer 8", "large",
     lambda table: curve(table, 1)[10] - curve(table, 1)[8]),
    ("largest CS of any layer and scale", "about 1 (CIFAR-10), 0.81 (Img64-50)",
     lambda table: table.groupby(["scale", "index"]).value.mean().max()),
    ("mean gain from 4x pooling over identity, layers 0 to 7", "rises", _gain(4, 1)),
    ("mean gain from 8x over 4x pooling, layers 0 to 7", "no general increase (CIFAR-10), rises (Img64-50)",
     _gain(8, 4)),
    ("mean change from 8x to global pooling, layers 0 to 7", "falls", _gain("global", 8)),
    ("R² of a line through the global curve, layers 0 to 7", "closely a line", _straightness),
)
