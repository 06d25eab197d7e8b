"""At which scales a layer's neighbours are searched, and what a pass has to keep of the layer for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch.nn.functional import avg_pool1d, avg_pool2d

from rrahelpers.class_similarity import pooling_windows
from rrahelpers.features import pool
from rrahelpers.features.maps import Reading
from rrahelpers.neighbors import SCALES
from rrahelpers.report.notes import Notes

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Scales

ScaleWindows: TypeAlias = dict[int | str, int | str]  # {scale: window} of a layer

PLACES = 32  # of the finest map that neighbours are searched on by default, along a side
PROBE = 4  # places that maps are pooled to for probes, along a side (dissertation, 6.2.5)


def chosen_windows(maps: Mapping[str, Reading], scales: Scales | None, notes: Notes) -> dict[str, ScaleWindows]:
    """{layer: {scale: window}} as :func:`rrahelpers.class_similarity.pooling_windows` has them.

    By default the scales are the STAC paper's, or those of the token grid where there is one, and of a map with more
    than :data:`PLACES` places along a side only what pools it to no more.
    """
    flat = {layer: reading.example for layer, reading in maps.items() if reading.example.ndim <= 4}
    if deep := [layer for layer in maps if layer not in flat]:
        notes.add(f"neighbours: maps of three dimensions are not searched: {', '.join(deep)}")
    if scales is not None:
        return pooling_windows(flat, scales)
    grids = [reading.grid for reading in maps.values() if reading.grid and len(reading.grid) == 2]
    with notes.listening("class similarity"):
        found = pooling_windows(flat, _of_grid(grids) if grids else SCALES, strict=False)
    wide = []
    for layer, windows in found.items():
        side, numbers = max(flat[layer].shape[2:], default=1), [w for w in windows.values() if not isinstance(w, str)]
        least = min(max(numbers, default=1), -(-side // PLACES))
        dropped = [scale for scale, window in windows.items() if not isinstance(window, str) and window < least]
        found[layer] = {scale: window for scale, window in windows.items() if scale not in dropped}
        wide += [layer] if dropped else []
    if wide:
        told = f"{wide[0]} and {len(wide) - 1} more" if len(wide) > 1 else wide[0]
        notes.add(f"neighbours: of maps with more than {PLACES} places along a side only scales that leave no more are "
                  f"searched ({told}); scales=… asks for others")
    return found


def _of_grid(grids):
    """Windows that divide the finest grid of tokens and one another, and "global"."""
    height, width = max(grids)
    chain = [1]
    for window in range(2, min(height, width)):
        if height % window == 0 and width % window == 0 and window % chain[-1] == 0:
            chain.append(window)
    return (*chain, "global")


def kept_of(windows: ScaleWindows, probes: bool) -> dict[str, partial[torch.Tensor]]:
    """{name: function of a layer's maps} of what a pass keeps: "maps", pooled as far as all windows allow, and
    "probe", the few places that a probe reads."""
    kept = {"maps": partial(_pooled, window=common_window(windows))} if windows else {}
    return kept | ({"probe": partial(pool, size=PROBE)} if probes else {})


def common_window(windows: ScaleWindows) -> int | str:
    """The largest window that divides all."""
    numbers = [window for window in windows.values() if not isinstance(window, str)]
    return math.gcd(*numbers) if numbers else "global"


def _pooled(x, window):
    if window == 1 or x.ndim < 3:
        return x
    if window == "global":
        return x.mean(tuple(range(2, x.ndim)), keepdim=True)
    return (avg_pool1d if x.ndim == 3 else avg_pool2d)(x, window)


def searched(maps: Mapping[str, Reading], windows: Mapping[str, ScaleWindows]) -> int:
    """How many numbers of one image the neighbour search compares, of all layers at their finest scale."""
    return sum(kept_of(windows[layer], False)["maps"](reading.example).numel() for layer, reading in maps.items()
               if windows.get(layer))
