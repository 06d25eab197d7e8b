"""A training stopped on its way and continued is the training without a stop."""

from dataclasses import replace

import pytest
from safetensors.torch import load_file

from rrahelpers.training import Interrupted, RunConfig, loop, runs, train, train_until

CONFIG = RunConfig("resnet20", "digits", options={"width": 0.25, "depth": 0.34}, limit=100, epochs=3, batch_size=32,
                   augmentation=("crop",))

pytestmark = pytest.mark.usefixtures("one_thread")


def without_times(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def test_a_training_in_rounds_is_the_training_at_once(tmp_path, monkeypatch):
    first = train_until(CONFIG, 1)
    assert len(first) == 1 and first[0]["epoch"] == 1
    assert runs.find(loop.resolve(CONFIG)) is None  # unfinished
    with monkeypatch.context() as patch:  # what is there isn't trained again
        patch.setattr("rrahelpers.training.rungs.train", lambda *_, **__: pytest.fail("trained once more"))
        assert train_until(CONFIG, 1) == first
    whole = train_until(CONFIG, 3)
    assert whole[:1] == first and [row["epoch"] for row in whole] == [1, 2, 3]
    assert train_until(CONFIG, 2) == whole  # of a finished run all that it has
    weights = load_file(train(CONFIG).folder / "weights.safetensors")
    monkeypatch.setenv("RRA_RUNS", str(tmp_path))
    reference = train(CONFIG)
    assert without_times(whole) == without_times(reference.record["history"])
    expected = load_file(reference.folder / "weights.safetensors")
    assert all(tensor.equal(expected[name]) for name, tensor in weights.items())


def test_at_the_deadline_a_round_is_interrupted_and_a_later_call_goes_on(monkeypatch):
    with pytest.raises(Interrupted, match="time is up after 0 of 3 epochs"):
        train_until(CONFIG, 2, deadline=0)
    assert len(train_until(CONFIG, 2)) == 2
    with pytest.raises(Interrupted, match="stopped after 2 of 3 epochs, as asked"):
        train(CONFIG, until=1)


def test_a_damaged_checkpoint_is_trained_again():
    train_until(CONFIG, 1)
    path = runs.store_root() / loop.resolve(CONFIG).name / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged"):
        assert len(train_until(CONFIG, 1)) == 1


def test_a_network_that_diverged_answers_with_what_it_has():
    with pytest.warns(UserWarning, match="not finite"):
        history = train_until(replace(CONFIG, learning_rate=1e30), 3)
    assert history[-1]["loss"] is None
