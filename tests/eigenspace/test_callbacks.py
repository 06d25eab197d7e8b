"""Lightning's order of calls, by a trainer of its kind; and the plain loop."""

import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from rrahelpers.eigenspace import LightningCallback, SaturationTracker


def lightning(callback, model, epochs, start=0, fail=False):
    """The calls that Lightning's trainer makes, in its order."""
    trainer = SimpleNamespace(current_epoch=start, callback_metrics={})
    call = lambda name, *more: getattr(callback, name)(trainer, model, *more)

    def validation():
        call("on_validation_start")
        model.eval()
        model(torch.randn(9, 4))
        model.train()
        call("on_validation_end")

    callback.setup(trainer, model, stage="fit")
    call("on_fit_start")
    call("on_sanity_check_start")
    validation()
    call("on_sanity_check_end")
    model.train()
    call("on_train_start")
    try:
        for epoch in range(start, epochs):
            trainer.current_epoch = epoch
            call("on_train_epoch_start")
            call("on_train_batch_start", None, 0)
            model(torch.randn(40, 4))
            if fail:
                raise KeyboardInterrupt
            call("on_train_batch_end", None, None, 0)
            validation()
            trainer.callback_metrics = {"val_loss": torch.tensor(0.5), "epoch": torch.tensor(float(epoch))}
            call("on_train_epoch_end")
        call("on_train_end")
        call("on_fit_end")
    except KeyboardInterrupt as error:
        call("on_exception", error)
    callback.teardown(trainer, model, stage="fit")


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_lightnings_epochs_are_followed_without_its_sanity_check():
    model, callback = nn.Sequential(nn.Linear(4, 3)), LightningCallback(delta=0.9)
    lightning(callback, model, epochs=2)
    table = callback.tracker.table
    assert list(zip(table.epoch, table.split, table.observations)) == [
        (1, "train", 40), (1, "validation", 9), (2, "train", 40), (2, "validation", 9)]
    assert callback.tracker.metrics.val_loss.tolist() == [0.5, 0.5] and callback.tracker.delta == 0.9
    assert hooks(model) == 0
    state = callback.state_dict()
    resumed = LightningCallback()
    resumed.load_state_dict(state)
    lightning(resumed, model, epochs=3, start=2)
    assert resumed.tracker.table.epoch.tolist() == [1, 1, 2, 2, 3, 3]
    assert len({callback.state_key, resumed.state_key}) == 1 and LightningCallback().state_dict() == {}


@pytest.mark.parametrize("names", [["lightning.pytorch"], ["pytorch_lightning"],
                                   ["lightning.pytorch", "pytorch_lightning"]])
def test_where_lightning_is_imported_it_is_a_callback_of_its(monkeypatch, names):
    """Its trainer refuses others: it asks which methods are overridden, of its own kinds alone."""
    kinds = []
    for name in names:
        class Callback:
            @property
            def state_key(self):
                return "its own"

            def on_train_start(self, trainer, module):
                raise AssertionError("the hook is overridden")

            def on_fit_start(self, trainer, module):
                self.started = True

        kinds.append(Callback)
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(Callback=Callback))
    callback = LightningCallback(delta=0.9)
    assert all(isinstance(callback, kind) for kind in (*kinds, LightningCallback))
    assert callback.state_key == "rrahelpers.SaturationTracker" and copy.deepcopy(callback).options == {"delta": 0.9}
    lightning(callback, nn.Sequential(nn.Linear(4, 3)), epochs=1)
    assert callback.started and callback.tracker.table.epoch.tolist() == [1, 1]


def test_an_error_in_lightning_leaves_no_hook():
    model, callback = nn.Sequential(nn.Linear(4, 3)), LightningCallback()
    lightning(callback, model, epochs=2, fail=True)
    assert hooks(model) == 0 and callback.tracker.table.empty
    with pytest.raises(AttributeError, match="has no 'trainer'"):
        callback.trainer


def test_a_plain_loop():
    model = nn.Sequential(nn.Linear(4, 3))
    tracker = SaturationTracker(model)
    for _ in tracker.epochs(range(3)):
        model(torch.randn(9, 4))
    assert tracker.table.epoch.tolist() == [1, 2, 3] and hooks(model) == 0
    tracker = SaturationTracker(model)
    for epoch in tracker.epochs(range(3)):
        model(torch.randn(9, 4))
        if epoch == 1:
            break
    assert tracker.table.epoch.tolist() == [1]  # an epoch that was broken off is none
