"""Training: the schedule by hand, one network however often it is cut off, and one training however many ask."""

import contextlib
import errno
import json
import math
import multiprocessing
import os
import random
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import nn

from rrahelpers import models
from rrahelpers.__main__ import main
from rrahelpers.base import files
from rrahelpers.data import sets as data
from rrahelpers.eigenspace import covariances
from rrahelpers.eigenspace.spectrum import describe
from rrahelpers.training import Interrupted, loop as training, optimisation, preflight, runs, train
from rrahelpers.training.config import RunConfig

DIGITS = "14390281609a"
PATIENCE = 300  # seconds until a child counts as hanging; on busy cores one can take a minute
CONFIG = RunConfig("resnet20", "digits", options={"width": 0.25, "depth": 0.34}, limit=100, epochs=3, batch_size=32,
                   augmentation=("crop", "rotation"), data_checksum=DIGITS)


pytestmark = pytest.mark.usefixtures("one_thread")


def history(run):
    """A run's history without the wall times."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in run.record["history"]]


def weights(run):
    return load_file(run.folder / "weights.safetensors")


def assert_same_network(first, second):
    assert history(first) == history(second)
    expected = weights(second)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(first).items())


def elsewhere(monkeypatch, tmp_path, config=CONFIG):
    """The run of ``config``, trained without a break in a store of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("RRA_RUNS", str(tmp_path / "reference"))
        return train(config)


# --- the recipe -----------------------------------------------------------------------------------------------------


def rates(steps, **fields):
    config = RunConfig("m", "d", **fields)
    return [optimisation.learning_rate(config, step, steps) for step in range(config.epochs * steps)]


def test_the_cosine_by_hand():
    schedule = rates(1, epochs=13, learning_rate=2.0, warmup=0)
    # the cosine of 0, 60, 90, 120 and 180 degrees is 1, 1/2, 0, -1/2 and -1; it runs from 2 to 0.02
    np.testing.assert_allclose([schedule[i] for i in (0, 4, 6, 8, 12)], [2, 1.505, 1.01, 0.515, 0.02], rtol=1e-12)


def test_the_warm_up_by_hand():
    schedule = rates(5, epochs=8, learning_rate=0.4, warmup=0.1, final=0.5)
    np.testing.assert_allclose(schedule[:5], [0.1, 0.2, 0.3, 0.4, 0.4], rtol=1e-12)  # 4 of 40 steps; the cosine
    assert schedule[-1] == pytest.approx(0.2) and all(a >= b for a, b in zip(schedule[4:], schedule[5:]))


def test_the_shortest_schedules():
    assert rates(1, epochs=1) == [0.1]
    np.testing.assert_allclose(rates(1, epochs=2, warmup=0.5), [0.1, 0.1])


def test_steps_fall_to_a_tenth_after_so_many_epochs():
    schedule = rates(2, epochs=5, learning_rate=0.1, schedule="steps", step_epochs=2, warmup=0)
    np.testing.assert_allclose(schedule, [0.1] * 4 + [0.01] * 4 + [0.001] * 2, rtol=1e-12)


