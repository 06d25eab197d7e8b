"""Receptive fields drawn on the image that they see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from rrahelpers.plots.style import image_of

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Image


def overlay(image: Image, boxes: Mapping[str, tuple[int, int, int, int]], ax: Axes) -> Axes:
    """An image [C, H, W] with a frame for each of some layers: what one place of the layer's map can see.

    ``boxes``: {label: (top, left, bottom, right)}, of :func:`rrahelpers.receptive_field.field_place`.
    """
    ax.imshow(image_of(image), cmap="gray")
    for colour, (label, (top, left, bottom, right)) in zip(sns.color_palette("colorblind", len(boxes)), boxes.items()):
        ax.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, lw=2, color=colour,
                               label=f"{label}: {bottom - top}x{right - left}"))
    ax.set(xticks=[], yticks=[])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax
