"""Training by a flat recipe, resumable at every epoch, stored once."""

import contextlib
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from rrahelpers import data, models
from rrahelpers.base.arrays import is_whole
from rrahelpers.base.devices import default_device
from rrahelpers.base.files import write_json
from rrahelpers.base.memory import kept_buffers
from rrahelpers.base.provenance import environment
from rrahelpers.eigenspace import SaturationTracker
from rrahelpers.eigenspace.spectrum import DELTA
from rrahelpers.training import checkpoints, preflight
from rrahelpers.training.config import RunConfig
from rrahelpers.training.epoch import Trainer
from rrahelpers.training.kept import epochs_to_keep, keep
from rrahelpers.training.preparation import prepare
from rrahelpers.training.records import FORMAT
from rrahelpers.training.runs import Run, RunError, find, remove_unused, save_weights, store_root
from rrahelpers.training.tables import store_table

__all__ = ["Interrupted", "RunConfig", "resolve", "train", "train_all"]


# Measure and parameters under which a run stores the saturation of its last epoch: of the training images as they pass
# (augmented, in training mode; dissertation 9.2.1), and of the test images after it.
LAST_EPOCH = ("saturation-last-epoch", {"delta": DELTA})


class Interrupted(Exception):
    """Training stopped before its last epoch (time budget, or another process has the run); nothing done is lost."""


def resolve(config: RunConfig) -> RunConfig:
    """``config`` with the data's checksum, of the data found here. Raises ``DataError`` where there are none."""
    return config if config.data_checksum else replace(config, data_checksum=data.checksum(config.data))


def train(config: RunConfig, *, device: str | torch.device | None = None, deadline: float | None = None,
          wait: bool = True, keep_every: int | None = None, until: int | None = None) -> Run:
    """Train a network, or load it where it is stored already, or go on where training was cut off.

    Parameters
    ----------
    config: :class:`RunConfig`. Where it has no data checksum and the data are missing, a stored run that agrees in
        everything else is returned.
    device: default CUDA where there is one.
    deadline: ``time.monotonic()`` after which no further epoch is begun if it would not be done by then, going by the
        last one: the first is begun in any case before the deadline.
    keep_every: keep the weights before the first epoch and after every so many beside the run, for
        :func:`rrahelpers.training.at_epoch`. They don't enter its name: a stored run stays as it is.
    wait: whether to wait (until the deadline) for another process that trains the same run, or to raise
        :class:`Interrupted` at once.
    until: the number of epochs after which to stop, at most those of ``config``; a later call goes on behind them.

    Returns the finished :class:`rrahelpers.training.runs.Run`. Raises :class:`Interrupted` at the deadline and behind
    the epoch ``until`` of a run that has more, ``ValueError`` and ``TypeError`` for a network that can't be built,
    ``DataError`` for data that it can't be trained on, ``RunError`` where its folder can't be written.
    """
    models.check(config.model)
    if keep_every is not None and not is_whole(keep_every):
        raise ValueError(f"expected keep_every to be a whole number of epochs from 1 on, got {keep_every!r}")
    try:
        config = resolve(config)
    except data.DataError:
        if (run := find(config)) is None:
            raise
        return run
    if run := find(config):
        return run
    preflight.check_network(config)
    folder = store_root() / config.name
    patience = 0 if not wait else -1 if deadline is None else max(0, deadline - time.monotonic())  # -1: no end
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock").acquire(timeout=patience)
    except Timeout:
        raise Interrupted(f"another process trains {folder.name}") from None
    except OSError as error:
        raise RunError(f"cannot write into {folder} ({error}); expected a run store that can be written, RRA_RUNS "
                       "names it") from error
    with lock:
        try:
            return find(config) or _train(config, folder, torch.device(device or default_device()), deadline,
                                          keep_every, until)
        finally:
            remove_unused(folder)