def test_a_constant_rate_stays_and_warms_up_where_asked():
    assert rates(2, epochs=2, learning_rate=0.5, schedule="constant", warmup=0) == [0.5] * 4
    assert rates(2, epochs=2, learning_rate=0.5, schedule="constant", warmup=0.5) == [0.25, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("name, decay", [("sgd", 0.1), ("adam", 0.0), ("adamw", 0.1)])
def test_a_step_of_each_optimiser_by_hand(name, decay):
    config = RunConfig("m", "d", optimiser=name, learning_rate=0.5, momentum=0.8, weight_decay=decay)
    x = nn.Parameter(torch.tensor([2.0]))
    step = optimisation.optimiser(config, [x])
    for gradient in (3.0, -1.0):
        x.grad = torch.tensor([gradient])
        step.step()
    if name == "sgd":  # x = 2, v = 3 + .1 x 2; then v = .8 v - 1 + .1 x
        first = 2 - 0.5 * 3.2
        expected = first - 0.5 * (0.8 * 3.2 - 1 + 0.1 * first)
    else:  # the first step of Adam is the rate itself; AdamW shrinks the weight by .5 x .1 before each
        shrink = 1 - 0.5 * decay
        first = 2 * shrink - 0.5
        m = (0.8 * 0.2 * 3 + 0.2 * -1) / (1 - 0.8**2)
        v = (0.999 * 0.001 * 9 + 0.001 * 1) / (1 - 0.999**2)
        expected = first * shrink - 0.5 * m / v**0.5
    assert x.item() == pytest.approx(expected, abs=1e-5)


def test_kaiming_draws_every_layer_anew():
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(100, 400))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 7.0)
    optimisation.kaiming(model)
    # He et al. 2015: variance 2 / (outgoing connections of a unit)
    assert model[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert model[2].weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.05)
    assert model[0].bias.abs().max() == model[2].bias.abs().max() == 0


def test_a_run_keeps_the_saturation_of_its_last_epoch():
    run = train(CONFIG)
    table = run.result(*training.LAST_EPOCH, None)
    assert table.epoch.unique().tolist() == [1] and set(table.split) == {"train", "validation"}
    linear = table[table.layer == "fc"].set_index("split")
    assert linear.observations.to_dict() == {"train": 96, "validation": len(data.load("digits", "test"))}
    # of the test images it is that of the finished network
    model, test = run.model(), data.load("digits", "test")
    found = describe(covariances(model, run.preprocess(test.images), ["fc"])["fc"])
    assert linear.saturation["validation"] == pytest.approx(found["saturation"], abs=0.11)
    assert linear.trace["validation"] == pytest.approx(found["trace"], rel=0.05)


def test_a_network_that_cannot_be_followed_is_trained_all_the_same(monkeypatch):
    def refuse_tracker(model, *_, **__):
        raise TypeError("layer 'x' answers with a dict")

    monkeypatch.setattr(preflight, "SaturationTracker", refuse_tracker)
    with pytest.warns(UserWarning, match="no saturation is kept of this training: layer 'x' answers with a dict"):
        run = train(CONFIG)
    assert run.result(*training.LAST_EPOCH, None) is None and len(run.history) == 3


def test_the_printed_normalisation_is_used():
    run = train(replace(CONFIG, epochs=1, normalisation=[[0.25], [0.5]]))
    assert (run.record["mean"], run.record["std"]) == ([0.25], [0.5])
    white = torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)
    assert run.preprocess(white).unique().item() == pytest.approx(1.5)


def test_top5_is_recorded():
    run = train(replace(CONFIG, epochs=1))
    test = data.load("digits", "test")
    with torch.no_grad():
        logits = run.model()(run.preprocess(test.images))
    five = (logits.argsort(1, descending=True)[:, :5] == test.labels[:, None]).any(1)
    assert run.history.test_top5[0] == pytest.approx(five.double().mean().item(), abs=0.02)
    assert run.history.test_top5[0] > run.accuracy


def test_the_optimiser_follows_the_schedule():
    run = train(replace(CONFIG, warmup=0.5))
    expected = rates(3, epochs=3, warmup=0.5)[2::3]  # 100 samples are 3 whole batches of 32
    np.testing.assert_allclose(run.history.learning_rate, expected, rtol=1e-12)


def test_a_network_learns():
    run = train(replace(CONFIG, options={"width": 0.5, "depth": 0.34}, limit=None, epochs=6))
    assert run.history.epoch.tolist() == [1, 2, 3, 4, 5, 6]
    assert run.accuracy > 0.7 > 0.5 > run.history.test_accuracy[0] - 0.3
    assert run.history.loss.iloc[-1] < run.history.loss[0] / 2
    test = data.load("digits", "test")
    with torch.no_grad():  # in bfloat16 or not, the stored weights give the recorded accuracy
        correct = run.model()(run.preprocess(test.images)).argmax(1) == test.labels
    assert correct.double().mean().item() == pytest.approx(run.accuracy, abs=0.03)


