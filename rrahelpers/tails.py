"""Tail patterns: runs of layers with low saturation (dissertation, section 8.5.2)."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

SHORTEST = 3  # layers
LOWER = 0.5  # of the rest's average, at most
TAIL = ["first", "last", "start", "length", "value", "rest", "lower"]
# columns of tables over which no mean is meant
CHOICES = ("epoch", "split", "delta", "measure", "scale", "size", "pooling")

LayerValues: TypeAlias = Mapping[Hashable, float] | pd.Series | pd.DataFrame | Iterable[float]


def find_tails(saturations: LayerValues) -> pd.DataFrame:
    """The tails in a network's saturations: disjoint runs of layers, in the order of the layers.

    A tail is "a subsequence of at least 3 consecutive layers with an average saturation that is at least 50% lower
    relative to the average saturation of the rest of the network". Where one run of layers satisfies this, so do many
    that overlap it, longer ones with part of the high layers among them. Of those the one is taken that separates the
    layers best, with the largest sum of squares between it and the rest, n m / (n + m) (difference of averages)².

    ``saturations``: as for :func:`layer_values`, fractions in [0, 1] in the order of the layers.

    Returns a table with one row for each tail: ``first`` and ``last`` layer, ``start`` (place of the first, from 0) and
    ``length``, ``value`` (average saturation), ``rest`` (that of all other layers), ``lower`` (1 - value / rest). Fewer
    than four layers have no tail.
    """
    values = layer_values(saturations, "saturations")
    count, sums = len(values), np.concatenate([[0], np.cumsum(values.to_numpy())])
    found = []
    for start in range(count):
        for stop in range(start + SHORTEST, count + 1):
            length = stop - start
            if length == count:
                continue
            value = (sums[stop] - sums[start]) / length
            rest = (sums[-1] - sums[stop] + sums[start]) / (count - length)
            if rest > 0 and value <= LOWER * rest * (1 + 1e-12):  # rounding
                contrast = length * (count - length) / count * (rest - value) ** 2
                found.append((contrast, start, length, value, rest))
    tails = []
    taken: set[int] = set()
    for _, start, length, value, rest in sorted(found, key=lambda run: (-run[0], run[1])):
        if taken.isdisjoint(range(start, start + length)):
            taken.update(range(start, start + length))
            tails.append({"first": values.index[start], "last": values.index[start + length - 1], "start": start,
                          "length": length, "value": value, "rest": rest, "lower": 1 - value / rest})
    return pd.DataFrame(tails, columns=TAIL).sort_values("start", ignore_index=True)


def in_tail(saturations: LayerValues) -> pd.Series:
    """Whether each layer lies within one of :func:`find_tails`: booleans, indexed by layer.

    ``saturations``: as for :func:`layer_values`, and raises as that.
    """
    inside = pd.Series(False, index=layer_values(saturations, "saturations").index)
    for tail in find_tails(saturations).itertuples():
        inside.iloc[tail.start:tail.start + tail.length] = True
    return inside


def average_outside_tails(saturations: LayerValues) -> float:
    """The average saturation of the layers that are in no tail: what a tail would hide.

    ``saturations``: as for :func:`layer_values`, and raises as that.
    """
    values = layer_values(saturations, "saturations")
    return float(values[~in_tail(values)].mean())


def tails_by_epoch(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`find_tails` for each epoch and split of a training: tails show early (dissertation, appendix B.2).

    ``table``: rows of epoch, split, layer and saturation, the layers in their order, as a
    :class:`rrahelpers.eigenspace.SaturationTracker` gives them. Layers without saturation (NaN) are left out.

    Returns the columns of :func:`find_tails`, with ``epoch`` and ``split`` in front.
    """
    known = table[table["saturation"].notna()]
    found = [find_tails(part.set_index("layer")["saturation"]).assign(epoch=epoch, split=split)
             for (epoch, split), part in known.groupby(["epoch", "split"], sort=False)]
    columns = ["epoch", "split", *TAIL]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def lasting_tails(tails: pd.DataFrame, epoch: int, epochs: int = 2) -> str:
    """The tails of an epoch that each of the last so many ``epochs`` has too, in words; "" where there are none.

    ``tails``: of :func:`tails_by_epoch`. A tail is one of the epoch before where they share :data:`SHORTEST` layers.
    """
    lasting = []
    for tail in tails[tails["epoch"] == epoch].itertuples():
        before = [tails[(tails["epoch"] == epoch - back) & (tails["split"] == tail.split)] for back in range(1, epochs)]
        if all(any(_shared(tail, other) >= SHORTEST for other in part.itertuples()) for part in before):
            lasting.append(f"the saturation ({tail.split}) of {tail.length} layers, {tail.first} to {tail.last}, is "
                           f"{tail.lower:.0%} below that of the rest, for {epochs} epochs now")
    return "; ".join(lasting)


def _shared(a, b):
    return min(a.start + a.length, b.start + b.length) - max(a.start, b.start)


def layer_values(values: LayerValues, what: str = "values") -> pd.Series:
    """One fraction for each layer as a Series indexed by layer, in the order given.

    ``values``: {layer: number}, a Series, a table with the columns ``layer`` and ``value`` or ``saturation`` (the mean
    is taken over several seeds), or numbers alone, whose layers are 0, 1, and so on. ``what`` names them in errors.
    Raises ``ValueError`` for NaN, infinite numbers and those outside [0, 1], missing columns, none, and a table of
    which one epoch, split and so on has to be chosen first.
    """
    if isinstance(values, pd.DataFrame):
        column = next((name for name in ("value", "saturation") if name in values.columns), "value")
        if missing := {"layer", column} - set(values.columns):
            raise ValueError(f"{what}: expected a table with the columns layer and value or saturation, "
                             f"it lacks {sorted(missing)}")
        if several := [name for name in CHOICES if name in values.columns and values[name].nunique() > 1]:
            raise ValueError(f"{what}: expected one number for each layer (and seed), got a table of several "
                             f"{', '.join(several)}; choose, for instance with table.query('{several[0]} == "
                             f"{values[several[0]].tolist()[-1]!r}')")
        values = values.groupby("layer", sort=False)[column].mean()
    series = pd.Series(values, dtype=float)
    if series.empty:
        raise ValueError(f"{what}: expected a number for each layer, got none")
    if bad := list(series.index[~np.isfinite(series)]):
        raise ValueError(f"{what}: expected finite numbers, got NaN or infinite ones for the layers {bad}")
    if not series.between(0, 1).all():
        raise ValueError(f"{what}: expected fractions in [0, 1], got {series.min():g} to {series.max():g}; "
                         "divide percent by 100")
    return series
