"""Tails by the dissertation's definition."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import torch

from rrahelpers.eigenspace import SaturationTracker
from rrahelpers.tails import average_outside_tails, find_tails, lasting_tails, layer_values, tails_by_epoch


def runs(saturations):
    return [(t.start, t.length) for t in find_tails(saturations).itertuples()]


def test_worked_by_hand():
    table = find_tails({"a": 0.5, "b": 0.6, "c": 0.1, "d": 0.2, "e": 0.15, "f": 0.4})
    assert table.to_dict("records") == [pytest.approx(
        {"first": "c", "last": "e", "start": 2, "length": 3, "value": 0.15, "rest": 0.5, "lower": 0.7})]


@pytest.mark.parametrize("saturations, expected", [
    ([0.4] * 5 + [0.1] * 8, [(5, 8)]),  # neither the three lowest alone, nor as many layers as could be
    ([0.05] * 4 + [0.4] * 6, [(0, 4)]),  # at the input, as with images that are too large
    ([0.05] * 3 + [0.5] * 6 + [0.05] * 3, [(0, 3), (9, 3)]),
    ([0.4, 0.4, 0.4, 0.2, 0.2, 0.2], [(3, 3)]),  # exactly 50 % lower
    ([0.4, 0.4, 0.4, 0.21, 0.21, 0.21], []),
    ([0.4, 0.4, 0.4, 0.15, 0.15], []),  # two layers are too few,
    ([0.4, 0.4, 0.4, 0.1, 0.1], [(2, 3)]),  # but so low that they make up for a third, by the definition's word
    ([0.3] * 10, []), ([0.0] * 10, []), ([0.1, 0.9, 0.9], []), ([0.5], []),
], ids=str)
def test_where_tails_are(saturations, expected):
    assert runs(saturations) == expected


def test_every_tail_satisfies_the_definition_and_none_is_missed():
    generator = np.random.default_rng(0)
    for _ in range(100):
        s = generator.uniform(0, 1, 12) ** 3
        found = runs(s)
        covered = [set(range(start, start + length)) for start, length in found]
        for run in covered:
            rest = [i for i in range(12) if i not in run]
            assert len(run) >= 3 and s[list(run)].mean() <= 0.5 * s[rest].mean()
        for start in range(12):
            for stop in range(start + 3, 13 - (start == 0)):
                run = set(range(start, stop))
                rest = [i for i in range(12) if i not in run]
                if s[list(run)].mean() <= 0.5 * s[rest].mean():
                    assert any(run & other for other in covered)


def test_the_tail_is_the_run_that_leaves_the_least_variance_within():
    """The independent form: what lies within the two groups is the total less what lies between them."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        s = np.concatenate([generator.uniform(0.3, 1, 5), generator.uniform(0, 0.45, 7)])
        within = {}
        for start in range(12):
            for stop in range(start + 3, 13 - (start == 0)):
                inside = np.isin(np.arange(12), np.arange(start, stop))
                if s[inside].mean() <= 0.5 * s[~inside].mean():
                    within[start, stop - start] = sum(((part - part.mean()) ** 2).sum()
                                                      for part in (s[inside], s[~inside]))
        assert not within or min(within, key=within.get) in runs(s)


def test_a_table_of_several_seeds_is_averaged_in_the_order_of_its_layers():
    table = pd.DataFrame({"layer": ["z", "a", "z", "a"], "value": [0.1, 0.5, 0.3, 0.7], "seed": [0, 0, 1, 1]})
    assert layer_values(table).to_dict() == {"z": pytest.approx(0.2), "a": pytest.approx(0.6)}


@pytest.mark.parametrize("saturations, message", [
    ([0.1, np.nan, 0.2], r"NaN or infinite ones for the layers \[1\]"),
    ({"a": np.inf}, r"\['a'\]"),
    ([20, 30, 40, 5], "fractions in .*divide percent by 100"),
    ([-0.1, 0.2], "got -0.1 to 0.2"),
    ([], "got none"),
    (pd.DataFrame({"layer": ["a"], "share": [0.1]}), "lacks .'value'"),
    (pd.DataFrame({"layer": ["a", "a"], "epoch": [1, 2], "split": "train", "saturation": [0.1, 0.2]}),
     r"a table of several epoch; choose, for instance with table.query\('epoch == 2'\)"),
    (pd.DataFrame({"layer": ["a", "a"], "size": 4, "pooling": ["average", "nearest"], "value": [0.1, 0.2]}),
     "several pooling"),
])
def test_bad_input_is_named(saturations, message):
    with pytest.raises(ValueError, match=message):
        find_tails(saturations)


def epochs_of(*curves, split="train"):
    """A tracker's table: one list of saturations for each epoch."""
    return pd.DataFrame([{"epoch": epoch, "split": split, "layer": f"conv {i}", "index": i, "saturation": value}
                         for epoch, curve in enumerate(curves, 1) for i, value in enumerate(curve)])


FLAT, TAILED = [0.5] * 8, [0.6] * 4 + [0.1] * 4


def test_tails_of_each_epoch():
    table = tails_by_epoch(pd.concat([epochs_of(FLAT, TAILED), epochs_of(TAILED, split="validation")]))
    assert table[["epoch", "split", "first", "last", "length"]].values.tolist() == [
        [2, "train", "conv 4", "conv 7", 4], [1, "validation", "conv 4", "conv 7", 4]]
    assert tails_by_epoch(epochs_of(FLAT)).empty and tails_by_epoch(epochs_of([np.nan] * 8)).empty


def test_a_tail_lasts_when_the_epoch_before_has_it_too():
    early = [0.1] * 4 + [0.6] * 4
    said = {epoch: lasting_tails(tails_by_epoch(epochs_of(FLAT, TAILED, early, early, TAILED, FLAT)), epoch)
            for epoch in range(1, 7)}
    assert [epoch for epoch, words in said.items() if words] == [4]
    assert said[4] == ("the saturation (train) of 4 layers, conv 0 to conv 3, is 83% below that of the rest, "
                       "for 2 epochs now")


def test_a_training_with_a_tail_is_warned_once():
    class Narrow(torch.nn.Module):
        """Eight linear layers, of which the last four answer along one direction."""

        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(10, 10) for _ in range(8))

        def forward(self, x):
            for place, layer in enumerate(self.layers):
                layer(x if place < 4 else x[:, :1] * torch.ones(10))

    model, x = Narrow(), torch.randn(200, 10)
    with SaturationTracker(model) as tracker:
        for epoch in range(1, 5):
            model(x)
            with (pytest.warns(UserWarning, match=r"epoch 2: .* of 4 layers, layers.4 to layers.7, .*advisor")
                  if epoch == 2 else contextlib.nullcontext()):
                tracker.end_epoch()
    assert tracker.tails["first"].tolist() == ["layers.4"] * 4


def test_the_average_without_tails():
    assert average_outside_tails(TAILED) == pytest.approx(0.6) and average_outside_tails(FLAT) == pytest.approx(0.5)