def test_each_seed_draws_its_own_network_up_to_the_largest():
    losses = [train(replace(CONFIG, epochs=1, seed=seed)).history.loss[0] for seed in (0, 1, 2**31, 2**32 - 1)]
    assert len(set(losses)) == 4


def test_a_network_with_several_outputs_is_refused(monkeypatch):
    class Several(nn.Sequential):
        def forward(self, x):
            return (super().forward(x),) * 2 if self.training else super().forward(x)

    monkeypatch.setattr(models, "build", lambda *_, in_channels=3, num_classes=10, **__: Several(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, num_classes)))
    with pytest.raises(TypeError, match="resnet20 answers with tuple in training mode.*aux_logits: false"):
        train(CONFIG)


def test_the_record_says_what_was_trained():
    run = train(CONFIG)
    train_set = data.load("digits", "train", limit=100)
    mean, std = train_set.statistics()
    assert run.config == CONFIG and run.record["mean"] == mean and run.record["std"] == std
    assert run.record["samples"] == {"train": 100, "test": len(data.load("digits", "test"))}
    assert run.record["build"] == {"width": 0.25, "depth": 0.34, "num_classes": 10, "in_channels": 1}
    assert not (run.folder / "checkpoint.pt").exists()


def test_a_run_begins_with_the_weights_that_its_seed_draws():
    run = train(replace(CONFIG, learning_rate=1e-12, seed=3))
    last = run.model()
    torch.manual_seed(3)
    for trained, drawn in zip(last.parameters(), run.untrained().parameters(), strict=True):
        torch.testing.assert_close(trained, drawn, rtol=0, atol=1e-9)


def test_seeds_give_different_networks(monkeypatch, tmp_path):
    first, other = train(CONFIG), train(replace(CONFIG, seed=1))
    assert first.folder != other.folder and history(first) != history(other)
    assert_same_network(first, elsewhere(monkeypatch, tmp_path))


# --- stored once ----------------------------------------------------------------------------------------------------


def refuse(*_):
    pytest.fail("trained again")


def test_a_stored_run_is_not_trained_again(monkeypatch):
    first = train(CONFIG)
    monkeypatch.setattr(training, "_train", refuse)
    assert history(train(CONFIG)) == history(first)
    assert train(replace(CONFIG, data_checksum=None)).folder == first.folder  # the checksum is of the data found


def test_a_stored_run_serves_where_its_data_are_missing(monkeypatch):
    stored = train(CONFIG)
    monkeypatch.setattr(training, "_train", refuse)
    monkeypatch.setattr(data, "_digits", lambda split: data._stored("absent", split, False))
    assert train(replace(CONFIG, data_checksum=None)).folder == stored.folder
    with pytest.raises(data.DataError, match="no data set 'absent'"):
        train(replace(CONFIG, data_checksum=None, seed=1))


def test_other_data_than_those_asked_for_are_refused():
    config = replace(CONFIG, data_checksum="0123456789ab")
    with pytest.raises(data.DataError, match=f"digits has the checksum {DIGITS} here, 0123456789ab was asked for"):
        train(config)
    assert runs.find(config) is None


def test_a_run_that_diverges_is_stored_as_such_and_not_trained_again(monkeypatch):
    config = replace(CONFIG, learning_rate=1e30, warmup=0.0)
    with pytest.warns(UserWarning, match="the loss is not finite in epoch 1; the run is stored as diverged"):
        run = train(config)
    text = (run.folder / "record.json").read_text(encoding="utf-8")
    record = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert record["status"] == "diverged" and math.isnan(run.accuracy)
    assert len(run.history) == 1 and run.history.loss.isna().all()
    monkeypatch.setattr(training, "_train", refuse)
    assert math.isnan(train(config).accuracy)


