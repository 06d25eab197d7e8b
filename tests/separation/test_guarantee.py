"""Guarantees under attack: where one is given, no perturbation that a test tries may change the answer."""

import math

import pytest
import torch

from rrahelpers.neighbors import knn_graph
from rrahelpers.separation import Margins, error_bound, gamma_by_order, guarantee, margins, margins_of, smoothness_index


def separated(n=90, classes=3, dimension=4):
    """Clusters that lie apart: SI is 1."""
    labels = torch.arange(n) % classes
    return torch.rand(n, dimension, dtype=torch.float64) + 2 * torch.eye(classes, dimension)[labels], labels


def perturbed(x, goals, gamma, tries=40):
    """Places within ``gamma`` of x [M, D]: random ones, ``tries`` times, and straight at ``goals``."""
    steps = torch.randn(tries, *x.shape, dtype=torch.float64)
    steps *= gamma / steps.norm(dim=2, keepdim=True) * torch.linspace(0.2, 1, tries)[:, None, None]
    ahead = goals - x
    return x + torch.cat([steps, (gamma * ahead / ahead.norm(dim=-1, keepdim=True))[None]])


def nearest(places, x):
    return torch.cdist(places, x.expand(len(places), *x.shape)).argmin(2)


@pytest.mark.parametrize("seed", range(3))
def test_with_training_data_no_perturbation_changes_the_prediction(seed):
    torch.manual_seed(seed)
    x, labels = separated()
    new, truth = separated(60)
    known = margins_of(new, x, labels)
    assert known.index == 1 and torch.equal(known.prediction, truth)
    rivals = torch.cdist(new, x).masked_fill(labels == truth[:, None], torch.inf).argmin(1)
    for gamma in (0.05, 0.2, 0.4):
        sure = guarantee(known, gamma)
        assert torch.equal(sure, gamma < (known.between - known.within) / 2)
        found = labels[nearest(perturbed(new, x[rivals], gamma), x)]
        assert (found == truth)[:, sure].all()
    assert guarantee(known, 0.2).any() and not guarantee(known, 2.0).any()


def test_without_training_data_no_perturbation_of_a_sample_changes_its_neighbours_label():
    x, labels = separated(300)
    known = margins(x, labels)
    gamma = 0.999 * (known.between - known.within).item() / 2
    assert gamma > 0 and guarantee(known, gamma) and not guarantee(known, gamma * 1.01)
    distances = torch.cdist(x, x)
    rivals = distances.masked_fill(labels == labels[:, None], torch.inf).argmin(1)
    places = perturbed(x, x[rivals], gamma, tries=10)
    others = torch.cdist(places, x.expand(len(places), *x.shape))
    others.diagonal(dim1=1, dim2=2).fill_(torch.inf)  # the sample itself is not in the training data
    assert (labels[others.argmin(2)] == labels).all()


def test_the_bound_is_reached():
    """On a line the guaranteed error is exact: a little more does change the prediction."""
    x, labels = torch.tensor([[-2.0], [-1.0], [3.0], [4.0]]), torch.tensor([0, 0, 1, 1])
    known = margins_of(torch.zeros(1, 1), x, labels)
    assert (known.within.item(), known.between.item(), known.prediction.item()) == (1, 3, 0)
    assert guarantee(known, 0.99) and not guarantee(known, 1.0)
    assert margins_of(torch.full((1, 1), 1.01), x, labels).prediction.item() == 1


def test_margins_worked_by_hand():
    x, labels = torch.tensor([[0.0], [1.0], [3.0], [8.0], [10.0]]), torch.tensor([5, 5, 5, 2, 2])
    known = margins(x, labels)
    assert (known.index, known.within.item(), known.between.item()) == (1, 2, 5)
    assert guarantee(known, 1.49) and not guarantee(known, 1.5)


def test_a_large_gamma_guarantees_nothing():
    """sign(1 - (within + γ) / (between - γ)) is 1 again for γ > between: the printed formula alone would be wrong."""
    known = Margins(1.0, torch.tensor([0.2]), torch.tensor([1.0]))
    assert 1 - (0.2 + 5) / (1 - 5) > 0
    assert not guarantee(known, 5).any() and guarantee(known, 0.3).all()


def test_degenerate_data():
    x, labels = separated(30)
    assert guarantee(margins(x, torch.zeros(30, dtype=torch.int64)), 1e6)  # one class: there is nothing else to predict
    assert margins(x, torch.arange(30)).within == math.inf  # classes of one sample
    assert not guarantee(margins(x, torch.arange(30)), 0)
    twins, different = x.repeat(2, 1), torch.cat([labels, labels + 3])
    known = margins(twins, different)
    assert (known.index, known.between) == (0, 0) and not guarantee(known, 0)
    assert guarantee(margins(x, labels), 0) and guarantee(margins_of(x, x, labels), 0).all()
    mixed = labels.clone()
    mixed[0] = 1  # SI below 1: no guarantee even far from the odd sample
    assert not guarantee(margins_of(x, x, mixed), 0).any()


