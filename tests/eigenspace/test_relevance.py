"""The test for relevant eigenspaces: against SciPy, by hand, and against the printed tables, which it must explain."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rrahelpers.eigenspace import projection_tests, relevant_delta
from rrahelpers.study import published

PRINTED = published.dissertation("projection_tests")


def evaluations(differences, delta=0.99, dimensions=10):
    return pd.DataFrame({"delta": delta, "subspace": "eigenspace", "seed": range(len(differences)),
                         "difference": differences, "dimensions": dimensions})


def test_by_hand():
    row, = projection_tests(evaluations([0.01, 0.02, 0.03], dimensions=[8, 10, 12])).itertuples(index=False)
    assert (row.delta, row.networks, row.dimensions, row.dimensions_std) == (0.99, 3, 10, 2)
    assert (row.difference, row.std, row.t) == pytest.approx((0.02, 0.01, 2 * 3**0.5))
    half = 4.302653 * 0.01 / 3**0.5  # Student's t for 2 degrees of freedom, 97.5 %
    assert (row.low, row.high) == pytest.approx((0.02 - half, 0.02 + half), rel=1e-6)


def test_equals_scipys_paired_test_of_both_accuracies():
    generator = np.random.default_rng(0)
    plain, projected = generator.uniform(0.8, 0.9, 12), generator.uniform(0.79, 0.9, 12)
    table = pd.concat([evaluations(plain - projected, 0.9), evaluations(plain - projected**2, 0.5)])
    random = evaluations(generator.uniform(size=12), 0.9).assign(subspace="random")
    tests = projection_tests(pd.concat([table, random]))
    assert tests.delta.tolist() == [0.9, 0.5]
    for row, other in zip(tests.itertuples(), (projected, projected**2)):
        assert (row.t, row.p) == pytest.approx(tuple(stats.ttest_rel(plain, other)))


def test_what_cannot_be_told_is_nan():
    for differences in ([0.02], [0.3 - 0.2, 0.1, 0.4 - 0.3], [0.0, 0.0]):
        row = projection_tests(evaluations(differences)).iloc[0]
        assert row.difference == pytest.approx(np.mean(differences))
        assert row[["low", "high", "t", "p"]].isna().all()


def test_without_networks_the_table_is_empty():
    tests = projection_tests(evaluations([]))
    assert len(tests) == 0 and tests.columns.tolist() == projection_tests(evaluations([0.1])).columns.tolist()
    assert relevant_delta(tests) is None


def test_networks_of_two_architectures_are_refused():
    with pytest.raises(ValueError, match="give the networks of one architecture"):
        projection_tests(pd.concat([evaluations([0.1, 0.2]), evaluations([0.3, 0.4])]))


def test_the_printed_tests_are_paired_tests_of_the_printed_means():
    """t within what rounding allows, and p from t; so every printed row is transcribed as it is meant."""
    rows = PRINTED[PRINTED.delta < 1]
    assert rows.groupby("table").size().tolist() == [23, 27, 24, 23]
    wrong = []
    for row in rows.itertuples():
        size, half = abs(row.difference), 0.5e-4  # means and deviations are printed to 4 digits
        lowest, highest = ((size + sign * half) / (row.std - sign * half) * row.networks**0.5 for sign in (-1, 1))
        surest, least = (2 * stats.t.sf(abs(row.t) + sign * 0.005, row.networks - 1) for sign in (1, -1))
        if not (lowest * 0.995 < abs(row.t) < highest * 1.005 and surest - 6e-4 < row.p < least + 6e-4):
            wrong.append((row.table, row.delta))
    assert wrong == [(5, 0.9998)]  # p = 0.983 is printed where t = 0.0796 gives 0.938


@pytest.mark.parametrize("model, alpha, delta", [
    ("resnet18", 0.05, 0.9991), ("resnet18", 0.01, 0.996), ("vgg11", 0.01, 0.994), ("vgg13", 0.01, 0.996),
    ("vgg19", 0.01, 0.9992),
])
def test_relevant_thresholds_of_the_printed_tables(model, alpha, delta):
    table = PRINTED[PRINTED.model == model].sample(frac=1, random_state=0)
    assert relevant_delta(table, alpha) == delta


def test_a_gain_is_no_loss_and_without_p_every_loss_counts():
    tests = pd.DataFrame({"delta": [0.9, 0.99, 0.999], "difference": [0.1, -0.1, 0.0], "p": [np.nan, 0.001, np.nan]})
    assert relevant_delta(tests) == 0.99
    assert relevant_delta(tests.assign(difference=0.1)) is None


def test_a_margin_asks_what_the_interval_rules_out():
    tests = pd.DataFrame({"delta": [0.9, 0.99, 0.999, 0.9999], "difference": [0.3, 0.002, -0.001, 0.0],
                          "p": [0.02, 0.5, 0.7, np.nan], "high": [0.6, 0.008, 0.004, np.nan]})
    assert relevant_delta(tests) == 0.9  # no loss is significant
    assert relevant_delta(tests, margin=0.01) == 0.99
    assert relevant_delta(tests, margin=0.005) == 0.999
    assert relevant_delta(tests, margin=0.001) == 0.9999
    assert relevant_delta(tests.assign(difference=0.1), margin=0.001) is None


def test_an_unknown_table_is_named():
    with pytest.raises(ValueError, match="dissertation's tables .*, got 'table 5'"):
        published.dissertation("table 5")