# --- cut off --------------------------------------------------------------------------------------------------------


def cut_off_after(epochs, monkeypatch, error=KeyboardInterrupt):
    real = training.Trainer.epoch

    def epoch(self, number):
        if number >= epochs:
            raise error
        return real(self, number)

    monkeypatch.setattr(training.Trainer, "epoch", epoch)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_resumed_run_is_the_run_without_a_break_bit_for_bit(monkeypatch, tmp_path, epochs):
    with monkeypatch.context() as patch:
        cut_off_after(epochs, patch)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG)
    assert runs.find(CONFIG) is None
    with monkeypatch.context() as patch:  # what was done is not done again
        done = []
        real = training.Trainer.epoch
        patch.setattr(training.Trainer, "epoch", lambda self, number: (done.append(number), real(self, number))[1])
        run = train(CONFIG)
    assert done == list(range(epochs, 3))
    assert_same_network(run, elsewhere(monkeypatch, tmp_path))


def test_a_break_at_any_write_costs_nothing_but_the_epoch_under_way(monkeypatch, tmp_path):
    """Two epochs write two checkpoints, the saturation in two files, the weights and the record: stop before and after
    each."""
    config = replace(CONFIG, epochs=2)
    reference = elsewhere(monkeypatch, tmp_path, config)
    for number in range(6):
        for written in (False, True):
            monkeypatch.setenv("RRA_RUNS", str(tmp_path / f"{number}-{written}"))
            with monkeypatch.context() as patch:
                patch.setattr(files.os, "replace", stop_at(number, written))
                with pytest.raises(KeyboardInterrupt):
                    train(config)
            assert (runs.find(config) is not None) == ((number, written) == (5, True))
            assert_same_network(train(config), reference)


def stop_at(number, written):
    """An ``os.replace`` that stops the process at its call ``number``, before or after the file is in place."""
    real, calls = os.replace, []

    def replace_file(*paths):
        calls.append(paths)
        if len(calls) <= number + written:
            real(*paths)
        if len(calls) > number:
            raise KeyboardInterrupt

    return replace_file


@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b"", lambda b: b"\xff" * 50])
def test_a_damaged_checkpoint_starts_the_run_again_with_a_warning(monkeypatch, tmp_path, damage):
    with monkeypatch.context() as patch:
        cut_off_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG)
    checkpoint = runs.store_root() / CONFIG.name / "checkpoint.pt"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged .*training starts again"):
        run = train(CONFIG)
    assert_same_network(run, elsewhere(monkeypatch, tmp_path))


def full_disk_at(number, monkeypatch):
    """From its call ``number`` on, flushing a file says that the disk is full."""
    real, calls = os.fsync, []

    def fsync(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            return
        calls.append(file)
        if len(calls) > number:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    monkeypatch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize("number", range(7))  # two checkpoints, the saturation, the third, the weights, the record
def test_a_full_disk_is_told_and_costs_one_epoch_at_most(monkeypatch, tmp_path, number):
    with monkeypatch.context() as patch:
        full_disk_at(number, patch)
        (reason,) = training.train_all([CONFIG])
    assert isinstance(reason, runs.RunError)
    assert "No space left on device" in str(reason) and CONFIG.name in str(reason)
    checkpoint = runs.store_root() / CONFIG.name / "checkpoint.pt"
    assert len(kept(checkpoint)) == (number if number < 2 else 2 if number < 5 else 3)
    assert_same_network(train(CONFIG), elsewhere(monkeypatch, tmp_path))
    assert runs.find(CONFIG).result(*training.LAST_EPOCH, None) is not None


def test_a_checkpoint_of_another_network_is_named(monkeypatch):
    cut_off_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG)
    checkpoint = runs.store_root() / CONFIG.name / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    for wrong in ({**state, "model": {"renamed": torch.zeros(1)}}, {"model": state["model"]}):
        torch.save(wrong, checkpoint)
        with pytest.raises(runs.RunError, match="checkpoint.pt belongs to another version of this network; delete it"):
            train(CONFIG)