def test_data_in_many_blocks(monkeypatch):
    x, labels = separated(70)
    new, y = torch.rand(23, 4, dtype=torch.float64) * 3, x.sin()

    def answers():
        known, own = margins_of(new, x, labels), margins(x, labels)
        return [known.within, known.between, known.prediction, own.within, own.between, error_bound(new, x, y, 0.3),
                torch.tensor(smoothness_index(knn_graph(x, 1), y))]

    at_once = answers()
    monkeypatch.setattr("rrahelpers.base.arrays.BLOCK", 300)  # four rows of distances at a time
    for a, b in zip(at_once, answers()):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def test_the_error_bound_worked_by_hand():
    x, y = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([0.0, 1.0, 5.0])  # α: 1, 1, 4
    new = torch.tensor([[0.2]])
    assert [error_bound(new, x, y, gamma).item() for gamma in (0, 0.2, 0.4, 5)] == [1, 1, 2, 9]


@pytest.mark.parametrize("seed", range(3))
def test_the_error_bound_holds_at_every_place_within_gamma(seed):
    torch.manual_seed(seed)
    x, new = torch.rand(80, 3, dtype=torch.float64), torch.rand(40, 3, dtype=torch.float64)
    y = torch.stack([x.sum(1).sin(), x[:, 0] * x[:, 1]], 1)
    alpha = (y - y[knn_graph(x, 1).indices[:, 0]]).norm(dim=1)
    own, before = nearest(new[None], x)[0], torch.zeros(40)
    for gamma in (0.0, 0.05, 0.2, 0.5):
        bound = error_bound(new, x, y, gamma)
        there = nearest(perturbed(new, x[own.roll(1)], gamma, tries=200), x)
        assert ((y[own] - y[there]).norm(dim=2) + alpha[there] <= bound + 1e-12).all()
        assert (bound >= before).all()
        before = bound
    assert torch.equal(error_bound(new, x, y, 0), alpha[own])
    assert (before < error_bound(new, x, y, 100)).any()  # some training samples are still out of reach at 0.5


def test_gamma_by_order_worked_by_hand():
    x, labels = torch.tensor([[0.0], [1.0], [3.0], [8.0], [10.0]]), torch.tensor([5, 5, 5, 2, 2])
    table = gamma_by_order(torch.tensor([[0.5], [9.0], [6.0]]), x, labels, order=3)
    assert table.order.tolist() == [1, 2, 3]
    # at 0.5: within .5, between 7.5 (three of label 5); at 9: 1 and 6 (two of label 2); at 6: 2 and 3 (one)
    assert table.share.tolist() == pytest.approx([1, 2 / 3, 1 / 3])
    assert table.gamma.tolist() == pytest.approx([(3.5 + 2.5 + 0.5) / 3, 3, 3.5])
    assert table.smallest.tolist() == pytest.approx([0.5, 2.5, 3.5])
    assert gamma_by_order(torch.tensor([[6.0]]), x, labels, order=2).gamma.isna().tolist() == [False, True]
    with pytest.raises(ValueError, match="an order from 1 to 5"):
        gamma_by_order(x, x, labels, order=6)


def test_gamma_of_margins():
    known = Margins(1.0, torch.tensor([0.2, 3.0, math.inf, 1.0]), torch.tensor([1.0, 1.0, math.inf, math.inf]))
    assert known.gamma.tolist() == pytest.approx([0.4, 0, 0, math.inf])


X, Y = torch.rand(6, 2), torch.tensor([0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("call, error, message", [
    (lambda: guarantee(margins(X, Y), -0.1), ValueError, "gamma >= 0.*got -0.1"),
    (lambda: guarantee(margins(X, Y), math.nan), ValueError, "got nan"),
    (lambda: error_bound(X, X, X[:, 0], math.inf), ValueError, "finite gamma .* got inf"),
    (lambda: margins(X, Y[:5]), ValueError, r"6 samples.*\(5,\)"),
    (lambda: margins(X, Y.float()), TypeError, "integers"),
    (lambda: margins(X[:1], Y[:1]), ValueError, "1 <= k < 1"),
    (lambda: margins_of(X[:, :1], X, Y), ValueError, "have 1 features; expected 2"),
    (lambda: margins_of(X * math.nan, X, Y), ValueError, "12 NaN"),
    (lambda: error_bound(X, X, Y, 1), TypeError, "real numbers"),
])
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
