"""Each verb on both sides of its boundary, and what it says where nothing can be told."""

import math

import pandas as pd
import pytest

from rrahelpers.study.claims import verbs
from rrahelpers.study.claims.claim import Check, Verdict
from rrahelpers.study.claims.readings import Effect, Numbers
from rrahelpers.study.claims.tables import Missing


def numbers(*values):
    return Numbers(lambda tables: pd.Series(values, dtype=float))


def exact(value):
    return lambda tables: Effect(value, exact=True)


def missing(tables):
    raise Missing("there is no table")


def verdict(check, tables=None):
    return check.decide(tables).verdict


CLOSE = (0.10, 0.11, 0.12)  # mean 0.11, interval 0.085 to 0.135
WIDE = (-0.5, 0.1, 0.8)  # mean 0.13, on both sides of 0


@pytest.mark.parametrize("value, printed, expected", [
    (41.5499e6, "41.5M", "agrees"), (41.5501e6, "41.5M", "disagrees"), (41.45e6, "41.5M", "agrees"),
    (271_500, "272K", "agrees"), (271_499, "272K", "disagrees"), (4.655e9, "4.65B", "agrees"),
    (0.01749, "1.7%", "agrees"), (0.01751, "1.7%", "disagrees"), (-0.2, "-0.2", "agrees"), (0.2, "-0.2", "disagrees")])
def test_a_printed_number_allows_half_of_its_last_digit(value, printed, expected):
    assert verdict(verbs.number(exact(value), printed)) == expected


def test_a_printed_number_of_no_known_form():
    with pytest.raises(ValueError, match="got 'about 5'"):
        verbs.number(Numbers(lambda tables: pd.Series([5.0])), "about 5")


def test_a_printed_deviation_allows_twice_the_standard_error():
    """Of 8 printed networks and one of ours: 2 * 0.2 * sqrt(1/8 + 1) = 0.424, and 0.05 for the digit."""
    assert verdict(verbs.number(numbers(90.07), "89.6 ± 0.2", of=8)) == "agrees"
    assert verdict(verbs.number(numbers(90.08), "89.6 ± 0.2", of=8)) == "disagrees"


def test_a_number_outside_whose_interval_isnt_is_in_part():
    found = verbs.number(numbers(*WIDE), "0.0").decide(None)
    assert (found.verdict, found.why) == ("partly", "not told apart")
    assert found.low < 0 < found.high
    assert verdict(verbs.number(numbers(*CLOSE), "0.0")) == "disagrees"


@pytest.mark.parametrize("verb, values, expected", [
    (verbs.rises, CLOSE, "agrees"), (verbs.falls, CLOSE, "disagrees"), (verbs.rises, WIDE, "partly"),
    (verbs.falls, WIDE, "partly"), (verbs.falls, [-v for v in CLOSE], "agrees"), (verbs.rises, (5.0,), "partly"),
    (verbs.falls, (5.0,), "partly"), (verbs.rises, (0.2, 0.2), "agrees"), (verbs.differs, CLOSE, "agrees"),
    (verbs.differs, [-v for v in CLOSE], "agrees"), (verbs.differs, WIDE, "partly")])
def test_a_direction_is_judged_by_its_interval(verb, values, expected):
    assert verdict(verb(numbers(*values))) == expected


def test_a_direction_by_more_than_something():
    assert verdict(verbs.rises(numbers(*CLOSE), 0.08)) == "agrees"
    assert verdict(verbs.rises(numbers(*CLOSE), 0.1)) == "partly"
    assert verdict(verbs.rises(numbers(*CLOSE), 0.14)) == "disagrees"
    assert verdict(verbs.falls(exact(0.02), 0.03)) == "agrees"
    assert verdict(verbs.falls(exact(0.04), 0.03)) == "disagrees"


def test_one_network_is_not_told_apart_whatever_the_sign():
    found = verbs.rises(numbers(0.7)).decide(None)
    assert (found.verdict, found.networks, found.low) == ("partly", 1, None)
    assert "not told apart: one network" in found.why


@pytest.mark.parametrize("bound, expected", [(0.14, "agrees"), (0.12, "partly"), (0.05, "disagrees")])
def test_the_same_within_a_bound(bound, expected):
    assert verdict(verbs.within(numbers(*CLOSE), bound)) == expected
    assert verdict(verbs.within(numbers(*(-v for v in CLOSE)), bound)) == expected


