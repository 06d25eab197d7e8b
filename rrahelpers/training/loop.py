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
from rrahelpers.base.devices import default_device, memory_format
from rrahelpers.base.files import digest, write_json
from rrahelpers.base.memory import kept_buffers
from rrahelpers.base.provenance import environment
from rrahelpers.data.image_set import fit
from rrahelpers.eigenspace import SaturationTracker
from rrahelpers.eigenspace.spectrum import DELTA
from rrahelpers.training import checkpoints, optimisation, preflight
from rrahelpers.training.config import RunConfig
from rrahelpers.training.epoch import Trainer
from rrahelpers.training.feed import ImageFeed
from rrahelpers.training.kept import epochs_to_keep, keep
from rrahelpers.training.runs import FORMAT, Run, RunError, find, normalise, remove_unused, save_weights, store_root
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
    sets = {"train": data.load(config.data, "train", limit=config.limit), "test": data.load(config.data, "test")}
    if (found := digest([sets[split].checksum for split in data.SPLITS])) != config.data_checksum:
        raise data.DataError(f"{config.data} has the checksum {found} here, {config.data_checksum} was asked for; "
                             "leave data_checksum out to train on the data found, or bring the other data")
    try:
        first = {split: part.images[:1] if config.image_size is None else fit(part.images[:1], config.image_size)
                 for split, part in sets.items()}
    except ValueError as error:  # a canvas that is too small
        raise data.DataError(f"{config.data}: {error}") from error
    preflight.check_splits(config.data, {split: replace(part, images=first[split]) for split, part in sets.items()},
                           config.normalisation)
    feeds = {split: ImageFeed(part.images, config, device) for split, part in sets.items()}
    mean, std = config.normalisation or feeds["train"].statistics()
    build = models.options_for(config.model, config.options, len(sets["train"].classes), sets["train"].images.shape[1])
    torch.manual_seed(config.seed)
    model = models.build(config.model, **build)
    if config.initialisation == "kaiming":
        optimisation.kaiming(model)
    model.to(device, memory_format=memory_format(model))
    sample = normalise(first["test"].to(device), mean, std)
    preflight.check_forward(model, config, sample)
    optimiser = optimisation.optimiser(config, model.parameters())
    with checkpoints.writing(folder):
        for leftover in folder.glob("*.tmp"):  # of processes that were killed while they wrote
            leftover.unlink()
    history = checkpoints.restore(folder, model, optimiser, device)
    kept = epochs_to_keep(config, keep_every)[:-1] if keep_every else []  # the last one is the run itself
    with checkpoints.writing(folder):
        if 0 in kept and not history:
            keep(folder, 0, model.state_dict())

    labels = {split: part.labels.to(device) for split, part in sets.items()}
    trainer = Trainer(config, model, optimiser, feeds, labels, mean, std, device)
    status = "complete"
    bar = tqdm(total=config.epochs, initial=len(history), desc=folder.name, unit="epoch")
    with bar, kept_buffers():
        for epoch in range(len(history), config.epochs):
            if until is not None and epoch >= until:
                raise Interrupted(f"{folder.name}: stopped after {epoch} of {config.epochs} epochs, as asked; they are "
                                  f"kept in {folder}")
            expected = history[-1]["seconds"] if history else 0
            if deadline is not None and time.monotonic() + expected > deadline:
                raise Interrupted(f"{folder.name}: time is up after {epoch} of {config.epochs} epochs; they are kept "
                                  f"in {folder}")
            followed = epoch + 1 == config.epochs and preflight.trackable(model, sample)
            with SaturationTracker(model) if followed else contextlib.nullcontext() as tracker:
                row = trainer.epoch(epoch)
            history.append(row)
            bar.update()
            if not math.isfinite(row["loss"]):
                status, row["loss"] = "diverged", None
                warnings.warn(f"{folder.name}: the loss is not finite in epoch {epoch + 1}; the run is stored as "
                              "diverged", stacklevel=2)
                break
            bar.set_postfix(loss=f"{row['loss']:.3f}", test=f"{row['test_accuracy']:.3f}")
            with checkpoints.writing(folder):
                if tracker:
                    store_table(folder, *LAST_EPOCH, tracker.table)
                if epoch + 1 in kept:
                    keep(folder, epoch + 1, model.state_dict())
                checkpoints.save(folder, model, optimiser, history)

    record = {
        "format": FORMAT, "status": status, "config": config.as_dict(), "build": build, "mean": mean, "std": std,
        "samples": {split: len(s) for split, s in sets.items()}, "source": sets["train"].source,
        "environment": environment(), "history": history,
    }
    with checkpoints.writing(folder):
        save_weights(folder, {name: tensor.cpu() for name, tensor in model.state_dict().items()})
        write_json(folder / "record.json", record)
        checkpoints.remove(folder)
    return Run(folder)
