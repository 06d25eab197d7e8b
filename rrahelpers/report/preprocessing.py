"""How a network wants its images: told by the user, by the network's own configuration, or by nobody."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

ASSUMED = ("nothing tells how the network wants its images normalised: they are given to it in [0, 1]; say it with "
           "mean= and std=, as in its training")


@dataclass(frozen=True)
class Preprocessing:
    """``size``: side in pixels; ``crop`` and ``interpolation``: see :func:`rrahelpers.data.folders.load_folder`.

    ``mean``, ``std``: of each channel in [0, 1], or None where nobody tells.
    """

    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop: float = 1.0
    interpolation: str = "bilinear"

    def told(self, size: int | None = None, mean: Sequence[float] | None = None,
             std: Sequence[float] | None = None) -> Preprocessing:
        """The same with what a user says instead. Raises ``ValueError`` for a mean without a deviation, and for
        deviations that aren't above zero."""
        if (mean is None) != (std is None):
            raise ValueError("expected mean and std, or neither, got one of them")
        if std is not None and (len(std) != len(mean or ()) or min(std) <= 0):
            raise ValueError(f"expected as many deviations above 0 as means, got mean={mean} and std={std}")
        other = self if size is None else replace(self, size=int(size), crop=1.0)
        return other if mean is None or std is None else replace(other, mean=tuple(map(float, mean)),
                                                                 std=tuple(map(float, std)))

    def check(self) -> Preprocessing:
        """The same, with a warning where the normalisation isn't known."""
        if self.mean is None:
            warnings.warn(ASSUMED, stacklevel=2)
        return self

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images [N, C, H, W], uint8 or float in [0, 1], as the network takes them: float32."""
        x = images.float() / 255 if images.dtype == torch.uint8 else images
        if self.mean is None or self.std is None:
            return x
        if len(self.mean) not in (1, x.shape[1]):
            raise ValueError(f"expected a mean for each of {x.shape[1]} channels, got {list(self.mean)}")
        mean, std = (torch.tensor(values, dtype=x.dtype).view(-1, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std


def of_model(model: nn.Module) -> Preprocessing:
    """What a network's own configuration tells: timm's ``pretrained_cfg``, of transformers' the size of images."""
    about = getattr(model, "pretrained_cfg", None)
    if isinstance(about, dict) and about.get("mean"):
        side = getattr(getattr(model, "patch_embed", None), "img_size", None) or about["input_size"][1:]
        size = int(side[0]) if isinstance(side, (tuple, list)) else int(side)
        filters = about.get("interpolation") or "bilinear"
        return Preprocessing(size, tuple(about["mean"]), tuple(about["std"]), float(about.get("crop_pct") or 1),
                             filters if filters in ("bilinear", "bicubic", "nearest", "lanczos") else "bicubic")
    side = getattr(getattr(model, "config", None), "image_size", None)
    return Preprocessing(side if isinstance(side, int) else None)


def channels_of(model: nn.Module) -> int | None:
    """The channels of the images, by the first convolution; None where there is none."""
    first = next((m for m in model.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    return None if first is None else first.in_channels
