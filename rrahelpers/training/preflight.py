"""What is refused before hours of training are spent: networks that can't be built, data that they can't be trained
on."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from rrahelpers import models
from rrahelpers.data.image_set import DataError, ImageSet
from rrahelpers.eigenspace import SaturationTracker
from rrahelpers.models.own import is_own
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor


def check_network(config: RunConfig) -> None:
    """Raise the ``ValueError`` or ``TypeError`` with which :func:`rrahelpers.models.build` refuses the configured
    network. One's own are called with the number of classes, which isn't known yet."""
    if is_own(config.model):
        return
    with torch.device("meta"):  # without its weights
        models.build(config.model, **config.options)


def check_splits(name: str, sets: dict[str, ImageSet], normalisation: list[list[float]] | None = None) -> None:
    """Raise ``DataError`` where a data set's "train" and "test" (:class:`ImageSet`) are not of one form, or hold one
    class.

    ``normalisation``: [mean, deviation] that must have a number for each channel.
    """
    train, test = sets["train"], sets["test"]
    if normalisation and len(normalisation[0]) != train.images.shape[1]:
        raise DataError(f"{name}: the normalisation is of {len(normalisation[0])} channels, images have "
                        f"{train.images.shape[1]}")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(f"{name}: training images are {_size(train.images)}, test images {_size(test.images)} "
                        "(channels, height, width); expected one form. image_size brings both to one height and width")
    if len(train.classes) < 2:
        raise DataError(f"{name}: expected at least two classes, got {len(train.classes)}: there is nothing to tell "
                        "apart")
    if (most := int(test.labels.max())) >= len(train.classes):
        raise DataError(f"{name}: the training split has {len(train.classes)} classes, the test split labels up to "
                        f"{most}")


@torch.no_grad()
def check_forward(model: nn.Module, config: RunConfig, image: ImageTensor) -> None:
    """Raise ``DataError`` where the configured network can't take an image [1, C, H, W]: too small, of other channels.

    The model is left in evaluation mode.
    """
    try:
        model.eval()(image)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{config.model} can't take the images of {config.data}, {_size(image)} (channels, "
                        f"height, width): {error}. Another size is chosen by image_size") from error


@torch.no_grad()
def trackable(model: nn.Module, image: ImageTensor) -> bool:
    """Whether a :class:`SaturationTracker` can follow a network; a warning where it can't. ``image``: [1, C, H, W]."""
    try:
        with warnings.catch_warnings(), SaturationTracker(model):
            warnings.simplefilter("ignore")  # of a single image
            model.eval()(image)
        return True
    except (TypeError, ValueError) as error:
        warnings.warn(f"no saturation is kept of this training: {error}", stacklevel=3)
        return False


def _size(images):
    return "x".join(map(str, images.shape[1:]))
