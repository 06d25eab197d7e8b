"""Networks of a run's earlier epochs: what is kept, and that keeping changes nothing."""

import math

import pytest
import torch
from safetensors.torch import load_file

from rrahelpers.study import results
from rrahelpers.training import RunError, train
from rrahelpers.training.kept import at_epoch, epochs_to_keep
from rrahelpers.training.loop import Trainer
from tests.training.test_training import CONFIG, assert_same_network, cut_off_after, elsewhere

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run():
    return train(CONFIG, keep_every=1)


def state(network):
    return {name: tensor.contiguous() for name, tensor in network.state_dict().items()}


def same(a, b):
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_the_epochs_of_a_run_by_hand():
    assert epochs_to_keep(CONFIG, 1) == [0, 1, 2, 3]
    assert epochs_to_keep(CONFIG, 2) == [0, 2, 3]
    assert epochs_to_keep(CONFIG, 5) == [0, 3]


def test_kept_networks_are_those_of_the_training(run, monkeypatch, tmp_path):
    assert_same_network(run, elsewhere(monkeypatch, tmp_path))  # keeping changes nothing in what is trained
    torch.manual_seed(CONFIG.seed)
    begun = state(run.untrained())
    assert same(state(at_epoch(run, 0).model()), begun)
    for epoch in (1, 2):
        kept = at_epoch(run, epoch)
        assert kept.accuracy == run.record["history"][epoch - 1]["test_accuracy"] and len(kept.history) == epoch
        test = kept.images("test")
        with torch.no_grad():
            answers = kept.model()(kept.preprocess(test.images)).argmax(1)
        assert (answers == test.labels).double().mean().item() == pytest.approx(kept.accuracy, abs=0.01)
    assert math.isnan(at_epoch(run, 0).accuracy) and at_epoch(run, 0).history.empty
    last = at_epoch(run, 3)
    assert same(state(last.model()), load_file(run.folder / "weights.safetensors")) and last.accuracy == run.accuracy
    assert not (run.folder / "epoch-3.safetensors").exists()


def test_a_resumed_run_keeps_the_same_epochs(run, monkeypatch, tmp_path):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "again"))
    with monkeypatch.context() as patch:
        cut_off_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, keep_every=1)
    with monkeypatch.context() as patch:
        done, real = [], Trainer.epoch
        patch.setattr(Trainer, "epoch", lambda self, number: (done.append(number), real(self, number))[1])
        again = train(CONFIG, keep_every=1)
    assert done == [2]
    for epoch in range(4):
        assert same(state(at_epoch(again, epoch).model()), state(at_epoch(run, epoch).model()))


def test_results_of_epochs_lie_beside_the_runs_own(run):
    tables = {epoch: results.saturation_table(at_epoch(run, epoch), 50) for epoch in (0, 2, 3)}
    assert not tables[0].equals(tables[2]) and not tables[2].equals(tables[3])
    assert tables[3].equals(results.saturation_table(run, 50))
    for file in run.folder.glob("epoch-*"):
        file.unlink()
    assert results.saturation_table(at_epoch(run, 2), 50).equals(tables[2])  # without its weights
    assert results.saturation_table(at_epoch(run, 1), 50, compute=False) is None


def test_epochs_that_are_not_there(run):
    for epoch in (-1, 4):
        with pytest.raises(ValueError, match=f"the epochs 0 to 3, got {epoch}"):
            at_epoch(run, epoch)
    (run.folder / "epoch-1.safetensors").unlink()
    with pytest.raises(RunError, match=r"expected one of epoch-1.safetensors.*keep_every"):
        at_epoch(run, 1).model()
    assert train(CONFIG, keep_every=1).folder == run.folder  # a stored run stays as it is
    for every in (0, 1.5, True):
        with pytest.raises(ValueError, match="keep_every to be a whole number"):
            train(CONFIG, keep_every=every)
