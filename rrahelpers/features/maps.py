"""A layer's answer read as a map, the same in every measure: [N, D] without places, else [N, C, T], [N, C, H, W] or [N,
C, D, H, W].

Where the features lie is told by :mod:`rrahelpers.features.axes`. One axis of places, [N, T, D] or [N, C, T], is one of
time in a network without two-dimensional maps; otherwise they are tokens, and the last of them are the places of a map
that the network made of the images: as many as a convolution answered, in front of them up to ``PREFIX`` class,
distillation and register tokens; or, without a prefix, as many as are left where such a map is merged by a whole
factor. Without any convolution it is the images' own sides over a whole number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rrahelpers.base.arrays import is_whole

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Answers

PREFIX = 17  # a class token and 16 registers, the most that "Vision Transformers Need Registers" (2024) tries


@dataclass(frozen=True, eq=False)
class Reading:
    """How one layer's answers become maps: ``axis`` of the features, and ``grid`` where the last tokens are its places.

    ``example``: the map of one image. ``unread``: why the answers can't be read as maps, where they can't; then
    ``example`` is the answer as it is.
    """

    axis: int | None
    grid: tuple[int, ...] | None
    example: torch.Tensor
    unread: str = ""

    def map(self, x: Answers) -> Answers:
        """Answers [N, ...] as maps."""
        return x if x.ndim < 3 else _as_map(x, self.axis, self.grid)


def check_grid(grid: Sequence[int] | None) -> tuple[int, ...] | None:
    """A grid as it is given, as a tuple, or None; ``ValueError`` for what is no (height, width) or (length,)."""
    sides = tuple(grid) if isinstance(grid, (tuple, list)) else ()
    if grid is not None and (len(sides) not in (1, 2) or not all(map(is_whole, sides))):
        raise ValueError(f"expected a grid (height, width) or (length,) of tokens, got {grid!r}")
    return sides or None


def read(layer: str, x: Answers, axis: int | None, maps: Sequence[tuple[int, ...]],
         grid: tuple[int, ...] | None = None, told: bool = False) -> Reading:
    """The :class:`Reading` of a layer that answers ``x`` [1, ...].

    Parameters
    ----------
    axis: of the features, from the left, or None where it isn't known.
    maps: places of the maps that the network's convolutions answered, those of the images first.
    grid: (height, width), or (length,) of a sequence: as which the last tokens are read; None: found by itself.
    told: whether the axis is the user's word. Else places of [N, H, W, D] have to be some of those maps', or of one
        that is merged or cut into patches: what attention's heads answer, [N, heads, T, D], is no map.
    """
    if x.ndim < 3:
        return Reading(axis, None, x)
    if axis is None:
        return Reading(None, None, x,
                       f"{layer} answers {_shape(x)}, and nothing tells which axis is that of the features; "
                                      f"say it with axis={{{layer!r}: 1}}, or -1 for the last")
    if x.ndim > 5:
        return Reading(axis, None, x,
                       f"{layer} answers {_shape(x)}; expected one to three axes of places beside that of the features")
    tokens = x.shape[3 - axis] if x.ndim == 3 else None
    if tokens is not None:
        grid = _grid(tokens, maps, axis == 2) if grid is None else grid
        if grid is None or math.prod(grid) > tokens:
            return Reading(axis, None, x, f"{layer} answers {_shape(x)}, and {tokens} tokens don't end in a grid of "
                           + (f"{grid}" if grid else f"maps of {_listed(maps)}")
                           + f"; say it with grid={{{layer!r}: (height, width)}}, or ({tokens},) for a sequence")
    elif axis == 3 and not told and x.shape[1:3] not in [q for p in maps for q in (p, *_merged(p))]:
        return Reading(axis, None, x,
                       f"{layer} answers {_shape(x)}, and {x.shape[1]} x {x.shape[2]} are no places of maps of "
                                      f"{_listed(maps)}; if they are, say it with axis={{{layer!r}: -1}}")
    grid = None if tokens is None else grid  # places are no tokens
    return Reading(axis, grid, _as_map(x, axis, grid))


def _as_map(x, axis, grid):
    x = x.movedim(axis, 1)
    return x if grid is None else x[..., x.shape[2] - math.prod(grid):].unflatten(2, grid)


def _grid(tokens, maps, prefix):
    """The grid that the last of some tokens make, or None; of several the one with the fewest tokens in front, then the
    latest.

    ``prefix``: whether there may be tokens in front.
    """
    images, *convolved = maps
    convolved = convolved[::-1]
    most = PREFIX if prefix else 0
    found = [p for p in convolved if 0 <= tokens - math.prod(p) <= most]
    if not found and all(len(places) < 2 for places in maps):
        return (tokens,)
    found = found or [p for places in convolved for p in _merged(places) if math.prod(p) == tokens]
    if not convolved:
        found = [p for p in (images, *_merged(images)) if 0 <= tokens - math.prod(p) <= most]
    return max(found, key=lambda places: (math.prod(places), len(places)), default=None)


def _merged(places):
    """What is left of a map whose places are merged by a factor that divides its sides, or in pairs with padding."""
    factors = [f for f in range(2, max(places, default=0) + 1) if all(side % f == 0 for side in places)
               or f & (f - 1) == 0]
    return [tuple(-(-side // f) for side in places) for f in factors]


def _shape(x):
    return f"[N, {', '.join(map(str, x.shape[1:]))}]"


def _listed(maps):
    return " or ".join(" x ".join(map(str, places)) for places in dict.fromkeys(maps))
