"""The tracker: right numbers from every kind of layer, the model and its training untouched."""

import contextlib
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from rrahelpers.eigenspace import Covariance, SaturationTracker, covariances, weighted_layers
from rrahelpers.eigenspace.epoch import described


def numpy_covariance(x, axis):
    """The textbook two passes in float64, one row for each place."""
    rows = np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1).reshape(-1, x.shape[axis])
    return np.cov(rows, rowvar=False, bias=True)


def numpy_saturation(matrix, delta):
    """Written out anew: add the largest eigenvalues up until they reach delta."""
    values, reached = np.sort(np.linalg.eigvalsh(matrix))[::-1], 0.0
    for k, value in enumerate(values, start=1):
        reached += value
        if reached >= delta * values.sum():
            return k / len(values)


class Mixed(nn.Module):
    """Convolutions in one and two dimensions, an LSTM, a linear layer that runs twice, one that never runs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.along = nn.Conv1d(6, 5, 3)
        self.lstm = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
        self.twice = nn.Linear(8, 8)
        self.idle = nn.Linear(2, 2)

    def forward(self, x, scale=1.0, shift=0.0):
        x = self.conv(x).relu_()
        x = self.along(x.mean(3))
        x, _ = self.lstm(x.transpose(1, 2))
        return self.twice(self.twice(x))


def outputs(model, name, batches):
    """Every output of one layer, by a hook of its own."""
    kept, module = [], dict(model.named_modules())[name]
    first = lambda output: output[0] if isinstance(output, tuple) else output
    handle = module.register_forward_hook(lambda m, i, output: kept.append(first(output).clone()))
    with torch.no_grad():
        for x in batches:
            model(x)
    handle.remove()
    return torch.cat(kept)


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("delta", [0.9, 0.99, 0.9999])
def test_saturation_of_every_kind_of_layer_equals_numpys(delta):
    model, batches = Mixed().eval(), [torch.randn(16, 3, 12, 10) for _ in range(3)]
    with SaturationTracker(model, delta=delta, layers=["conv", "along", "lstm", "twice"]) as tracker:
        for x in batches:
            model(x)
    table = tracker.table.set_index("layer")
    assert list(table.index) == ["conv", "along", "lstm", "twice"]
    assert (table.split == "validation").all()
    for name, axis in {"conv": 1, "along": 1, "lstm": 2, "twice": 2}.items():
        x = outputs(model, name, batches)
        matrix = numpy_covariance(x, axis)
        assert table.saturation[name] == pytest.approx(numpy_saturation(matrix, delta), abs=1e-6)
        assert table.trace[name] == pytest.approx(matrix.trace(), rel=1e-9)
        assert table.features[name] == len(matrix)
        assert table.observations[name] == x.numel() / len(matrix)


@pytest.mark.parametrize("layer, shape, axis", [
    (nn.Linear(7, 24), (400, 7), 1), (nn.Conv2d(7, 24, 1), (20, 7, 5, 5), 1), (nn.LSTM(7, 24), (20, 20, 7), 2)])
def test_saturation_with_a_mean_ten_thousand_times_the_deviation(layer, shape, axis):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    layer.register_forward_hook(lambda m, i, o: (o[0] + 1e4, o[1]) if isinstance(o, tuple) else o / o.std() + 1e4)
    model, x = nn.Sequential(layer).eval(), torch.randn(shape)
    with SaturationTracker(model) as tracker:
        model(x)
    matrix = numpy_covariance(outputs(model, "0", [x]), axis)
    assert tracker.table.saturation[0] == pytest.approx(numpy_saturation(matrix, 0.99), abs=1e-6)


def test_splits_and_epochs_are_told_apart():
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(50, 4)
    with SaturationTracker(model, extended=True) as tracker:
        for epoch in range(2):
            model.train()
            model(x)
            model(x)
            model.eval()
            model(2 * x)
            rows = tracker.end_epoch()
            assert set(rows.epoch) == {epoch + 1}
        model(x)  # without a word
    table = tracker.table
    assert list(table.columns) == ["epoch", "split", "layer", "index", "features", "observations",
                                   "intrinsic_dimension", "saturation", "trace", "diagonal_trace", "log_determinant"]
    first = table[(table["index"] == 0)]
    assert list(zip(first.epoch, first.split, first.observations)) == [
        (1, "train", 100), (1, "validation", 50), (2, "train", 100), (2, "validation", 50), (3, "validation", 50)]
    assert (first.trace / first.trace.iloc[0]).tolist() == pytest.approx([1, 4, 1, 4, 1])


class Noting:
    def __init__(self):
        self.epochs = []

    def write(self, epoch):
        self.epochs.append((epoch.number, epoch.metrics["accuracy"], len(epoch.rows)))


def test_in_the_background_all_comes_an_epoch_later():
    def follow(background, during=lambda tracker, epoch, rows: None):
        torch.manual_seed(1)
        model, writer = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), Noting()
        with SaturationTracker(model, extended=True, writers=writer, background=background) as tracker:
            for epoch in range(1, 4):
                model.train(epoch % 2 == 0)
                model(torch.randn(50, 4) * epoch)
                during(tracker, epoch, tracker.end_epoch({"accuracy": epoch / 10}))
        return tracker, writer

    def check(tracker, epoch, rows):
        assert set(rows.epoch) == ({epoch - 1} if epoch > 1 else set())
        assert [number for number, *_ in tracker.writers[0].epochs] == list(range(1, epoch))

    def asking(tracker, epoch, rows):
        assert list(tracker.table.epoch.unique()) == list(range(1, epoch + 1))

    (plain, of_plain), (later, of_later) = follow(False), follow(True, check)
    assert later.table.equals(plain.table) and later.metrics.accuracy.equals(plain.metrics.accuracy)
    assert of_later.epochs == of_plain.epochs and len(of_later.epochs) == 3
    asked, _ = follow(True, asking)
    assert asked.table.equals(plain.table)


def test_the_loop_waits_for_nothing_in_the_background(monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slow(*given):
        begun.set()
        assert go_on.wait(30)
        return described(*given)

    monkeypatch.setattr("rrahelpers.eigenspace.tracker.described", slow)
    model = nn.Linear(4, 6)
    with SaturationTracker(model, background=True) as tracker:
        model(torch.randn(9, 4))
        tracker.end_epoch()
        assert begun.wait(30)
        model(torch.randn(5, 4))  # of the next epoch, while the first one's eigenvalues are waited for
        go_on.set()
    assert tracker.table.observations.tolist() == [9, 5]


def test_a_loop_that_raises_keeps_what_is_in_the_background():
    model = nn.Linear(4, 4)
    with pytest.raises(KeyboardInterrupt), SaturationTracker(model, background=True) as tracker:
        model(torch.randn(9, 4))
        tracker.end_epoch()
        model(torch.randn(9, 4))
        raise KeyboardInterrupt
    assert tracker.table.epoch.tolist() == [1] and tracker._waiting is None


def test_training_is_the_same_with_and_without_a_tracker():
    def train(tracked):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.3),
                              nn.Flatten(), nn.Linear(16, 3))
        attributes = [set(vars(m)) for m in model.modules()]
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        with SaturationTracker(model) if tracked else contextlib.nullcontext():
            for _ in range(3):
                loss = model(torch.randn(8, 2, 4, 4)).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        assert [set(vars(m)) for m in model.modules()] == attributes and hooks(model) == 0
        return model.state_dict()

    plain, followed = train(False), train(True)
    assert all(torch.equal(plain[name], followed[name]) for name in plain)


def test_a_loop_that_raises_leaves_no_hook_and_keeps_what_was_measured():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with pytest.raises(KeyboardInterrupt), SaturationTracker(model) as tracker:
        model(torch.randn(9, 4))
        tracker.end_epoch()
        model(torch.randn(9, 4))
        assert hooks(model) == 2
        raise KeyboardInterrupt
    assert hooks(model) == 0
    assert tracker.table.epoch.tolist() == [1]
    assert [covariance.observations for covariance in tracker.covariances["train"].values()] == [9]
    with tracker:  # and again, the epochs going on; the broken one is no part of the next
        with pytest.raises(RuntimeError, match="at work already"), tracker:
            pass
        model(torch.randn(9, 4))
    assert tracker.table.epoch.tolist() == [1, 2] and tracker.table.observations.tolist() == [9, 9]
    assert hooks(model) == 0


def test_less_of_the_data_when_asked():
    model, maps = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(2 * 81, 2)), torch.randn(5, 1, 9, 9)
    with SaturationTracker(model, every=2, batches=3, side=4) as tracker:
        for _ in range(10):
            model(maps)
    assert tracker.table.observations.tolist() == [3 * 5 * 3 * 3, 3 * 5]
    seen = Covariance(2)
    seen.update(outputs(model, "0", [maps] * 3)[:, :, ::3, ::3])
    assert tracker.table.trace[0] == pytest.approx(seen.matrix().trace().item())
    for option in ("every", "batches", "side"):
        with pytest.raises(ValueError, match=f"expected {option} to be a positive whole number, got 0"):
            SaturationTracker(model, **{option: 0})


def test_nan_does_not_stop_a_training():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    nn.init.constant_(model[1].weight, float("nan"))
    with SaturationTracker(model) as tracker:
        model(torch.randn(9, 3))
        with pytest.warns(UserWarning, match="layer '1', epoch 1, train.*NaN or infinite values in 2 of 2 features"):
            rows = tracker.end_epoch()
    assert rows.saturation.isna().tolist() == [False, True]


def test_a_dead_layer_has_saturation_0():
    model = nn.Sequential(nn.Linear(3, 4))
    nn.init.zeros_(model[0].weight)
    with SaturationTracker(model) as tracker:
        model(torch.randn(9, 3))
    assert tracker.table.saturation.tolist() == [0] and tracker.table.intrinsic_dimension.tolist() == [0]


def test_layers_that_cannot_be_followed_are_named():
    class Odd(nn.Module):
        def forward(self, x):
            return x[:, :2] if x.mean() > 0 else x

    class Wrapped(nn.Module):
        def forward(self, x):
            return {"features": x}

    model, x = nn.Sequential(Odd()), torch.ones(3, 5)
    with SaturationTracker(model, ["0"]):
        model(-x)
        with pytest.raises(ValueError, match=r"layer '0': expected 5 features along axis -1, got shape \(3, 2\)"):
            model(x)
    wrapped = Wrapped()
    with pytest.raises(TypeError, match="'Wrapped' answers with dict"), SaturationTracker(wrapped, ["Wrapped"]):
        wrapped(x)
    for layers, message in ((["nowhere"], "unknown layers.*'nowhere'.*expected some of"),
                            (None, "Sequential has no convolutional, linear or recurrent")):
        with pytest.raises(ValueError, match=message), SaturationTracker(model, layers):
            pass
    with pytest.warns(UserWarning, match="no tracked layer ran in epoch 1"):
        SaturationTracker(nn.Linear(2, 2)).end_epoch()
    with pytest.warns(UserWarning, match="without saturation: idle"), SaturationTracker(model := Mixed()):
        model(torch.randn(2, 3, 12, 10))


def test_packed_sequences_and_cells():
    model = nn.LSTM(3, 5, batch_first=True)
    packed = pack_padded_sequence(torch.randn(4, 6, 3), [6, 4, 2, 1], batch_first=True)
    with SaturationTracker(model) as tracker:
        model(packed)
    assert tracker.table[["layer", "observations", "features"]].values.tolist() == [["LSTM", 13, 5]]
    with SaturationTracker(cell := nn.LSTMCell(3, 5)) as tracker:
        cell(torch.randn(7, 3))
    assert tracker.table.observations.tolist() == [7]


def test_threads_take_turns(monkeypatch):
    class Alone(Covariance):
        busy = False

        def update(self, *arguments):
            assert not self.busy
            self.busy = True
            time.sleep(0.002)
            super().update(*arguments)
            self.busy = False

    monkeypatch.setattr("rrahelpers.eigenspace.tracker.Covariance", Alone)
    model, x, runs = nn.Sequential(nn.Linear(4, 8)), torch.randn(64, 4), []
    with SaturationTracker(model) as tracker:
        threads = [threading.Thread(target=lambda: [runs.append(model(x)) for _ in range(5)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(runs) == 20
    assert tracker.table.observations.tolist() == [64 * 20]


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor",
                            "ignore:Dynamo does not know")  # torch.compile's own
def test_a_compiled_model_is_followed_from_its_first_call():
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.randn(64, 4)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    with pytest.warns(UserWarning, match="no tracked layer ran.*first call must come within"), SaturationTracker(model):
        compiled(x)  # torch does not look for hooks again
    torch._dynamo.reset()
    with SaturationTracker(model) as tracker:
        for _ in range(3):
            compiled(x)
    compiled(x)
    assert tracker.table.observations.tolist() == [192, 192]
    assert tracker.table.trace[0] == pytest.approx(numpy_covariance(model[0](x).detach(), 1).trace())


def test_weighted_layers():
    assert weighted_layers(Mixed()) == ["conv", "along", "lstm", "twice", "idle"]


def test_covariances_from_images_or_batches():
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train(), torch.randn(30, 3, 6, 6)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = [covariances(model, x, batch_size=7), covariances(model, [(part, "labels") for part in x.split(11)])]
    for one in found:
        np.testing.assert_allclose(one["0"].matrix(), numpy_covariance(model[0](x).detach(), 1), atol=1e-12)
    assert model.training and hooks(model) == 0
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(ValueError, match="at least one image"):
        covariances(model, [])


def test_batches_of_no_image_are_told_in_words():
    model = nn.Linear(3, 2)
    with SaturationTracker(model) as tracker:
        model(torch.randn(0, 3))
        with pytest.warns(UserWarning, match="expected at least one observation, got none.*no saturation there"):
            tracker.end_epoch()
