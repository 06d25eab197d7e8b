"""Layers' feature maps pooled to a few places as they are computed, so that a whole data set's fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.modules import layer_list
from rrahelpers.features.batches import as_batches
from rrahelpers.features.layers import groups, readings, visit

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Answers, FeatureAxes, Grid, Images

POOLING = ("average", "nearest", "random")
AVERAGE: dict[int, Callable[..., torch.Tensor]] = {
    3: F.adaptive_avg_pool1d, 4: F.adaptive_avg_pool2d, 5: F.adaptive_avg_pool3d}


def pool(features: Answers, size: int, pooling: str = "average", seed: int = 0) -> Answers:
    """Pool maps [N, C, H, W] to ``size`` x ``size`` places, [N, C, T] to ``size``; smaller sides stay, and so does [N,
    D].

    ``pooling``: "average" (adaptive average pooling), "nearest" (one place for each, the first of its part), or
    "random": as many places, drawn by ``seed`` once for all maps of a shape, in their order (a choice of features at
    random, as Alain and Bengio 2017 made of large layers; the dissertation, 8.3, decides against it). Raises
    ``ValueError`` for another pooling and for a size that is no whole number from 1 on.
    """
    if pooling not in POOLING:
        raise ValueError(f"unknown pooling {pooling!r}; expected one of {POOLING}")
    if not is_whole(size):
        raise ValueError(f"expected a size that is a whole number from 1 on, got {size!r}")
    if features.ndim not in AVERAGE:
        return features
    sides = [min(size, side) for side in features.shape[2:]]
    if pooling == "average":
        return AVERAGE[features.ndim](features, sides)
    if pooling == "random":
        return _drawn(features, sides, seed)
    return F.interpolate(features, sides, mode="nearest")


def _drawn(features, sides, seed):
    """Places at random, without repetition, as maps with those sides."""
    total = math.prod(features.shape[2:])
    draw = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:math.prod(sides)].sort().values
    return features.flatten(2)[:, :, draw.to(features.device)].unflatten(2, sides)


def each_pooled_layer(
    model: nn.Module, image_sets: Iterable[Images], layers: Iterable[str], sizes: Sequence[int],
    pooling: str = "average", *, memory: float = 2 * 2**30, batch_size: int | None = None,
    grid: Grid | None = None, axis: FeatureAxes | None = None, seed: int = 0,
) -> Iterator[tuple[str, dict[tuple[int, ...], list[Answers]]]]:
    """Yield (layer, {sizes: [pooled features of each image set]}), one layer after the other.

    Sizes that pool a layer alike share an entry: (4, 5, 6) for a map with a side of 4. There are as few forward passes
    as ``memory`` allows, bytes of pooled features held at a time; at least one layer's are. Other parameters as for
    :func:`pool`, :func:`rrahelpers.features.extract` and :func:`rrahelpers.features.layers.readings`; raises as they
    do.
    """
    sets = [as_batches(images) for images in image_sets]
    layers, images = layer_list(layers), sum(map(len, sets))
    alike, needed, maps = {}, {}, readings(model, sets[0], layers, grid=grid, axis=axis)
    for layer in layers:
        pooled = {size: pool(maps[layer].example, size, pooling, seed) for size in sizes}
        shapes = {p.shape: p.numel() * p.element_size() for p in pooled.values()}
        alike[layer] = [tuple(size for size in sizes if pooled[size].shape == shape) for shape in shapes]
        needed[layer] = images * sum(shapes.values())
    for group in groups(layers, needed, memory):
        found: dict[str, dict[tuple[int, ...], list[list[torch.Tensor]]]] = {
            layer: {sizes: [[] for _ in sets] for sizes in alike[layer]} for layer in group}
        for number, images in enumerate(sets):
            def keep(layer, output, _place):
                for sizes, parts in found[layer].items():
                    parts[number].append(pool(output, sizes[0], pooling, seed).to(images.sample.device, copy=True))

            visit(model, images, group, keep, batch_size=batch_size, maps=maps)
        for layer in group:
            yield layer, {sizes: list(map(torch.cat, parts)) for sizes, parts in found.pop(layer).items()}