def test_what_killed_processes_left_is_cleared_away():
    folder = runs.store_root() / CONFIG.name
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt.18045.tmp").write_bytes(b"half a checkpoint")
    train(CONFIG)
    assert not list(folder.glob("*.tmp"))


# --- a store that can't be written, and what leaves nothing in it -----------------------------------------------------


def a_file_as_store(folder):
    folder.parent.mkdir(parents=True)
    folder.parent.rmdir()
    folder.parent.write_bytes(b"")


def a_file_as_run(folder):
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")


def a_folder_as_lock(folder):
    (folder / ".lock").mkdir(parents=True)


def a_folder_as_record(folder):
    (folder / "record.json").mkdir(parents=True)


def a_store_of_somebody_else(folder):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder.parent.mkdir(parents=True, mode=0o500)


def a_run_of_somebody_else(folder):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder.mkdir(parents=True, mode=0o500)


@pytest.mark.parametrize("make", [a_file_as_store, a_file_as_run, a_folder_as_lock, a_folder_as_record,
                                  a_store_of_somebody_else, a_run_of_somebody_else])
def test_a_run_that_cannot_be_written_is_a_run_error(make):
    folder = runs.store_root() / CONFIG.name
    make(folder)
    with pytest.raises(runs.RunError, match=rf"cannot (write|read) .*{CONFIG.name}.*RRA_RUNS"):
        train(CONFIG)


@pytest.mark.parametrize("refused",
                         [PermissionError(errno.EACCES, "Permission denied"),
                          OSError(errno.EROFS, "Read-only file system")])
def test_the_other_runs_go_on_where_one_cannot_be_written(monkeypatch, refused):
    real, other = Path.mkdir, replace(CONFIG, epochs=1, seed=1)

    def mkdir(path, *arguments, **options):
        if path.name == CONFIG.name:
            raise refused
        real(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    error, run = training.train_all([CONFIG, other])
    assert isinstance(error, runs.RunError) and refused.strerror in str(error)
    assert run.config == other


@pytest.mark.parametrize("config", [
    replace(CONFIG, model="vgg11", options={"width": 0.0625}, image_size=4),  # no room for its poolings
    replace(CONFIG, image_size={"canvas": 4}),  # no room for the images
    replace(CONFIG, data_checksum="of other data"),
])
def test_what_is_refused_leaves_no_folder(config):
    (error,) = training.train_all([config])
    assert isinstance(error, data.DataError)
    assert list(runs.store_root().iterdir()) == []
    with pytest.raises(Interrupted):
        train(CONFIG, deadline=time.monotonic() - 1)
    assert list(runs.store_root().iterdir()) == []


def test_what_was_kept_stays_where_a_run_is_refused(monkeypatch):
    with monkeypatch.context() as patch:
        cut_off_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG)
    with pytest.raises(Interrupted):
        train(CONFIG, deadline=time.monotonic() - 1)
    assert len(kept(runs.store_root() / CONFIG.name / "checkpoint.pt")) == 1


# --- data that can't be trained on ----------------------------------------------------------------------------------


def split(channels=3, side=8, labels=(0, 1), classes=("a", "b")):
    images = torch.randint(0, 256, (len(labels), channels, side, side), dtype=torch.uint8)
    return data.ImageSet(images, torch.tensor(labels), classes, "0" * 16, "synthetic")


