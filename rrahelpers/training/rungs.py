"""Training a network a part of the way, to see how it does before the rest is spent."""

from __future__ import annotations

import torch

from rrahelpers.training import checkpoints
from rrahelpers.training.config import RunConfig
from rrahelpers.training.loop import Interrupted, resolve, train
from rrahelpers.training.runs import find, store_root


def train_until(config: RunConfig, epochs: int, *, device: str | torch.device | None = None,
                deadline: float | None = None) -> list[dict[str, float]]:
    """The history of a training after at least ``epochs`` of its epochs, a row for each; what is lacking is trained.

    The learning rate follows the schedule of the whole training, of which this is the beginning: a later call, or
    :func:`rrahelpers.training.train`, goes on from there. Of a network that diverged before, all rows that it has.

    Raises as :func:`rrahelpers.training.train`, :class:`Interrupted` at the deadline alone.
    """
    config = resolve(config)
    if run := find(config):
        return run.record["history"]
    folder = store_root() / config.name
    if epochs < config.epochs and len(done := checkpoints.history(folder)) >= epochs:
        return done
    try:
        return train(config, device=device, deadline=deadline, until=epochs).record["history"]
    except Interrupted:
        if len(done := checkpoints.history(folder)) < epochs:
            raise
        return done
