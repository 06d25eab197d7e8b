"""What a training begins with: data that fit their checksum and one another, the network, the optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from rrahelpers import data, models
from rrahelpers.base.devices import memory_format
from rrahelpers.base.files import digest
from rrahelpers.data.image_set import ImageSet, fit
from rrahelpers.training import optimisation, preflight
from rrahelpers.training.config import RunConfig
from rrahelpers.training.feed import ImageFeed
from rrahelpers.training.runs import normalise


@dataclass
class Preparation:
    """``sets``: images by split; ``feeds``: the same, batch by batch; ``mean``, ``std``: of each channel; ``build``:
    the network's options; ``sample``: one normalised test image on the device."""

    sets: Mapping[str, ImageSet]
    feeds: Mapping[str, ImageFeed]
    mean: Sequence[float]
    std: Sequence[float]
    build: Mapping[str, Any]
    model: nn.Module
    optimiser: torch.optim.Optimizer
    sample: torch.Tensor


def prepare(config: RunConfig, device: torch.device) -> Preparation:
    """All that comes before the first step. Raises ``DataError`` for data that aren't those of the configuration or
    can't be trained on, and what :func:`rrahelpers.training.preflight.check_forward` does."""
    sets = {"train": data.load(config.data, "train", limit=config.limit), "test": data.load(config.data, "test")}
    first = _checked(config, sets)
    feeds = {split: ImageFeed(part.images, config, device) for split, part in sets.items()}
    mean, std = config.normalisation or feeds["train"].statistics()
    build = models.options_for(config.model, config.options, len(sets["train"].classes), sets["train"].images.shape[1])
    torch.manual_seed(config.seed)
    model = models.build(config.model, **build)
    if config.initialisation == "kaiming":
        optimisation.kaiming(model)
    model.to(device, memory_format=memory_format(model))  # type: ignore[call-overload]  # torch's types lack it
    sample = normalise(first["test"].to(device), mean, std)
    preflight.check_forward(model, config, sample)
    return Preparation(sets, feeds, mean, std, build, model, optimisation.optimiser(config, model.parameters()), sample)


def _checked(config, sets):
    """The first image of each split at the configuration's size, where the data are what the configuration says."""
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
    return first