def train_all(configs: Sequence[RunConfig], *, executor: Executor | None = None,
              **options: Any) -> Iterator[Run | Interrupted | data.DataError | RunError | torch.OutOfMemoryError]:
    """Train several networks: one after the other, or on the workers of an executor.

    Parameters
    ----------
    configs: list of :class:`RunConfig`.
    executor: with the interface of ``concurrent.futures``: a process pool, a Dask client's ``get_executor()``. Its
        workers must find the data (``RRA_DATA``) and share the run store (``RRA_RUNS``).
    options: as for :func:`train`.

    Yields, in order, for each configuration its finished run, or the :class:`Interrupted`, ``DataError``, ``RunError``
    or ``torch.OutOfMemoryError`` that kept it from being finished: the others are still worth training. Raises what
    :func:`rrahelpers.training.preflight.check_network` does, before any is trained.
    """
    for config in {(config.model, str(config.options)): config for config in configs}.values():
        preflight.check_network(config)
    return (executor.map if executor else map)(partial(_attempt, **options), configs)


def _attempt(config, **options):
    try:
        return train(config, **options)
    except (Interrupted, data.DataError, RunError, torch.OutOfMemoryError) as reason:
        return reason


def _train(config, folder, device, deadline, keep_every, until):
    ready = prepare(config, device)
    with checkpoints.writing(folder):
        for leftover in folder.glob("*.tmp"):  # of processes that were killed while they wrote
            leftover.unlink()
    history = checkpoints.restore(folder, ready.model, ready.optimiser, device)
    kept = epochs_to_keep(config, keep_every)[:-1] if keep_every else []  # the last one is the run itself
    with checkpoints.writing(folder):
        if 0 in kept and not history:
            keep(folder, 0, ready.model.state_dict())
    status = _epochs(config, folder, ready, history, kept, device, deadline, until)
    record = {
        "format": FORMAT, "status": status, "config": config.as_dict(), "build": ready.build, "mean": ready.mean,
        "std": ready.std, "samples": {split: len(s) for split, s in ready.sets.items()},
        "source": ready.sets["train"].source, "environment": environment(), "history": history,
    }
    with checkpoints.writing(folder):
        save_weights(folder, {name: tensor.cpu() for name, tensor in ready.model.state_dict().items()})
        write_json(folder / "record.json", record)
        checkpoints.remove(folder)
    return Run(folder)


def _epochs(config, folder, ready, history, kept, device, deadline, until):
    """Train the epochs that ``history`` lacks, with a checkpoint after each: "complete" or "diverged"."""
    model, labels = ready.model, {split: part.labels.to(device) for split, part in ready.sets.items()}
    trainer = Trainer(config, model, ready.optimiser, ready.feeds, labels, ready.mean, ready.std, device)
    bar = tqdm(total=config.epochs, initial=len(history), desc=folder.name, unit="epoch")
    with bar, kept_buffers():
        for epoch in range(len(history), config.epochs):
            _check_time(folder, history, config.epochs, deadline, until)
            followed = epoch + 1 == config.epochs and preflight.trackable(model, ready.sample)
            with SaturationTracker(model) if followed else contextlib.nullcontext() as tracker:
                row = trainer.epoch(epoch)
            history.append(row)
            bar.update()
            if not math.isfinite(row["loss"]):
                row["loss"] = None
                warnings.warn(f"{folder.name}: the loss is not finite in epoch {epoch + 1}; the run is stored as "
                              "diverged", stacklevel=3)
                return "diverged"
            bar.set_postfix(loss=f"{row['loss']:.3f}", test=f"{row['test_accuracy']:.3f}")
            with checkpoints.writing(folder):
                if tracker:
                    store_table(folder, *LAST_EPOCH, tracker.table)
                if epoch + 1 in kept:
                    keep(folder, epoch + 1, model.state_dict())
                checkpoints.save(folder, model, ready.optimiser, history)
    return "complete"


def _check_time(folder, history, epochs, deadline, until):
    """:class:`Interrupted` where no further epoch is to begin."""
    done, expected = len(history), history[-1]["seconds"] if history else 0
    if until is not None and done >= until:
        raise Interrupted(f"{folder.name}: stopped after {done} of {epochs} epochs, as asked; they are kept in "
                          f"{folder}")
    if deadline is not None and time.monotonic() + expected > deadline:
        raise Interrupted(f"{folder.name}: time is up after {done} of {epochs} epochs; they are kept in {folder}")