@pytest.mark.parametrize("test, message", [
    ({"channels": 1}, "training images are 3x8x8, test images 1x8x8"),
    ({"side": 12}, "training images are 3x8x8, test images 3x12x12"),
    ({"labels": (0, 2)}, "the training split has 2 classes, the test split labels up to 2"),
])
def test_splits_that_do_not_fit(test, message):
    with pytest.raises(data.DataError, match=message):
        preflight.check_splits("toy", {"train": split(), "test": split(**test)})


def test_a_normalisation_of_other_channels_is_refused():
    with pytest.raises(data.DataError, match="digits: the normalisation is of 3 channels, images have 1"):
        train(replace(CONFIG, normalisation=[[0.5] * 3, [0.25] * 3]))


def test_one_class_is_nothing_to_tell_apart():
    one = split(labels=(0, 0), classes=("a",))
    with pytest.raises(data.DataError, match="expected at least two classes, got 1"):
        preflight.check_splits("toy", {"train": one, "test": one})


def test_the_check_of_the_images_leaves_a_network_as_it_was():
    model = models.build("resnet20", width=0.25)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    preflight.check_forward(model, CONFIG, torch.rand(1, 3, 8, 8))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_no_epoch_begins_after_the_deadline():
    with pytest.raises(Interrupted, match=r"time is up after 0 of 3 epochs; they are kept in .*resnet20-digits"):
        train(CONFIG, deadline=time.monotonic() - 1)


def test_no_epoch_begins_that_would_end_after_the_deadline(monkeypatch, tmp_path):
    real = training.Trainer.epoch
    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "epoch", lambda self, number: {**real(self, number), "seconds": 1000.0})
        with pytest.raises(Interrupted, match="time is up after 1 of 3 epochs"):
            train(CONFIG, deadline=time.monotonic() + 500)
    assert runs.find(CONFIG) is None
    run = train(CONFIG)
    assert run.history.seconds[0] == 1000  # the epoch that was done is kept
    assert_same_network(run, elsewhere(monkeypatch, tmp_path))


# --- several processes ----------------------------------------------------------------------------------------------


@pytest.fixture
def held():
    """The run's lock, held by somebody else."""
    folder = runs.store_root() / CONFIG.name
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"):
        yield


@pytest.mark.parametrize("options", [{"wait": False}, {"deadline": 0.2}])
def test_a_run_that_another_has_is_left_to_it(held, options):
    start = time.monotonic()
    options = {key: start + value if key == "deadline" else value for key, value in options.items()}
    with pytest.raises(Interrupted, match=f"another process trains {CONFIG.name}"):
        train(CONFIG, **options)
    assert time.monotonic() - start < 30


FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["pytest", "sklearn.datasets", "rrahelpers.__main__", "rrahelpers.training"])


@pytest.fixture
def start(tmp_path):
    """Start the command line, or a function, in a process of its own; what is still running at the end is killed."""
    children = []

    def start_child(*arguments, function=None):
        """``function(*arguments)``, forked from a process with the libraries loaded; else the command line."""
        log = tmp_path / f"child-{len(children)}.log"
        if function:
            child = FORKING.Process(target=in_child, args=(os.environ["RRA_RUNS"], log, function, arguments))
            child.start()
        else:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            with open(log, "w", encoding="utf-8") as output:
                child = subprocess.Popen([sys.executable, "-m", "rrahelpers", *arguments], env=environment,
                                         stdout=output, stderr=output, cwd=files.project_root())
        child.log = log
        children.append(child)
        return child

    yield start_child
    for child in children:
        child.kill()
        status(child, wait=10)


def in_child(store, log, function, arguments):
    os.environ["RRA_RUNS"] = store
    with open(log, "w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    torch.set_num_threads(1)
    function(*arguments)


def status(child, wait=0):
    """The exit status of a child after ``wait`` seconds; None while it runs."""
    if isinstance(child, subprocess.Popen):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait)
        return child.returncode
    child.join(wait)
    return child.exitcode


