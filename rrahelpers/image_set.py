"""A set of labelled images as tensors."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F


class DataError(Exception):
    """A data set that is missing, damaged or not of the expected form; the message says what to do."""


@dataclass(frozen=True)
class ImageSet:
    """A data set's split. ``images`` uint8 [N, C, H, W], ``labels`` int64 [N], ``classes`` the names.

    ``checksum`` is the SHA-256 (16 digits) of the pixels and labels of the whole split at its native size.
    ``source`` says where the data came from.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple
    checksum: str
    source: str

    def __len__(self):
        return len(self.labels)

    def statistics(self):
        """Mean and standard deviation of each channel over all pixels, in [0, 1]: two lists of C floats."""
        levels = torch.arange(256, dtype=torch.float64) / 255
        counts = [torch.stack([torch.bincount(part[:, c].flatten().int(), minlength=256) for c in range(part.shape[1])])
                  for part in self.images.split(1000)]
        shares = torch.stack(counts).sum(0)
        shares = shares.double() / shares.sum(1, keepdim=True)
        mean = shares @ levels
        return mean.tolist(), (shares @ levels**2 - mean**2).clamp_min(1e-12).sqrt().tolist()


def size_steps(size):
    """An image size, a step or a list of them as :func:`rrahelpers.data.load` takes it, as the list of its steps.

    A step is a side in pixels, to which images are resized, or {"canvas": side}. Raises ``ValueError`` for others.
    """
    steps = list(size) if isinstance(size, (list, tuple)) else [size]
    sides = [step.get("canvas") if isinstance(step, dict) and len(step) == 1 else step for step in steps]
    if not sides or any(type(side) is not int for side in sides):
        raise ValueError("image_size: expected a side in pixels, {'canvas': side}, or a list of such steps, "
                         f"got {size!r}")
    if min(sides) < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {min(sides)}")
    return steps


def size_text(size):
    """An image size in words: "64 px", "16 px to 64 px", "32 px on a canvas of 160 px"."""
    parts = [f"on a canvas of {step['canvas']} px" if isinstance(step, dict) else f"to {step} px"
             for step in size_steps(size)]
    return " ".join(parts).removeprefix("to ")


def fit(images, size):
    """uint8 images [N, C, H, W] taken through the steps of an image size, one after the other."""
    for step in size_steps(size):
        images = on_canvas(images, step["canvas"]) if isinstance(step, dict) else resize(images, step)
    return images


def resize(images, size, batch=None):
    """Resize uint8 images [N, C, H, W] to ``size`` x ``size`` (bilinear, antialiased when shrinking).

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
        place.copy_(pixels.round_().clamp_(0, 255))
    return resized


def on_canvas(images, side):
    """Each of some images [N, C, H, W] at a place of its own on a black square of ``side`` pixels (dissertation, 9.2.1).

    No image is truncated, and every place is as likely as another. The n-th image of any set has the same place every
    time; the dissertation draws a new one whenever an image is read. Raises ``ValueError`` where the images are larger.
    """
    height, width = images.shape[-2:]
    if side < max(height, width):
        raise ValueError(f"images of {height}x{width} pixels have no room on a canvas of {side}x{side}")
    canvas = images.new_zeros(*images.shape[:2], side, side)
    draw = np.random.default_rng(0)
    places = (draw.random((len(images), 2)) * (side - height + 1, side - width + 1)).astype(int).tolist()
    for image, place, (top, left) in zip(images, canvas, places):
        place[:, top:top + height, left:left + width] = image
    return canvas


def stack(images, where):
    """PIL images of one size as uint8 [N, C, H, W]; RGB unless all are grey."""
    if deep := {image.mode for image in images if image.mode[0] in "IF"}:
        raise DataError(f"{where}: expected images of 8 bits a channel, got Pillow's mode {', '.join(sorted(deep))}; convert them")
    grey = all(image.mode == "L" for image in images)
    if len(sizes := {image.size for image in images}) > 1:
        raise DataError(f"{where}: expected images of one size, got {len(sizes)} sizes from {min(sizes)} to {max(sizes)}")
    pixels = np.stack([np.asarray(image if grey else image.convert("RGB")) for image in images])
    return torch.from_numpy(pixels[:, None] if grey else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def fingerprint(pixels, labels):
    """The SHA-256 (16 digits) of pixels and labels: two data sets of one name are told apart by it."""
    sha = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    sha.update(pixels.numpy().tobytes())
    sha.update(labels.numpy().tobytes())
    return sha.hexdigest()[:16]
