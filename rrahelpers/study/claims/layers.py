"""Readings of the dissertation's tables: layers of a network with their saturation, probes, border layers and tails."""

import math
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
from scipy import stats

from rrahelpers.study.claims.readings import Effect, Numbers, Reading, each, value
from rrahelpers.study.claims.tables import Missing, Where

SAME = 0.01  # of the accuracy: a point, "the same"
WIDTH = re.compile(r"width (1/)?([\d.]+)")


def width(label: str) -> float:
    """The width that a network's label names, 1 where it names none."""
    found = WIDTH.search(label)
    return 1.0 if found is None else 1 / float(found[2]) if found[1] else float(found[2])


def by_width(column: str, model: str | None = None) -> Numbers:
    """:class:`Numbers` of figure 47's networks, named (model, width)."""
    def of(tables):
        rows = tables.numbers("saturation-figure-47", column)
        rows = rows.assign(width=rows.network.map(width))
        rows = rows if model is None else rows[rows.model == model]
        if rows.empty:
            raise Missing(f"saturation-figure-47.csv has no {model}")
        return rows.groupby(["width"] if model else ["model", "width"])[column].mean()
    return Numbers(of)


def halving(column: str, place: int) -> Numbers:
    """For each depth of figure 47, a column's change from half of a width to that width: of the widest pair
    (``place`` -1) or the narrowest (0)."""
    def of(tables):
        wide = by_width(column)(tables).unstack("width").sort_index(axis=1)
        return wide.diff(axis=1).iloc[:, 1:].iloc[:, place].dropna()
    return Numbers(of)


def tail(figure: str, last: bool = False, **where: Any) -> Numbers:
    """The convolution at which a network's first tail begins (``last``: its last one), 0 where it has none."""
    def begin(table):
        rows = measured(table, "saturation")
        inside = rows[rows["in_tail"].astype(str) == "True"]
        if inside.empty:
            return 0
        runs = (inside["index"].map(list(rows["index"]).index).diff() != 1).cumsum()
        return inside[runs == (runs.max() if last else 1)]["conv"].iloc[0]
    return each(figure, begin, **where)


def to_the_output(figure: str, **where: Any) -> Numbers:
    """Whether a tail goes on to the last convolution."""
    def ends(table):
        rows = measured(table, "saturation").dropna(subset="conv")
        return str(rows["in_tail"].iloc[-1]) == "True"
    return each(figure, ends, **where)


def lower(figure: str, **where: Any) -> Numbers:
    """How much lower a tail's average saturation is than the rest's, as a share; 0 without a tail."""
    def share(table):
        rows = measured(table, "saturation")
        inside = rows["in_tail"].astype(str) == "True"
        return 1 - rows[inside].saturation.mean() / rows[~inside].saturation.mean() if inside.any() else 0
    return each(figure, share, **where)


def border(table: pd.DataFrame, bound: str = "b_min") -> float:
    """The number of the convolution that is marked as border layer."""
    found = table[table["border"].astype(str).str.contains(bound)]["conv"]
    if found.empty:
        raise Missing(f"no layer is marked {bound}")
    return found.iloc[0]


def gain_behind(figure: str, bound: str = "b_min", **where: Any) -> Numbers:
    """The best probe from the border layer on, less the best before."""
    def gain(table):
        rows, at = measured(table, "probe"), border(table, bound)
        return rows[rows.conv >= at].probe.max() - rows[rows.conv < at].probe.max()
    return each(figure, gain, **where)


def drop_behind(figure: str, bound: str = "b_min", **where: Any) -> Numbers:
    """Mean saturation from the border layer on, less that before."""
    def drop(table):
        rows, at = measured(table, "saturation"), border(table, bound)
        return rows[rows.conv >= at].saturation.mean() - rows[rows.conv < at].saturation.mean()
    return each(figure, drop, **where)


def measured(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows with a column's number; :class:`Missing` where the network isn't trained yet."""
    rows = table.dropna(subset=column)
    if rows.empty:
        raise Missing(f"no {column} yet: the network isn't trained")
    return rows.sort_values("index")


def compare(figure: str, column: str, function: Callable[..., float], *networks: Where, key: str = "layer") -> Numbers:
    """:class:`Numbers`: ``function`` of a column of some networks, each a Series by ``key``, seed by seed.

    ``networks``: {column: value} for each, as for :meth:`rrahelpers.study.claims.tables.Tables.read`.
    """
    def of(tables):
        parts = [measured(tables.read(figure, **where), column).dropna(subset=key) for where in networks]
        if "seed" not in parts[0]:
            return pd.Series({0: float(function(*(part.set_index(key)[column] for part in parts)))})
        seeds = [seed for seed in parts[0].seed.unique() if all((part.seed == seed).any() for part in parts)]
        return pd.Series({seed: float(function(*(part[part.seed == seed].set_index(key)[column] for part in parts)))
                          for seed in seeds}, dtype=float)
    return Numbers(of)


def accuracy(figure: str, column: str = "accuracy", **where: Any) -> Numbers:
    return value(figure, column, **where)


def borders(network: str, column: str) -> Reading:
    """An exact :class:`Effect`: a border layer or a receptive field of an untrained network at 32 pixels."""
    def of(tables):
        rows = tables.numbers("receptive-field-borders", column, network=network)
        return Effect(float(rows[column].iloc[0]), exact=True)
    return of


def tested(model: str) -> Where:
    """The measured rows of a model in the table of projection tests, of whatever width."""
    return {"who": "measured", "network": f"{model.replace('resnet', 'ResNet').replace('vgg', 'VGG')}~"}


def projection_test(model: str, delta: float, column: str) -> Reading:
    """A column of the projection tests (tables 5, 14 to 16), measured: an :class:`Effect` with its interval, in
    percentage points where it is the "difference"."""
    def of(tables):
        row = tables.numbers("projection-tables", column, **tested(model), delta=delta).iloc[0]
        if column == "difference":
            return Effect(100 * row.difference, 100 * row.low, 100 * row.high, int(row.networks))
        count, deviation = int(row.networks), row.get(f"{column}_std", math.nan)
        half = stats.t.ppf(0.975, count - 1) * deviation / count**0.5 if count > 1 else math.nan
        return Effect(float(row[column]), row[column] - half, row[column] + half, count)
    return of


def spread_ratio(figure: str, **where: Any) -> Reading:
    """The deviation of average saturation over trainings, over that of accuracy, with the interval of an F test."""
    def of(tables):
        rows = tables.numbers(figure, "saturation", **where).groupby("seed")
        mean, right = rows.saturation.mean(), rows.accuracy.first()
        freedom = len(mean) - 1
        ratio = mean.std() / right.std() if freedom else math.nan
        if math.isnan(ratio):
            raise Missing(f"{figure}.csv has fewer than two trainings")
        edges = [ratio / stats.f.ppf(q, freedom, freedom) ** 0.5 for q in (0.975, 0.025)]
        return Effect(ratio, *edges, len(mean))
    return of
