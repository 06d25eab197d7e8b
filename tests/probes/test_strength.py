"""The choice of a penalty on held-out training samples, and the flag of probes that overfit."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from rrahelpers.probes import each_probe, fit_probe, overfitted, probe_positions, strength

STRENGTHS = [1.0, 0.1, 0.01, 0.001]


def noisy(n, seed, features=300, classes=3):
    """Samples of which a few features tell the class and the others nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    x = torch.randn(n, features, generator=generator)
    x[:, :classes] += nn.functional.one_hot(labels, classes)
    return x, labels


@pytest.mark.parametrize("classes", [2, 4])
def test_every_tenth_sample_of_a_class_is_held_out_and_the_strongest_of_equal_penalties_is_taken(classes):
    """Whatever the order: in turn, so that every tenth of all would be of one class, or of two."""
    x, seen = torch.arange(80.0)[:, None], []

    def fit(x, y, x_test, y_test, C):
        seen.append((C, x_test.flatten().tolist(), len(x)))
        return SimpleNamespace(accuracy={1.0: 0.5, 0.1: 0.8, 0.01: 0.8}[C])

    labels = torch.arange(80) % classes
    assert strength.choose(fit, x, labels, [1.0, 0.01, 0.1]) == 0.01
    assert [C for C, _, _ in seen] == [0.01, 0.1, 1.0]
    expected = [i for i in range(80) if i // classes % 10 == 9]
    assert all((held, n) == (expected, 80 - len(expected)) for _, held, n in seen)
    assert sorted({int(labels[i]) for i in expected}) == list(range(classes))


def test_the_choice_is_scikit_learns_on_the_same_samples():
    (x, y), (x_test, y_test) = noisy(200, 0), noisy(1000, 1)
    held = torch.arange(200) // 3 % 10 == 9
    scores = {C: LogisticRegression(C=C, max_iter=2000).fit(x[~held], y[~held]).score(x[held], y[held])
              for C in sorted(STRENGTHS)}
    best = max(scores, key=scores.get)
    found = fit_probe(x, y, x_test, y_test, C=STRENGTHS)
    assert found.C == best < 1
    alone = fit_probe(x, y, x_test, y_test, C=best)
    assert found.accuracy == alone.accuracy > fit_probe(x, y, x_test, y_test).accuracy
    assert torch.equal(found.coefficients, alone.coefficients)  # fitted on all samples


def test_tables_tell_the_choice():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    images, labels = torch.randn(60, 1, 8, 8), torch.arange(60) % 2
    table = pd.concat(each_probe(model, images, labels, images, labels, ["0", "1"], sizes=(1, 4), C=[1.0, 0.01]))
    assert set(table["C"]) <= {1.0, 0.01} and len(table) == 4
    assert "C" not in next(each_probe(model, images, labels, images, labels, ["0"]))


@pytest.mark.parametrize("strengths, words", [([], "empty list"), ([1, 0], "C above 0 and finite, got 0"),
                                              ([1, "2"], "C to be a number, got '2'"),
                                              ("1", "C to be a number, got '1'")])
def test_strengths_that_are_none(strengths, words):
    x, y = noisy(40, 0)
    with pytest.raises(ValueError, match=words):
        fit_probe(x, y, x, y, C=strengths)


def test_too_few_samples_to_hold_some_out_and_places_with_several():
    x, y = noisy(19, 0)
    with pytest.raises(ValueError, match=r"at least 10 .* of two classes, .* got \[7, 6\] in the two largest"):
        fit_probe(x, y, x, y, C=[1, 0.1])
    with pytest.raises(ValueError, match="one C for the probes of all places"):
        probe_positions(torch.zeros(2, 1, 1, 1), [0, 1], torch.zeros(2, 1, 1, 1), [0, 1], C=[1, 0.1])


@pytest.mark.parametrize("gain, flagged", [(0.0130, True), (0.0127, False)])  # two standard errors: 1.29 points
def test_a_probe_that_scores_below_one_that_knows_less_is_flagged(gain, flagged):
    error = 2 * ((0.7 * 0.3 + (0.7 + gain) * (0.3 - gain)) / 10_000) ** 0.5
    assert (gain > error) == flagged
    table = pd.DataFrame({"layer": ["a", "a", "b"], "features": [1024, 64, 64], "value": [0.7, 0.7 + gain, 0.9]})
    assert overfitted(table, 10_000).tolist() == [flagged, False, False]


def test_a_smaller_strength_of_the_same_features_flags_too_but_no_larger_one():
    table = pd.DataFrame({"layer": "a", "features": 64, "C": [1.0, 0.01], "value": [0.6, 0.7]})
    assert overfitted(table, 5000).tolist() == [True, False]
    assert overfitted(table.assign(value=[0.7, 0.6]), 5000).tolist() == [False, False]  # more is known at C = 1
