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
        shares = torch.stack([torch.bincount(self.images[:, c].flatten().int(), minlength=256) for c in range(self.images.shape[1])])
        shares = shares.double() / shares.sum(1, keepdim=True)
        mean = shares @ levels
        return mean.tolist(), (shares @ levels**2 - mean**2).clamp_min(1e-12).sqrt().tolist()


def resize(images, size, batch=4096):
    """Resize uint8 images [N, C, H, W] to ``size`` x ``size`` (bilinear, antialiased when shrinking)."""
    if size < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {size}")
    if images.shape[-2:] == (size, size):
        return images
    parts = [F.interpolate(part.float(), size=(size, size), mode="bilinear", antialias=True) for part in images.split(batch)]
    return torch.cat([part.round_().clamp_(0, 255).byte() for part in parts])


def stack(images, where):
    """PIL images of one size as uint8 [N, C, H, W]; RGB unless all are grey."""
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
