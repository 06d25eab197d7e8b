"""Differences with their confidence, and tables of published beside measured."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rrahelpers import comparison, published
from rrahelpers.comparison import Sample, sample, welch


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


def test_runs_that_diverged_are_left_out():
    measured = comparison.measured([SimpleNamespace(accuracy=a) for a in (0.5, math.nan, 0.7)])
    assert (measured.mean, measured.n) == (pytest.approx(60), 2)


@pytest.fixture
def table():
    """Table 4's CIFAR-10 rows: window 8 with two networks, window 1 with one, the others untrained or not asked for."""
    rows = published.table(4).query("data == 'CIFAR10'").reset_index(drop=True)
    runs = {"P 8": [0.80, 0.82], "P 1": [0.83]}
    return rows.assign(runs=[[SimpleNamespace(accuracy=a) for a in runs.get(label, [])] for label in rows.label],
                       configs=[[] if label == "P 2" else [None] for label in rows.label])


def test_published_beside_measured(table):
    tidy = comparison.top1(table, {"attention": "stac"}).set_index(["label", "who"])
    assert tidy.loc[("P 8", "measured"), "mean"] == pytest.approx(81)
    assert tidy.loc[("P 8", "measured"), "difference"] == 0
    assert tidy.loc[("P 1", "measured"), "difference"] == pytest.approx(2)
    assert np.isnan(tidy.loc[("P 1", "measured"), "low"])
    printed = [tidy.loc[(label, "published"), ["mean", "std"]] for label in ("P 1", "P 8")]  # of 8 networks each
    expected = welch(*(Sample(*row, 8) for row in printed))
    assert tidy.loc[("P 1", "published"), ["difference", "low", "high"]].tolist() == pytest.approx(list(expected))
    status = tidy.xs("measured", level="who").status
    assert status.to_dict() == {"P 1": "measured", "P 2": "not in this profile", "P 4": "not trained yet",
                                "P 8": "measured", "P GAP": "not trained yet"}


def test_for_reading(table):
    text = comparison.top1_for_reading(table, {"attention": "stac"})
    assert text.loc["P 8", "measured top-1 (%)"] == "81.0 ± 1.4 (2 seeds)"
    assert text.loc["P 4", "measured top-1 (%)"] == "not trained yet"
    assert text.loc["P 8", "measured difference [95 %]"] == "reference"
    assert text.loc["P 1", "measured difference [95 %]"] == "+2.0 (no conclusion: too few seeds)"
    with pytest.raises(ValueError, match="no row has the reference's options"):
        comparison.top1(table, {"attention": "bam"})


def test_rows_without_a_printed_number():
    rows = published.table(1).query("data == 'CIFAR10'").iloc[[0]]
    rows = pd.concat([rows, rows.assign(label="no number", accuracy=math.nan, options=[{"attention": "bam"}]),
                      rows.assign(label="Greedy, ours (8 8 8)", accuracy=math.nan, options=[{"attention": "stac"}])])
    tidy = comparison.top1(rows.assign(runs=[[]] * 3, configs=[[]] * 3), {}).query("who == 'published'")
    assert tidy.status.tolist() == ["printed", "unstable", ""]


def test_networks_that_diverged_are_told_beside_the_mean_of_the_others(table):
    accuracies = {"P 8": [0.80, 0.82], "P 1": [0.83, math.nan, 0.85], "P 4": [math.nan]}
    table = table.assign(runs=[[SimpleNamespace(accuracy=a) for a in accuracies.get(label, [])] for label in table.label])
    tidy = comparison.top1(table, {"attention": "stac"}).query("who == 'measured'").set_index("label")
    assert tidy.diverged.to_dict() == {"P 1": 1, "P 2": 0, "P 4": 1, "P 8": 0, "P GAP": 0}
    assert tidy.loc["P 1", ["mean", "difference"]].tolist() == pytest.approx([84, 3])
    assert tidy.loc[["P 1"], ["low", "high"]].isna().all(axis=None)  # an interval would be of the lucky ones
    text = comparison.top1_for_reading(table, {"attention": "stac"})
    assert text.loc["P 1", "measured top-1 (%)"] == "84.0 ± 1.4 (2 seeds, 1 diverged)"
    assert text.loc["P 1", "measured difference [95 %]"] == "+3.0 (no conclusion: networks diverged)"
    assert text.loc["P 4", "measured top-1 (%)"] == "diverged"


def test_no_interval_where_nothing_varies(table):
    runs = {"P 8": [0.8] * 3, "P 1": [0.9] * 3}
    table = table.assign(runs=[[SimpleNamespace(accuracy=a) for a in runs.get(label, [])] for label in table.label])
    text = comparison.top1_for_reading(table, {"attention": "stac"})
    assert text.loc["P 1", "measured difference [95 %]"] == "+10.0 (no conclusion: no spread to judge by)"


def test_counts_beside_printed_ones():
    one = published.table(4).query("data == 'CIFAR10' and label == 'P 2'")
    rows = pd.concat([published.table(5).query("data == 'CIFAR10'"), one])
    text = comparison.counts_for_reading(comparison.with_counts(rows))
    assert text.loc["Greedy (16 8 1)", "counted flops"] == "56.1M (differs)"
    assert text.loc["Max CS (8 4 8)", "counted flops"] == "43.0M"
    assert text.loc["P 2", "counted params"] == "563K"
    assert text.loc["Max CS (8 4 8)", "published params"] == ""