def ask(folder, own, other):
    """Train CONFIG, slowly, together with another process; leave a file for each epoch that this one trains."""
    epoch = training.Trainer.epoch

    def noted(self, number):
        (folder / f"{own}-{number}").touch()
        time.sleep(0.1)
        return epoch(self, number)

    training.Trainer.epoch = noted
    (folder / own).touch()
    while not (folder / other).exists():  # begin together
        time.sleep(0.002)
    (folder / own).write_text(str(history(train(CONFIG))), encoding="utf-8")


def test_two_processes_that_ask_for_one_run_train_it_once(start, tmp_path):
    children = [start(tmp_path, own, other, function=ask) for own, other in ("ab", "ba")]
    ends = [status(child, wait=PATIENCE) for child in children]
    assert ends == [0, 0], "".join(child.log.read_text(encoding="utf-8") for child in children)
    trained = sorted(path.name.split("-") for path in tmp_path.glob("[ab]-*"))
    assert len({who for who, _ in trained}) == 1 and [number for _, number in trained] == ["0", "1", "2"]
    first, second = ((tmp_path / name).read_text(encoding="utf-8") for name in "ab")
    assert first == second == str(history(runs.find(CONFIG)))


# --- kill -9 --------------------------------------------------------------------------------------------------------


KILLED = replace(CONFIG, options={"width": 0.5}, limit=256, epochs=50)
COMMAND = "train resnet20 --data digits --set width=0.5 --set limit=256 --set epochs=50 --set batch_size=32".split()


def test_ten_times_kill_9_at_random_moments(start, monkeypatch, tmp_path):
    chance = random.Random(2)
    checkpoint = runs.store_root() / KILLED.name / "checkpoint.pt"
    reached = []
    for attempt in range(10):
        if attempt in (0, 4, 7):  # early: Python, torch or the data are still being loaded
            child = start(*COMMAND)
            time.sleep(chance.uniform(0.1, 1.5))
        else:  # within an epoch, or while it is stored; most children come with torch loaded: that saves half a minute
            child = start(*COMMAND) if attempt == 1 else start(COMMAND, function=main)
            wait_for_epochs(child, checkpoint, chance.randint(1, 3))
            time.sleep(chance.uniform(0, 1.2) * kept(checkpoint)[-1]["seconds"])
        child.kill()  # SIGKILL
        assert status(child, wait=10) == -9, f"finished before it could be killed:\n{child.log.read_text('utf-8')}"
        assert runs.find(KILLED) is None
        reached.append(len(kept(checkpoint)))
    assert reached == sorted(reached) and reached[-1] >= 7  # nothing that was finished got lost

    child = start(*COMMAND)
    assert status(child, wait=PATIENCE) == 0, child.log.read_text(encoding="utf-8")
    run = runs.find(KILLED)
    assert run.record["status"] == "complete" and run.history.epoch.tolist() == list(range(1, 51))
    assert not checkpoint.exists()
    assert all(tensor.isfinite().all() for tensor in run.model().state_dict().values())
    assert_same_network(run, elsewhere(monkeypatch, tmp_path, KILLED))


def wait_for_epochs(child, checkpoint, count):
    """Return when ``count`` further checkpoints have been seen to take their place."""
    seen = stamp(checkpoint)
    deadline = time.monotonic() + PATIENCE
    while count:
        if status(child) is not None or time.monotonic() > deadline:
            pytest.fail(f"no checkpoint came:\n{child.log.read_text('utf-8')}")
        time.sleep(0.002)
        if stamp(checkpoint) != seen:
            seen, count = stamp(checkpoint), count - 1


def stamp(path):
    try:
        status = path.stat()
        return status.st_ino, status.st_mtime_ns
    except FileNotFoundError:
        return None


def kept(checkpoint):
    """The history of the finished epochs in a checkpoint, which must be sound at any moment."""
    return torch.load(checkpoint, weights_only=True)["history"] if checkpoint.exists() else []
