"""Probes side by side and on places at random: the same numbers, faster; fewer features, drawn fairly."""

import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.features.pooled import pool
from rrahelpers.probes import fit_probe, probe_layers


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(180, 3))
    y = torch.arange(90) % 3
    x = torch.randn(3, 1, 6, 6)[y] + 2 * torch.randn(90, 1, 6, 6)
    return model, x[:60], y[:60], x[60:], y[60:]


def test_two_processes_find_what_one_finds():
    one, two = (probe_layers(*network(), sizes=(2, 4), C=[0.1, 1.0], jobs=jobs, progress=False) for jobs in (1, 2))
    assert (one.seconds > 0).all() and (two.seconds > 0).all()
    rounding = ["iterations", "gap", "seconds"]
    pd.testing.assert_frame_equal(one.drop(columns=rounding), two.drop(columns=rounding))
    with pytest.warns(UserWarning, match="raise max_iter"):  # of the processes
        probe_layers(*network(), ["0"], max_iter=2, jobs=2, progress=False)
    with pytest.raises(ValueError, match="of at least two classes"):
        model, x, y, *test = network()
        probe_layers(model, x, torch.zeros_like(y), *test, jobs=2, progress=False)
    with pytest.raises(ValueError, match="jobs to be a positive whole number, got 0"):
        probe_layers(*network(), jobs=0, progress=False)


def test_places_at_random():
    x = torch.arange(72.0).view(2, 1, 6, 6)
    found = pool(x, 4, "random")
    assert found.shape == (2, 1, 4, 4) and found[0].unique().numel() == 16
    assert torch.equal(found[1], found[0] + 36)  # the same places of every map
    assert torch.equal(found[0].flatten(), found[0].flatten().sort().values)
    assert torch.equal(pool(x, 4, "random"), found) and not torch.equal(pool(x, 4, "random", seed=1), found)
    assert torch.equal(pool(x, 6, "random"), x) and torch.equal(pool(x, 9, "random"), x)
    counts = sum(torch.bincount(pool(x[:1], 2, "random", seed=seed).long().flatten(), minlength=36)
                 for seed in range(900))
    assert counts.min() > 60 and counts.max() < 140  # 100 are expected of each place
    assert pool(torch.zeros(2, 3, 8), 4, "random").shape == (2, 3, 4)
    assert pool(torch.zeros(2, 5), 4, "random").shape == (2, 5)


def test_probes_on_places_at_random_are_probes_on_these_features():
    model, x, y, x_test, y_test = network()
    table = probe_layers(model, x, y, x_test, y_test, ["input"], sizes=(2,), pooling="random", seed=5, progress=False)
    single = fit_probe(pool(x, 2, "random", 5), y, pool(x_test, 2, "random", 5), y_test)
    assert table.value.tolist() == [single.accuracy] and table.features.tolist() == [4]
