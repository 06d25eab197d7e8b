"""What claims compare: numbers read from tables, one for each network, and their mean with its interval."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rrahelpers.base.files import project_root
from rrahelpers.study.claims.tables import Missing, Tables, Where
from rrahelpers.study.significance import Sample, sample, welch


@dataclass(frozen=True)
class Effect:
    """A mean over ``networks`` networks with its 95 % confidence interval, NaN where there is none.

    ``exact``: a number that no training enters, such as a count; ``printed``: what the source has in its place.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    networks: int = 0
    exact: bool = False
    printed: str = ""

    @property
    def known(self) -> bool:
        """Whether there is an interval to judge by."""
        return self.exact or not math.isnan(self.low)

    @property
    def bounds(self) -> tuple[float, float]:
        return (self.value, self.value) if self.exact else (self.low, self.high)


@dataclass(frozen=True)
class Numbers:
    """Numbers of tables: a Series with one value for each network, by which differences are paired.

    ``of`` takes :class:`Tables`. Two of them, or one and a plain number, are subtracted, added or divided network by
    network; :class:`Missing` where they have none in common.
    """

    of: Callable[[Tables], pd.Series]

    def __call__(self, tables: Tables) -> pd.Series:
        return self.of(tables)

    def __sub__(self, other: Numbers | float) -> Numbers:
        return self._with(other, pd.Series.sub)

    def __add__(self, other: Numbers | float) -> Numbers:
        return self._with(other, pd.Series.add)

    def __truediv__(self, other: Numbers | float) -> Numbers:
        return self._with(other, pd.Series.div)

    def __mul__(self, other: Numbers | float) -> Numbers:
        return self._with(other, pd.Series.mul)

    def _with(self, other, operation):
        def of(tables):
            ours, theirs = self(tables), other(tables) if isinstance(other, Numbers) else other
            found = operation(ours, theirs).dropna()
            if found.empty:
                raise Missing("no network has both of the numbers that are compared")
            return found
        return Numbers(of)


Reading = Callable[[Tables], Effect]
Found = Callable[[Tables], Effect | pd.Series]  # what verbs judge: a Reading, or Numbers
Points = Callable[[Tables], Iterable[float]]
Row = tuple[str, str, Where]  # of another table: figure, label, columns
Pattern = Callable[[pd.DataFrame], float]  # a number of one network's rows, or True or False


def each(figure: str, function: Pattern, by: str = "seed", **where: Any) -> Numbers:
    """:class:`Numbers`: ``function`` of each network's rows of a figure's table. ``by``: the column that tells networks
    apart; where the table lacks it there is one network."""
    def of(tables):
        rows = tables.read(figure, **where)
        if by not in rows:
            return pd.Series({0: float(function(rows))})
        return pd.Series({key: float(function(part)) for key, part in rows.groupby(by, sort=False)})
    return Numbers(of)


def value(figure: str, column: str = "value", by: str = "seed", **where: Any) -> Numbers:
    """:class:`Numbers`: the mean of a column over each network's rows."""
    def of(tables):
        rows = tables.numbers(figure, column, **where)
        return rows.groupby(by, sort=False)[column].mean() if by in rows else pd.Series({0: rows[column].mean()})
    return Numbers(of)


def values(figure: str, column: str) -> Callable[[Tables], list]:
    """The different values of a column, in order."""
    return lambda tables: sorted(tables.read(figure)[column].unique().tolist())


def last_epoch(figure: str, column: str, **fields: Any) -> Numbers:
    """:class:`Numbers`: a column of the training history's last row of each of the figure's runs. ``fields``: of
    RunConfig, for those runs alone."""
    def of(tables):
        tables.used.add(figure)
        found = {run: tables.record(run)["history"][-1].get(column) for run in tables.provenance(figure).get("runs", ())
                 if (config := tables.config(run)) and all(getattr(config, k) == v for k, v in fields.items())}
        if not (found := pd.Series(found, dtype=float).dropna()).size:
            raise Missing(f"the store has no {column} of the runs of {figure}")
        return found
    return Numbers(of)


def computed(function: Callable[[], float]) -> Reading:
    """An exact :class:`Effect` of what needs no training: ``function`` takes nothing and gives a number."""
    return lambda tables: Effect(float(function()), networks=0, exact=True)


