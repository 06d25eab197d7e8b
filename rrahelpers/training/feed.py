"""Batches of a data set on their way into training: brought to size, augmented, normalised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from rrahelpers.data.image_set import fit, fixed_places, size_steps, statistics
from rrahelpers.training.augmentation import augment
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor, Pixels

ROOM = 2**30  # bytes of images that are brought to size once and held; more are brought to size batch by batch
BATCH = 500


class ImageFeed:
    """The images of one split as a run's network gets them; ``len`` is their number.

    Images are held as bytes on the device, at their own size where they would take more than :data:`ROOM` at the last
    one: so 1,024 pixels cost arithmetic, not memory. What a batch holds doesn't depend on that.

    Parameters
    ----------
    images: uint8 [N, C, H, W], at their own size.
    config: a :class:`rrahelpers.training.config.RunConfig`.
    device: where batches are made.
    """

    def __init__(self, images: Pixels, config: RunConfig, device: torch.device) -> None:
        steps = [] if config.image_size is None else size_steps(config.image_size)
        canvases = [number for number, step in enumerate(steps, start=1) if isinstance(step, dict)]
        early = max(canvases, default=0) if config.augment_first else len(steps)
        self.before, self.after = steps[:early], steps[early:]  # the augmentation
        self.config, self.places = config, fixed_places(len(images))
        if not config.redraw_canvas and len(images) * _bytes(images, self.before) <= ROOM:
            images, self.before = _fitted(images, self.before, self.places), []
        self.images = images.to(device)

    def __len__(self) -> int:
        return len(self.images)

    def batches(self) -> Iterator[Pixels]:
        """All images in order, uint8 [n, C, H, W] at their last size, as a network is tested on them."""
        for images, places in zip(self.images.split(BATCH), self.places.split(BATCH)):
            yield _fitted(images, self.before + self.after, places)

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel at the last size, as :meth:`ImageSet.statistics`."""
        return statistics(part.cpu() for part in self.batches())

    def augmented(self, chosen: torch.Tensor, generator: torch.Generator) -> ImageTensor:
        """The images with the indices ``chosen``, augmented: float32 [n, C, H, W] in [0, 1]."""
        places = None
        if self.config.redraw_canvas:
            places = torch.rand(len(chosen), 2, generator=generator, device=generator.device)
        elif self.before:
            places = self.places[chosen.cpu()]
        x = augment(_fitted(self.images[chosen], self.before, places), self.config.augmentation, generator)
        return _fitted(x, self.after)


def _fitted(images, steps, places=None):
    return fit(images, steps, places) if steps else images


def _bytes(images, steps):
    """Of one image at its largest."""
    sides = [step["canvas"] if isinstance(step, dict) else step for step in steps]
    return images.shape[1] * max([images.shape[-1] * images.shape[-2], *(side * side for side in sides)])
