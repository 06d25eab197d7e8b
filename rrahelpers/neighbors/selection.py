"""The smallest of many numbers in each row of a matrix, without looking at all of them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from jaxtyping import Float32

    from rrahelpers.base.shapes import Bounds

FAN = 8  # numbers of which the next level keeps the smallest
STEP = FAN**2  # sides of matrices are multiples of it


def lowest(values: Float32[torch.Tensor, "m n"], width: int) -> Bounds:
    """The ``width`` smallest of each row, in any order, and their places."""
    if width >= values.shape[1]:
        return values.clone(), torch.arange(values.shape[1], device=values.device).expand(len(values), -1)
    if values.device.type != "cpu":
        return values.topk(width, largest=False, sorted=False)
    # numpy's selection is vectorised, torch's isn't: a quarter of the time
    places = torch.from_numpy(np.ascontiguousarray(np.argpartition(values.numpy(), width - 1, axis=1)[:, :width]))
    return values.gather(1, places), places


def lowest_of_rows(t: Float32[torch.Tensor, "m n"], width: int) -> Bounds:
    """As :func:`lowest`, of a large matrix whose sides are multiples of ``STEP``.

    The minima of groups of numbers, and of groups of groups, make a tree: the ``width`` smallest numbers lie in the
    ``width`` groups of the smallest minima, so that of each level ``FAN * width`` numbers are looked at.
    """
    return _descend(t, _tree(t.unflatten(1, (FAN, -1)).amin(1), width) if _large(t, width) else [], width)


def lowest_of_columns(t: Float32[torch.Tensor, "m n"], width: int) -> Bounds:
    """:func:`lowest_of_rows` of the transposed matrix; the matrix itself isn't transposed."""
    if not _large(t.T, width):
        return lowest(t.T.contiguous(), width)
    return _descend(t.T, _tree(t.unflatten(0, (FAN, -1)).amin(0).T.contiguous(), width), width)


def _large(t, width):
    return t.shape[1] >= 2 * FAN * width


def _tree(minima, width):
    """The minima of groups, and the minima of their groups, as long as that saves work."""
    levels = [minima]
    while _large(levels[-1], width) and levels[-1].shape[1] % FAN == 0:
        levels.append(levels[-1].unflatten(1, (FAN, -1)).amin(1))
    return levels


def _descend(t, levels, width):
    """From the groups of the smallest minima to the smallest numbers of ``t``."""
    levels = [t, *levels]
    values, places = lowest(levels[-1], width)
    for level in levels[-2::-1]:
        groups = level.shape[1] // FAN
        members = torch.arange(0, level.shape[1], groups, device=t.device)[:, None]
        everyone = (places[:, None] + members).flatten(1)
        values, at = lowest(level.gather(1, everyone), width)
        places = everyone.gather(1, at)
    return values, places
