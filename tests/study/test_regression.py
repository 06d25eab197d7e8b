"""The regression of notebook 11: its data, and R² and SmI of a network whose answers are known."""

import pytest
import torch
from torch import nn

from rrahelpers.study import regression


def test_the_data_are_split_and_standardised_by_the_training_split():
    splits = regression.diabetes(0)
    assert {split: tuple(x.shape) for split, (x, _) in splits.items()} == {"train": (300, 10), "test": (142, 10)}
    x, y = splits["train"]
    assert x.mean(0).abs().max() < 1e-5 and torch.allclose(x.std(0), torch.ones(10)) and abs(y.mean()) < 1e-5
    assert not torch.equal(y, regression.diabetes(1)["train"][1])


def test_a_network_that_knows_nothing_has_no_r2(monkeypatch):
    def blank(x, y, seed, epochs):
        hidden = [layer for inputs in (10, 32, 32) for layer in (nn.Linear(inputs, 32), nn.ReLU())]
        model = nn.Sequential(*hidden, nn.Linear(32, 1))
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        return model

    monkeypatch.setattr(regression, "_trained", blank)
    table = regression.smoothness_table([0])
    assert len(table) == 2 * (5 + 1) and set(table.measure) == {"smoothness index", "R²"}
    r2 = table[table.measure == "R²"].set_index("split").value
    assert r2["train"] == pytest.approx(0, abs=1e-5) and r2["test"] <= 0  # it answers the training data's mean
    assert list(table[table.split == "train"].layer) == [*regression.LAYERS, "6"]


def test_training_explains_the_training_targets():
    table = regression.smoothness_table([0], epochs=30)
    value = table[(table.measure == "R²") & (table.split == "train")].value.item()
    assert 0 < value < 1


def test_bounds_of_every_layer():
    table = regression.bounds_table([0], [0.0, 0.5], epochs=2)
    assert len(table) == 5 * 2 and table.layer.unique().tolist() == list(regression.LAYERS)
    wide, narrow = (table[table.gamma == gamma].set_index("layer") for gamma in (0.5, 0.0))
    assert (wide.bound >= narrow.bound).all() and (wide.held >= narrow.held).all()
    assert (wide.error == narrow.error).all() and wide.held.between(0, 1).all()
