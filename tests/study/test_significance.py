"""Differences and variation over seeds, against scipy and by hand."""

import math

import numpy as np
import pytest

from rrahelpers.study.significance import Sample, sample, variation, welch


def test_welch_against_scipy():
    from scipy.stats import ttest_ind

    a, b = np.random.default_rng(0).normal(90, 0.3, 5), np.random.default_rng(1).normal(89, 0.9, 3)
    interval = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    difference = welch(sample(a), sample(b))
    assert difference.value == pytest.approx(a.mean() - b.mean())
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))


def test_by_hand():
    # equal n and deviations: 2n - 2 = 14 degrees of freedom, t = 2.1448
    difference = welch(Sample(90.6, 0.2, 8), Sample(89.9, 0.2, 8))
    assert difference.high - difference.value == pytest.approx(2.1448 * 0.2 * (2 / 8) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("few", [Sample(90, math.nan, 1), Sample(math.nan, math.nan, 0)])
def test_too_few_seeds_give_no_interval(few):
    difference = welch(few, Sample(89, 0.2, 3))
    assert math.isnan(difference.low) and math.isnan(difference.high)
    assert math.isnan(welch(Sample(90, 0.0, 3), Sample(90, 0.0, 3)).low)


def groups(*sizes):
    generator = np.random.default_rng(0)
    return [generator.normal(90 + 0.3 * number, 0.5, size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize("sizes", [(8, 8, 8), (2, 5, 3), (3, 1, 1, 2)])
def test_variation_is_the_analysis_of_variance_of_scipy(sizes):
    from scipy.stats import f_oneway

    designs = groups(*sizes)
    expected = f_oneway(*designs)
    found = variation([sample(design) for design in designs])
    assert (found.f, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.between, found.within) == (len(sizes) - 1, sum(sizes) - len(sizes))


def test_other_designs_tell_the_spread_of_seeds_alone():
    # single networks at 80 and 82, seeds at 1 and 3: between 2, within 2
    found = variation([Sample(80, math.nan, 1), Sample(82, math.nan, 1)], [sample([1, 3])])
    assert found[:3] == pytest.approx((1, 1, 1))
    assert found.p == pytest.approx(0.5)
    assert variation([Sample(80, math.nan, 1), Sample(82, math.nan, 1)], iter([sample([51, 53])])) == found


def test_chance_alone_is_significant_one_time_in_twenty():
    generator = np.random.default_rng(1)
    found = [variation([Sample(value, math.nan, 1) for value in generator.normal(size=6)],
                       [sample(generator.normal(size=3)), sample(generator.normal(size=3))]).p for _ in range(2000)]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("designs", [
    [], [sample([80, 81])], [sample([80]), sample([81])], [sample([80, 80]), sample([81, 81])],
    [sample([]), sample([80, 81])],
])
def test_without_two_designs_or_a_spread_there_is_no_test(designs):
    found = variation(designs)
    assert math.isnan(found.f) and math.isnan(found.p)
