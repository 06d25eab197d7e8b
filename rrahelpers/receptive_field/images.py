"""The image that an argument ``input_size`` means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from rrahelpers.base.arrays import is_whole

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize


def image_shape(model: nn.Module, input_size: InputSize) -> tuple[int, int, int]:
    """(C, H, W) of the images that ``input_size`` means; the channels default to those of the first convolution."""
    *channels, height, width = image_sides(input_size)
    if not channels:
        convolution = next((m for m in model.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
        if convolution is None:
            raise ValueError("no convolution tells the channels of the image; "
                             f"give input_size as (C, H, W), got {input_size!r}")
        channels = [convolution.in_channels]
    return *channels, height, width


def image_sides(input_size: InputSize) -> tuple:
    """(H, W) or (C, H, W), as it was given. Raises ``ValueError`` for anything else."""
    sides = tuple(input_size) if isinstance(input_size, (tuple, list)) else (input_size,) * 2
    if len(sides) not in (2, 3) or not all(map(is_whole, sides)):
        raise ValueError("input_size must be a side in pixels, (H, W) or (C, H, W), positive integers; "
                         f"got {input_size!r}")
    return sides
