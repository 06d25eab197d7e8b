"""The run store: one folder for each trained network, named by the hash of its whole configuration.

``data/runs/<model>-<data>-<hash>/`` holds

- ``record.json``: configuration, per-epoch history, environment, data checksum; written last, so a record is complete;
- ``weights.safetensors``, or ``weights.large.safetensors`` over 4 MB (that name is git-ignored);
- ``checkpoint.pt`` while the run is unfinished, ``epoch-<number>.safetensors`` of epochs that are kept (git-ignored);
- ``results/<measure>-<hash>.csv`` and ``.json``: what expensive measures gave, keyed by measure and parameters.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn

from rrahelpers import data, models
from rrahelpers.base.devices import memory_format
from rrahelpers.base.files import atomic, data_root
from rrahelpers.training.config import RunConfig
from rrahelpers.training.records import read_record
from rrahelpers.training.tables import RunError, stored_table

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor, Integers

COMMITTED_WEIGHTS = 4 * 2**20  # bytes; larger weights stay out of git


class Run:
    """A finished run in the store."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record = read_record(self.folder)

    @cached_property
    def config(self) -> RunConfig:
        try:
            return RunConfig(**self.record["config"])
        except (TypeError, ValueError) as error:
            raise RunError(f"{self.folder} was written by another version ({error}); move the folder away or use that "
                           "version") from error

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def diverged(self) -> bool:
        """Whether training ended with a loss that is not finite: there is nothing to measure."""
        return self.record["status"] != "complete"

    @property
    def history(self) -> pd.DataFrame:
        """One row for each epoch: epoch, loss, learning_rate, train_accuracy, test_accuracy (fractions), seconds."""
        return pd.DataFrame(self.record["history"])

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy on the test split after the last epoch, a fraction. NaN for a run that diverged."""
        return float("nan") if self.diverged else self.record["history"][-1]["test_accuracy"]

    def weight_files(self) -> list[Path]:
        """Where its weights may be."""
        return weight_paths(self.folder)

    def untrained(self) -> nn.Module:
        """The network with weights drawn anew: those that the run began with, where its seed was set before. Reads no
        weights."""
        return models.build(self.config.model, **self.record["build"])

    def model(self, device: str | torch.device = "cpu") -> nn.Module:
        """The trained network in evaluation mode, on ``device``, in the memory format in which it was trained."""
        from safetensors.torch import load_file

        path = next((p for p in self.weight_files() if p.exists()), None)
        if path is None:
            raise RunError(f"{self.folder} has a record but no weights (too large to be committed); expected one of "
                           f"{', '.join(p.name for p in self.weight_files())}. Train the run again (an epoch's "
                           "are kept by keep_every) after moving the folder away")
        network = self.untrained()
        try:
            network.load_state_dict(load_file(path))
        except Exception as error:
            raise RunError(f"{path} is damaged or belongs to another network ({error}); "
                           "restore it with git checkout, or move the folder away and train again") from error
        network.to(device, memory_format=memory_format(network))  # type: ignore[call-overload]  # torch's stub lacks it
        return network.eval()

    def images(self, split: str, limit: int | None = None, *, download: bool = True) -> data.ImageSet:
        """The first ``limit`` images (None: all) of a split of what the network was trained on: an ``ImageSet``, as
        bytes. ``download`` as for :func:`rrahelpers.data.load`.

        Raises ``DataError`` where the data of this name that are found here are others: no measure of this network.
        """
        config = self.config
        if (here := data.checksum(config.data, download=download)) != config.data_checksum:
            raise data.DataError(f"{self.name} was trained on {config.data} with the checksum {config.data_checksum}, "
                                 f"found here is {here}. Stored results can be read all the same; to compute new ones "
                                 "bring those data, or train on these")
        return data.load(config.data, split, limit=limit, image_size=config.image_size, download=download)

    def preprocess(self, images: ImageTensor) -> ImageTensor:
        """Turn uint8 images [N, C, H, W] into what the network was trained on: float32, normalised by channel."""
        return normalise(images, self.record["mean"], self.record["std"])

    def inputs(self, split: str, limit: int | None = None) -> tuple[ImageTensor, Integers]:
        """The first ``limit`` images of a split as the network takes them (:meth:`preprocess`), and their labels [N].
        As for :meth:`images`."""
        part = self.images(split, limit)
        return self.preprocess(part.images), part.labels

    def result(self, measure: str, parameters: dict, compute: Callable[[], pd.DataFrame] | None) -> pd.DataFrame | None:
        """The tidy table of ``measure`` of this run: :func:`stored_table` in its folder."""
        return stored_table(self.folder, measure, self.keyed(parameters), compute)

    def keyed(self, parameters: dict) -> dict:
        """The parameters under which what is measured of this network is stored."""
        return parameters


def normalise(images: ImageTensor, mean: Sequence[float], std: Sequence[float]) -> ImageTensor:
    """uint8 [N, C, H, W] in 0..255, or float in [0, 1], to (x - mean) / std by channel, float32."""
    x = images.float().div_(255) if images.dtype == torch.uint8 else images.clone()
    shape = (1, -1, 1, 1)
    return x.sub_(torch.tensor(mean, device=x.device).view(shape)).div_(torch.tensor(std, device=x.device).view(shape))


def store_root() -> Path:
    """``$RRA_RUNS``, or ``data/runs``."""
    return Path(os.environ.get("RRA_RUNS") or data_root() / "runs")


def run_folders() -> list[Path]:
    """The folder of every finished run in the store, by name."""
    return [path.parent for path in sorted(store_root().glob("*/record.json"))]


def stored_runs() -> list[Run]:
    """Every finished run in the store, by name. Raises ``RunError`` for a record that is damaged."""
    return [Run(folder) for folder in run_folders()]


def find(config: RunConfig) -> Run | None:
    """The finished run of ``config``, or None. Without a checksum as for :func:`finished`."""
    if config.data_checksum is None:
        return finished([config])[0]
    folder = store_root() / config.name
    # False too where the folder can't be looked into
    return Run(folder) if os.path.exists(folder / "record.json") else None


def finished(configs: Sequence[RunConfig]) -> list[Run | None]:
    """The stored run of each configuration, None where there is none; the store is read once.

    Runs on several copies of a data set don't mix: where there are several, those on the data found here count, or
    those that ``data_checksum`` names. Raises ``RunError`` where none of the copies is here.
    """
    stored: dict[str, dict[str | None, Run]] = {}
    for run in stored_runs():
        stored.setdefault(_key(run.config), {})[run.config.data_checksum] = run
    found = [stored.get(_key(config), {}) for config in configs]
    checksums = {name: {c for config, runs in zip(configs, found)
                        if config.data == name and config.data_checksum is None for c in runs}
                 for name in {config.data for config in configs}}
    chosen = {name: _choose_data(name, sums) for name, sums in checksums.items() if sums}
    return [runs.get(config.data_checksum or chosen.get(config.data)) for config, runs in zip(configs, found)]


def _key(config):
    """A configuration without its data's checksum, as text."""
    return json.dumps({key: value for key, value in config.as_dict().items() if key != "data_checksum"}, sort_keys=True)


def _choose_data(name, checksums):
    if len(checksums) == 1:
        return next(iter(checksums))
    try:
        here = data.checksum(name)
    except data.DataError:
        here = None
    if here not in checksums:
        copies = ", ".join(sorted(checksums))
        raise RunError(f"the store has runs on {len(checksums)} copies of {name} ({copies}), none of which is the one "
                       f"found here ({here}); give data_checksum to choose, or bring one of them")
    return here


def remove_unused(folder: Path) -> None:
    """Remove the folder of a run of which nothing was kept (it holds its lock alone), if that can be done."""
    if [path.name for path in folder.iterdir()] == [".lock"]:
        with contextlib.suppress(OSError):
            (folder / ".lock").unlink()
            folder.rmdir()


def weight_paths(folder: Path) -> list[Path]:
    return [folder / "weights.safetensors", folder / "weights.large.safetensors"]


def save_weights(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Write a state dict, under the git-ignored name where it is too large to commit."""
    from safetensors.torch import save

    size = sum(t.numel() * t.element_size() for t in state.values())
    with atomic(weight_paths(folder)[size > COMMITTED_WEIGHTS]) as temporary:
        temporary.write_bytes(save({name: tensor.contiguous() for name, tensor in state.items()}))
