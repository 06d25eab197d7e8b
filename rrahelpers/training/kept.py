"""The networks of a run's earlier epochs: weights that :func:`rrahelpers.training.train` keeps where it is asked to.

``epoch-<number>.safetensors`` in the run's folder (git-ignored; the tables measured of them are kept with the run's).
Epoch 0 is the network before its training, the last one is the run itself. What is kept changes nothing in what is
trained, so it isn't part of a run's name.
"""

from __future__ import annotations

from pathlib import Path

import torch

from rrahelpers.base.files import atomic
from rrahelpers.training.config import RunConfig
from rrahelpers.training.runs import Run


def epochs_to_keep(config: RunConfig, every: int) -> list[int]:
    """The epochs of a run of which there is a network where every ``every``-th is kept: 0, ``every`` … and the last."""
    return [*range(0, config.epochs, every), config.epochs]


def keep(folder: Path, epoch: int, state: dict[str, torch.Tensor]) -> None:
    """Write the weights of an epoch. Raises ``OSError`` where that can't be done."""
    from safetensors.torch import save

    with atomic(_path(folder, epoch)) as temporary:
        temporary.write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in state.items()}))


def at_epoch(run: Run, epoch: int) -> Run:
    """A run as it was after an epoch (0: before the first): its history so far, its network where it was kept, and
    results of its own. Raises ``ValueError`` for an epoch that it hasn't."""
    if not 0 <= epoch <= run.config.epochs:
        raise ValueError(f"{run.name} has the epochs 0 to {run.config.epochs}, got {epoch}")
    return run if epoch == run.config.epochs else KeptEpoch(run.folder, epoch)


class KeptEpoch(Run):
    """What :func:`at_epoch` answers of an epoch before the last."""

    def __init__(self, folder: str | Path, epoch: int) -> None:
        super().__init__(folder)
        self.epoch = epoch
        self.record = self.record | {"history": self.record["history"][:epoch]}

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy on the test split after this epoch, a fraction; NaN before the first."""
        return super().accuracy if self.epoch else float("nan")

    def weight_files(self) -> list[Path]:
        return [_path(self.folder, self.epoch)]

    def keyed(self, parameters: dict) -> dict:
        return parameters | {"epoch": self.epoch}


def _path(folder, epoch):
    return folder / f"epoch-{epoch}.safetensors"
