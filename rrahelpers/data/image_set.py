"""A set of labelled images as tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from rrahelpers.base.arrays import place_in_class

if TYPE_CHECKING:
    from PIL.Image import Image

    from rrahelpers.base.shapes import ImageSize, ImageStep, ImageTensor, Integers, Pixels, Places


class DataError(Exception):
    """A data set that is missing, damaged or not of the expected form; the message says what to do."""


@dataclass(frozen=True)
class ImageSet:
    """A data set's split. ``images`` uint8 [N, C, H, W], ``labels`` int64 [N], ``classes`` the names.

    ``checksum`` is the SHA-256 (16 digits) of the pixels and labels of the whole split at its native size.
    ``source`` says where the data came from.
    """

    images: Pixels
    labels: Integers
    classes: tuple[str, ...]
    checksum: str
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel over all pixels, in [0, 1]: two lists of C floats."""
        return statistics(self.images.split(1000))


def statistics(batches: Iterable[Pixels]) -> tuple[list[float], list[float]]:
    """:meth:`ImageSet.statistics` of uint8 images [n, C, H, W] that come in batches."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = [torch.stack([torch.bincount(part[:, c].flatten().int(), minlength=256) for c in range(part.shape[1])])
              for part in batches]
    shares = torch.stack(counts).sum(0)
    shares = shares.double() / shares.sum(1, keepdim=True)
    mean = shares @ levels
    return mean.tolist(), (shares @ levels**2 - mean**2).clamp_min(1e-12).sqrt().tolist()


def size_steps(size: ImageSize) -> list[ImageStep]:
    """An image size, a step or a list of them as :func:`rrahelpers.data.load` takes it, as the list of its steps.

    A step is a side in pixels, to which images are resized, or {"canvas": side}. Raises ``ValueError`` for others.
    """
    steps = list(size) if isinstance(size, (list, tuple)) else [size]
    given = [step.get("canvas") if isinstance(step, dict) and len(step) == 1 else step for step in steps]
    sides = [side for side in given if type(side) is int]
    if not steps or len(sides) < len(steps):
        raise ValueError("image_size: expected a side in pixels, {'canvas': side}, or a list of such steps, "
                         f"got {size!r}")
    if min(sides) < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {min(sides)}")
    return steps


def size_text(size: ImageSize) -> str:
    """An image size in words: "64 px", "16 px to 64 px", "32 px on a canvas of 160 px"."""
    parts = [f"on a canvas of {step['canvas']} px" if isinstance(step, dict) else f"to {step} px"
             for step in size_steps(size)]
    return " ".join(parts).removeprefix("to ")


def has_canvas(size: ImageSize | None) -> bool:
    """Whether an image size, or None, has a canvas among its steps."""
    return size is not None and any(isinstance(step, dict) for step in size_steps(size))


def fit(images: ImageTensor, size: ImageSize, places: Places | None = None) -> ImageTensor:
    """Images [N, C, H, W], uint8 or float, taken through the steps of an image size, one after the other.

    ``places``: float [N, 2] in [0, 1), from top to bottom and from left to right on each canvas; default:
    :func:`fixed_places`.
    """
    for step in size_steps(size):
        images = on_canvas(images, step["canvas"], places) if isinstance(step, dict) else resize(images, step)
    return images


def resize(images: ImageTensor, size: int, batch: int | None = None) -> ImageTensor:
    """Resize images [N, C, H, W] to ``size`` x ``size`` (bilinear, antialiased when shrinking); uint8 stays uint8.

    ``batch``: images at a time; default: as many as make four million places.
    """
    if size < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {size}")
    if images.shape[-2:] == (size, size):
        return images
    resized = images.new_empty(*images.shape[:2], size, size)
    batch = batch or max(1, 2**22 // size**2)
    for part, place in zip(images.split(batch), resized.split(batch)):
        pixels = F.interpolate(part.float(), size=(size, size), mode="bilinear", antialias=True)
        place.copy_(pixels if images.is_floating_point() else pixels.round_().clamp_(0, 255))
    return resized


def fixed_places(count: int) -> Places:
    """Where images lie on a canvas, float64 [count, 2] in [0, 1): the n-th image of any set has the same place every
    time."""
    return torch.from_numpy(np.random.default_rng(0).random((count, 2)))


def on_canvas(images: ImageTensor, side: int, places: Places | None = None) -> ImageTensor:
    """Each of some images [N, C, H, W] at its place on a black square of ``side`` pixels (dissertation, 9.2.1).

    No image is truncated. ``places`` [N, 2] in [0, 1): the share of the room above the image and to its left. Raises
    ``ValueError`` where the images are larger than the canvas.
    """
    height, width = images.shape[-2:]
    if side < max(height, width):
        raise ValueError(f"images of {height}x{width} pixels have no room on a canvas of {side}x{side}")
    places = fixed_places(len(images)) if places is None else places
    canvas = images.new_zeros(*images.shape[:2], side, side)
    corners = (places.cpu().double() * torch.tensor([side - height + 1, side - width + 1])).int().tolist()
    for image, place, (top, left) in zip(images, canvas, corners):
        place[:, top:top + height, left:left + width] = image
    return canvas


def stack(images: Sequence[Image], where: str) -> Pixels:
    """PIL images of one size as uint8 [N, C, H, W]; RGB unless all are grey."""
    if deep := {image.mode for image in images if image.mode[0] in "IF"}:
        raise DataError(f"{where}: expected images of 8 bits a channel, got Pillow's mode {', '.join(sorted(deep))}; "
                        "convert them")
    grey = all(image.mode == "L" for image in images)
    if len(sizes := {image.size for image in images}) > 1:
        raise DataError(f"{where}: expected images of one size, got {len(sizes)} sizes from {min(sizes)} to "
                        f"{max(sizes)}")
    pixels = np.stack([np.asarray(image if grey else image.convert("RGB")) for image in images])
    return torch.from_numpy(pixels[:, None] if grey else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def held_out(labels: Integers) -> torch.Tensor:
    """Which samples are for testing where a data set has no split of its own: every fifth of a class, bool [N]."""
    return place_in_class(labels) % 5 == 4


def fingerprint(pixels: Pixels, labels: Integers) -> str:
    """The SHA-256 (16 digits) of pixels and labels: two data sets of one name are told apart by it."""
    sha = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    sha.update(pixels.numpy().tobytes())
    sha.update(labels.numpy().tobytes())
    return sha.hexdigest()[:16]