@pytest.mark.parametrize("margin, expected", [(0.1, "agrees"), (0.07, "partly"), (0.01, "disagrees")])
def test_a_number_that_is_printed_as_about(margin, expected):
    assert verdict(verbs.near(numbers(*CLOSE), 0.05, margin)) == expected


def test_different_networks_are_compared_by_welchs_interval():
    assert verdict(verbs.above(numbers(3.0, 3.1, 3.2), numbers(1.0, 1.1, 1.3))) == "agrees"
    assert verdict(verbs.above(numbers(1.0, 1.1, 1.3), numbers(3.0, 3.1, 3.2))) == "disagrees"
    assert verdict(verbs.above(numbers(1.0, 3.0), numbers(1.1, 2.9))) == "partly"
    assert verdict(verbs.above(numbers(3.0), numbers(1.0, 1.1))) == "partly"
    assert verbs.above(numbers(1.0), numbers(2.0)).kind == "ordering"


@pytest.mark.parametrize("values, expected", [((8, 8), "agrees"), ((8, 9), "partly"), ((9, 9), "disagrees")])
def test_a_layer_in_every_network(values, expected):
    assert verdict(verbs.equals(numbers(*values), 8)) == expected


@pytest.mark.parametrize("kind, value, expected", [("number", 8, "partly"), ("direction", 9, "partly"),
                                                   ("procedure", 8, "agrees"), ("definition", 9, "disagrees")])
def test_one_trained_network_is_not_told_apart(kind, value, expected):
    found = verbs.equals(numbers(value), 8, kind=kind).decide(None)
    assert found.verdict == expected
    assert found.why == {8: "not told apart: one network, which shows it",
                         9: "not told apart: one network, which doesn't show it"}[value] * (expected == "partly")


def test_a_layer_of_what_no_training_enters():
    assert verdict(verbs.equals(exact(8.0), 8)) == "agrees"
    assert verdict(verbs.equals(lambda tables: (16, 8, 1), (16, 8, 1))) == "agrees"
    assert verdict(verbs.equals(lambda tables: (16, 8, 2), (16, 8, 1))) == "disagrees"


@pytest.mark.parametrize("parts, expected", [
    ("agrees agrees", "agrees"), ("agrees disagrees", "partly"), ("agrees partly", "partly"),
    ("partly disagrees", "disagrees"), ("disagrees disagrees", "disagrees"), ("partly partly", "partly"),
    ("agrees not_measured", "partly"), ("not_measured not_measured", "not measured"),
    ("disagrees not_measured", "disagrees")])
def test_all_of_several(parts, expected):
    checks = [Check("number", lambda tables, name=name: Verdict(name.replace("_", " "))) for name in parts.split()]
    assert verdict(verbs.every(*checks)) == expected


def test_all_of_several_tells_how_many():
    found = verbs.every(verbs.rises(numbers(*CLOSE)), verbs.rises(missing)).decide(None)
    assert found.verdict == "partly"
    assert "1 of 2 agrees" in found.why and "there is no table" in found.why


def test_what_is_missing_is_not_measured():
    for check in (verbs.rises(missing), verbs.number(missing, "1"), verbs.equals(missing, 1), verbs.every(
            verbs.rises(missing))):
        found = check.decide(None)
        assert (found.verdict, found.why) == ("not measured", "there is no table")


def test_properties_of_the_code():
    assert verdict(verbs.holds(lambda: True, "never said")) == "agrees"
    found = verbs.holds(lambda: False, "what differs").decide(None)
    assert (found.verdict, found.why) == ("disagrees", "what differs")

    def program(device, every=1):
        pass

    assert verdict(verbs.takes(program, "device", "every")) == "agrees"
    found = verbs.takes(program, "device", "batches", why="all are taken").decide(None)
    assert (found.verdict, found.why) == ("partly", "program has no batches. all are taken")
    assert verdict(verbs.takes(program, "batches")) == "disagrees"


def test_what_nothing_can_be_asked_about():
    assert verbs.not_measured("a GPU", "number").decide(None).why == "a GPU"
    assert verdict(verbs.not_possible("ImageNet isn't at hand", "number")) == "not possible here"
    assert verdict(verbs.stated("partly", "averages alone", "procedure")) == "partly"
    with pytest.raises(ValueError, match="expected one of agrees"):
        Verdict("true")


def test_means_and_intervals():
    found = verbs.effect(numbers(1.0, 2.0, 3.0), None)
    assert found.value == 2 and found.networks == 3
    assert found.high - found.value == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # t of two degrees of freedom
