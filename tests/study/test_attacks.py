"""Data of SI = 1 under attack: inside the guaranteed error no label flips, outside of it labels do."""

import pytest
import torch

from rrahelpers.separation import margins_of
from rrahelpers.study.attacks import attacked_guarantees, flipped, separated_digits
from rrahelpers.study.claims import slides
from rrahelpers.study.orders import bound_against_order, gamma_against_order


@pytest.mark.parametrize("digits, train", [((0, 6), 120), ((0, 1, 2), 400)])
def test_no_label_flips_inside_the_guarantee(digits, train):
    table = attacked_guarantees([0.999, 2.5], digits=digits, train=train).set_index("factor")
    assert (table.SI == 1).all() and (table.samples > 100).all()
    assert table.flipped[0.999] == 0
    assert table.flipped[2.5] > 0.9  # the attack is one


def test_the_attack_reaches_the_boundary_where_it_is_known():
    """Two samples: the nearest place with another label lies in the middle between them, and no nearer."""
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], *([1000.0, 50.0 * i] for i in range(4))])
    labels = torch.tensor([0, 1, 1, 1, 1, 1])
    new = torch.tensor([[0.5, 0.0], [0.0, 0.0]])
    for radius, expected in ((0.4, [False, False]), (0.52, [True, False]), (1.02, [True, True])):
        assert flipped(new, x, labels, torch.tensor([radius, radius])).tolist() == expected


def test_the_split_of_digits():
    x, y, new = separated_digits((0, 6), 100)
    assert x.shape == (100, 64) and new.shape == (259, 64) and set(y.tolist()) == {0, 6}
    assert x.min() >= 0 and x.max() <= 1
    assert margins_of(new, x, y).index == 1


def test_gamma_rises_with_the_order_and_the_bound_falls():
    gammas = gamma_against_order((0.05, 0.4, 0.8), (0, 1)).groupby("gap").mean()
    assert gammas.order.is_monotonic_increasing and gammas.gamma.is_monotonic_increasing
    assert gammas.order.iloc[-1] > 5 * max(1, gammas.order.iloc[0]) and gammas.smallest.iloc[-1] > 0.3
    bounds = bound_against_order((0.0, 0.003, 0.1), (0, 1)).groupby("noise").mean()
    assert bounds.order.is_monotonic_decreasing and bounds.bound.is_monotonic_increasing
    assert all(check() for check in (slides._gamma_by_order, slides._bound_by_order))
    assert bounds.SmI.iloc[0] == 1 and (bounds.error < bounds.bound).all()
