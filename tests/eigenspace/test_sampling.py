"""Less of a layer's output: fewer places, other steps of a sequence, another device."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from rrahelpers.eigenspace import Covariance, SaturationTracker, covariances


def trace(model, x, **options):
    with SaturationTracker(model, **options) as tracker:
        model(x)
    return tracker.table.trace[0], tracker.table.observations[0], tracker.table.features[0]


def variance(rows):
    return np.var(rows.detach().double().numpy().reshape(-1, rows.shape[-1]), axis=0).sum()


@pytest.mark.parametrize("kind, size, mode", [
    (nn.Conv1d, (9,), "linear"), (nn.Conv2d, (9, 6), "bilinear"), (nn.Conv3d, (5, 6, 7), "trilinear")])
def test_interpolation_is_torchs(kind, size, mode):
    model, x = kind(2, 3, 1), torch.randn(5, 2, *size)
    for interpolation, options in (("nearest", {"mode": "nearest"}), ("bilinear", {"mode": mode})):
        small = F.interpolate(model(x), [4] * len(size), **options)
        found = trace(model, x, side=4, interpolation=interpolation)
        assert found == (pytest.approx(variance(small.movedim(1, -1)), rel=1e-6), 5 * 4**len(size), 3)


def test_nearest_and_stride_pick_what_is_counted_by_hand():
    model = nn.Conv2d(1, 1, 1)
    nn.init.ones_(model.weight), nn.init.zeros_(model.bias)
    x = torch.arange(6.0).view(1, 1, 1, 6)
    assert trace(model, x, side=4)[:2] == (pytest.approx(np.var([0, 2, 4])), 3)
    assert trace(model, x, side=4, interpolation="nearest")[:2] == (pytest.approx(np.var([0, 1, 3, 4])), 4)
    assert trace(model, x, side=4, interpolation="bilinear")[:2] == (pytest.approx(np.var([.25, 1.75, 3.25, 4.75])), 4)
    assert trace(model, x, side=6, interpolation="bilinear")[:2] == (pytest.approx(np.var(range(6))), 6)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_steps_of_sequences(kind, both, batch_first):
    model, x = kind(3, 4, num_layers=2, bidirectional=both, batch_first=batch_first), torch.randn(7, 5, 3)
    given = x if batch_first else x.transpose(0, 1)
    sequence = model(given)[0]
    sequence = sequence if batch_first else sequence.transpose(0, 1)  # [N, T, D]
    last = torch.cat([sequence[:, -1, :4], sequence[:, 0, 4:]], 1)  # each direction behind the whole sequence
    for steps, rows in (("all", sequence), ("last", last), ("flatten", sequence.flatten(1))):
        found = trace(model, given, steps=steps)
        assert found == (pytest.approx(variance(rows), rel=1e-5), rows[..., 0].numel(), rows.shape[-1])


def test_packed_sequences_single_ones_and_cells():
    model, x = nn.LSTM(3, 4, batch_first=True), torch.randn(4, 6, 3)
    lengths = [6, 2, 4, 1]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    last = torch.stack([model(x[i:i + 1, :n])[0][0, -1] for i, n in enumerate(lengths)])
    assert trace(model, packed, steps="last") == (pytest.approx(variance(last), rel=1e-5), 4, 4)
    same = pack_padded_sequence(x, [6] * 4, batch_first=True)
    assert trace(model, same, steps="flatten")[1:] == (4, 24)
    with pytest.raises(ValueError, match="1 to 6 steps can't be flattened"):
        trace(model, packed, steps="flatten")
    assert trace(model, x[0], steps="last")[1:] == (1, 4) and trace(model, x[0], steps="flatten")[1:] == (1, 24)
    cell = nn.LSTMCell(3, 4)
    assert trace(cell, x[:, 0], steps="last")[1:] == (4, 4)
    linear = nn.Linear(3, 4)  # a sequence, but no recurrent layer's
    assert trace(linear, x, steps="last")[1:] == (24, 4)


def test_the_device_of_covariances_is_chosen():
    covariance = Covariance(3, "cpu")
    covariance.update(torch.randn(10, 3))
    assert covariance.place == covariance.matrix().device == torch.device("cpu")
    assert Covariance(3).place is None
    model, x = nn.Sequential(nn.Linear(3, 2)), torch.randn(8, 3)
    assert covariances(model, x, device="cpu")["0"].device == torch.device("cpu")
    with SaturationTracker(model, device="cpu") as tracker:
        model(x)
        assert tracker.covariances["train"]["0"].device == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator beside the CPU")
def test_covariances_on_another_device_than_the_network():
    model, x = nn.Sequential(nn.Linear(3, 2)).cuda(), torch.randn(8, 3)
    found, wanted = (covariances(model, x, device=device)["0"] for device in ("cpu", None))
    assert (found.place.type, wanted.place.type) == ("cpu", "cuda")
    torch.testing.assert_close(found.matrix(), wanted.matrix().cpu(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options, message", [
    ({"side": 0}, "side to be a positive whole number, got 0"),
    ({"side": 4, "interpolation": "area"}, "unknown interpolation 'area'; expected one of"),
    ({"interpolation": "nearest"}, "'nearest' needs the side"),
    ({"steps": "first"}, "unknown steps 'first'"),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        SaturationTracker(nn.Linear(2, 2), **options)
