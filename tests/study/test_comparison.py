"""Tables of published beside measured."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from rrahelpers import plots
from rrahelpers.study import comparison, published
from rrahelpers.study.significance import Sample, variation, welch


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
    table = table.assign(runs=[[SimpleNamespace(accuracy=a) for a in accuracies.get(label, [])]
                               for label in table.label])
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


def test_a_data_set_with_no_row_in_the_profile_has_no_panel(table):
    import matplotlib.pyplot as plt

    asked = comparison.top1(table, {"attention": "stac"})
    nothing = comparison.top1(table.assign(runs=[[]] * len(table), configs=[[]] * len(table)), {"attention": "stac"})
    for tables, titles in (({("A", "a"): asked, ("B", "b"): nothing}, ["published: A", "measured: a"]),
                           ({("B", "b"): nothing}, ["published: B", "measured: b"])):
        fig = plots.top1_panels(tables)
        assert [ax.get_title() for ax in fig.axes] == titles
        plt.close(fig)


def test_variation_of_the_rows(table):
    printed = [Sample(row.accuracy, row.accuracy_std, 8) for row in table.itertuples()]
    f, p = variation(printed).f, variation(printed).p
    assert comparison.published_variation(table) == f"F(4, 35) = {f:.2f}, p = {p:.2g}"
    unprinted = pd.concat([table, table.iloc[[0]].assign(accuracy=math.nan)])
    assert comparison.published_variation(unprinted) == comparison.published_variation(table)
    # 80 and 82 against 83: F = (8 / 3) / 2 with 1 and 1 degrees of freedom, and p = 1 - 2 / pi atan(F ** 0.5)
    p = 1 - 2 / math.pi * math.atan((4 / 3) ** 0.5)
    assert comparison.measured_variation(table) == f"F(1, 1) = {4 / 3:.2f}, p = {p:.2g}"


def test_other_tables_tell_the_spread_of_seeds_and_a_network_counts_once(table):
    single = table[table.label == "P 1"]
    other = table.assign(runs=[[SimpleNamespace(accuracy=a) for a in (0.8, 0.81, 0.82)]] * len(table))
    assert comparison.measured_variation(single, [other]) == "no conclusion: too few networks"
    pair = pd.concat([single, single, table[table.label == "P 8"]])
    alone = comparison.measured_variation(pair)
    assert alone.startswith("F(1, 1)")
    assert comparison.measured_variation(pair, [table[table.label == "P 8"]]) == alone
    base = table.iloc[[0]].assign(options=[{}], runs=[[SimpleNamespace(accuracy=a) for a in (0.8, 0.81, 0.82)]])
    assert comparison.measured_variation(pair, [base, base]).startswith("F(1, 3)")
    diverged = base.assign(runs=[[SimpleNamespace(accuracy=math.nan)]])
    assert comparison.measured_variation(pd.concat([pair, diverged])) == "no conclusion: networks diverged"


def test_counts_beside_printed_ones():
    one = published.table(4).query("data == 'CIFAR10' and label == 'P 2'")
    rows = pd.concat([published.table(5).query("data == 'CIFAR10'"), one])
    text = comparison.counts_for_reading(comparison.with_counts(rows))
    assert text.loc["Greedy (16 8 1)", "counted flops"] == "56.1M (differs)"
    assert text.loc["Max CS (8 4 8)", "counted flops"] == "43.0M"
    assert text.loc["P 2", "counted params"] == "563K"
    assert text.loc["Max CS (8 4 8)", "published params"] == ""


def test_differences_to_every_other_row(table):
    text = comparison.rivals_for_reading(table, {"attention": "stac"}).set_index("P 8 less")
    assert list(text.index) == ["P 1", "P 2", "P 4", "P GAP"]
    assert text.measured.tolist() == ["-2.0 (no conclusion: too few seeds)", "", "", ""]
    tidy = comparison.top1(table, {"attention": "stac"}).query("who == 'published'").set_index("label")
    row = tidy.loc["P GAP"]
    assert text.loc["P GAP", "published"] == f"{-row.difference:+.1f} [{-row.high:+.2f}, {-row.low:+.2f}]"


def test_every_network_of_some_tables():
    runs = [SimpleNamespace(accuracy=accuracy, config=SimpleNamespace(seed=seed))
            for seed, accuracy in enumerate((0.5, 0.6))]
    grid = pd.DataFrame({"stage": [1, 2], "window": [8, 4], "runs": [runs, []]})
    found = comparison.single_networks({"A": (grid, grid[1:]), "B": (grid[1:],)})
    assert found.to_numpy().tolist() == [["A", 1, 8, 0, 50], ["A", 1, 8, 1, 60]]
    assert list(found) == ["data", "stage", "window", "seed", "top1"]


def test_columns_that_nobody_measured_come_behind(table):
    first, *others = comparison.with_other_columns(4, [table])
    assert first is table and [part["data"].iloc[0] for part in others] == ["Img64-50"]
