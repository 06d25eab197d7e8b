"""How a feature map becomes smaller: the operation P of ClassRepSim (STAC paper, section 3), which the paper leaves
open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from rrahelpers.base.arrays import work_dtype

if TYPE_CHECKING:
    from rrahelpers.base.shapes import MapTensor

OPERATIONS = ("average", "maximum", "nearest", "bilinear")
ROWS = 1024  # samples pooled at a time


def check_operation(operation: str) -> None:
    """``ValueError`` for an operation that is none of ``OPERATIONS``."""
    if operation not in OPERATIONS:
        raise ValueError(f"unknown operation {operation!r}; expected one of {OPERATIONS}")


def pooled(x: MapTensor, window: tuple[int, int], operation: str = "average") -> MapTensor:
    """Maps [N, C, H, W] with one place for each window (h, w), [N, C, H / h, W / w], in float32 or float64.

    ``operation``: "average" or "maximum" of the window; "nearest", its first place; "bilinear", between the places
    about its middle, as :func:`torch.nn.functional.interpolate` does.
    """
    smaller: Callable[[torch.Tensor], torch.Tensor] = {
        "average": lambda part: F.avg_pool2d(part, window),
        "maximum": lambda part: F.max_pool2d(part, window),
        "nearest": lambda part: part[:, :, ::window[0], ::window[1]],
        "bilinear": lambda part: F.interpolate(part, [part.shape[2] // window[0], part.shape[3] // window[1]],
                                               mode="bilinear", align_corners=False)}[operation]
    return torch.cat([smaller(part.to(work_dtype(part.dtype))) for part in x.split(ROWS)])
