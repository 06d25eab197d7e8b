"""Numbers over seeds: mean and deviation, differences with their confidence, and whether several designs differ at
all."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd


class Sample(NamedTuple):
    """Mean and standard deviation (with n - 1; NaN for one) of ``n`` numbers."""

    mean: float
    std: float
    n: int


class Difference(NamedTuple):
    """A difference of means and its confidence interval; ``low`` and ``high`` are NaN where there is none."""

    value: float
    low: float
    high: float


class Variation(NamedTuple):
    """The F test of :func:`variation`: statistic, its two degrees of freedom, and the probability of a larger one by
    chance."""

    f: float
    between: int
    within: int
    p: float


def sample(values: Iterable[float]) -> Sample:
    """The :class:`Sample` of some numbers. NaN (a run that diverged) is left out; without numbers, all is NaN."""
    values = pd.Series(values, dtype=float).dropna()
    return Sample(float(values.mean()), float(values.std()), len(values))


def welch(first: Sample, second: Sample, confidence: float = 0.95) -> Difference:
    """``first`` less ``second`` with Welch's confidence interval for unequal variances, from two :class:`Sample`.

    The interval is NaN where one of the two has fewer than two numbers, or neither varies at all.
    """
    from scipy.stats import t

    value = first.mean - second.mean
    if min(first.n, second.n) < 2:
        return Difference(value, math.nan, math.nan)
    a, b = first.std**2 / first.n, second.std**2 / second.n
    if not a + b > 0:
        return Difference(value, math.nan, math.nan)
    freedom = (a + b) ** 2 / (a**2 / (first.n - 1) + b**2 / (second.n - 1))
    half = float(t.ppf((1 + confidence) / 2, freedom)) * (a + b) ** 0.5
    return Difference(value, value - half, value + half)


def variation(designs: Iterable[Sample], others: Iterable[Sample] = ()) -> Variation:
    """Do designs differ by more than networks of one design do from seed to seed? One-way analysis of variance.

    Parameters
    ----------
    designs: a :class:`Sample` for each design; one of a single number counts where others tell the spread of seeds.
    others: of further designs, which tell that spread too. The test takes it to be the same in all.

    Returns a :class:`Variation`; ``f`` and ``p`` are NaN for fewer than two designs, or where nothing tells a spread.
    """
    from scipy.stats import f

    known = [design for design in designs if design.n]
    repeated = [design for design in (*known, *others) if design.n > 1]
    between, within = max(0, len(known) - 1), sum(design.n - 1 for design in repeated)
    spread = sum((design.n - 1) * design.std**2 for design in repeated)
    if not (between and spread > 0):
        return Variation(math.nan, between, within, math.nan)
    centre = sum(design.n * design.mean for design in known) / sum(design.n for design in known)
    apart = sum(design.n * (design.mean - centre) ** 2 for design in known)
    ratio = (apart / between) / (spread / within)
    return Variation(ratio, between, within, float(f.sf(ratio, between, within)))