def benchmark(name: str, function: Callable[[dict[str, Any]], float]) -> Reading:
    """An exact :class:`Effect` of a benchmark as it was measured last: ``function`` takes what its file holds."""
    def of(tables):
        path = project_root() / "benchmarks" / "results" / f"{name}.json"
        try:
            return Effect(float(function(json.loads(path.read_text(encoding="utf-8")))), exact=True)
        except (OSError, ValueError, KeyError) as error:
            raise Missing(f"benchmarks/results/{name}.json isn't what this claim reads: {error}") from None
    return of


def overhead() -> Reading:
    """What following saturation adds to a training step, as a share of it, at most."""
    return benchmark("saturation", lambda told: max(row["ratio"] for row in told["rows"]
                                                    if row["method"] == "rrahelpers") - 1)


def effect(found: Found, tables: Tables) -> Effect:
    """The :class:`Effect` behind what a verb was given: :class:`Numbers`, or a function that answers with one."""
    got = found(tables)
    return got if isinstance(got, Effect) else mean_of(got)


def mean_of(numbers: Iterable[float]) -> Effect:
    """The mean of one number for each network, with Student's interval; one network has none."""
    from scipy.stats import t

    ours = sample(numbers)
    if not ours.n:
        raise Missing("no network has this number")
    if ours.n < 2:
        return Effect(ours.mean, networks=ours.n)
    half = float(t.ppf(0.975, ours.n - 1)) * ours.std / ours.n**0.5
    return Effect(ours.mean, ours.mean - half, ours.mean + half, ours.n)


def unpaired(first: Numbers, second: Numbers) -> Reading:
    """``first`` less ``second`` (:class:`Numbers` of different networks): Welch's :class:`Effect`."""
    def of(tables):
        ours, theirs = (sample(numbers(tables)) for numbers in (first, second))
        return difference(ours, theirs)
    return of


def row(figure: str, label: str, less: str | Row | None = None, **where: Any) -> Reading:
    """A row of one of the STAC paper's tables: top-1, or its difference to the row ``less``, in percent, with what is
    printed of it. ``less``: a label, or (figure, label, columns) of another table."""
    def of(tables):
        ours, printed = (_sample(tables, figure, label, who, where) for who in ("measured", "published"))
        if less is None:
            return Effect(*_interval(ours), ours.n, printed=f"{printed.mean:g} ± {printed.std:g}")
        other = less if isinstance(less, tuple) else (figure, less, where)
        base, theirs = (_sample(tables, *other[:2], who, other[2]) for who in ("measured", "published"))
        found = difference(ours, base)
        return Effect(found.value, found.low, found.high, found.networks, printed=f"{printed.mean - theirs.mean:+.1f}")
    return of


def correlation(first: Points, second: Points, networks: int | None = None) -> Reading:
    """Pearson's r over points, with Fisher's interval: two functions that answer with numbers in one order.

    ``networks``: how many there are where points aren't networks, but layers.
    """
    def of(tables):
        x, y = (pd.Series(list(part(tables)), dtype=float) for part in (first, second))
        if len(x) != len(y) or len(x) < 3:
            raise Missing(f"a correlation needs pairs of numbers, at least 3; got {len(x)} and {len(y)}")
        r = float(x.corr(y))
        if len(x) < 4 or not abs(r) < 1:
            return Effect(r, networks=networks or len(x))
        half = 1.959964 / (len(x) - 3) ** 0.5
        return Effect(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half),
                      networks or len(x))
    return of


def _sample(tables, figure, label, who, where):
    found = tables.read(figure, label=label, who=who, **where).iloc[0]
    if math.isnan(found["mean"]):
        raise Missing(f"{figure}.csv: {label} is {found.status}")
    return Sample(found["mean"], found["std"], int(found.seeds))


def _interval(ours):
    from scipy.stats import t

    half = float(t.ppf(0.975, ours.n - 1)) * ours.std / ours.n**0.5 if ours.n > 1 else math.nan
    return ours.mean, ours.mean - half, ours.mean + half


def difference(ours: Sample, theirs: Sample) -> Effect:
    """Two :class:`rrahelpers.study.significance.Sample`: the first less the second, with Welch's interval."""
    found = welch(ours, theirs)
    return Effect(found.value, found.low, found.high, min(ours.n, theirs.n))
