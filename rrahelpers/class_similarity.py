"""Multi-scale class similarity, ClassRepSim (STAC paper, section 3, equation 2 and algorithm 1).

How many of a sample's nearest neighbours in a layer's feature space share its class, when the features are
average-pooled to different spatial resolutions. Without pooling, Doimo et al. (NeurIPS 2020) call the same share their
overlap with the ground truth labels; retrieval calls it the precision at k.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers.base.arrays import check_labels
from rrahelpers.features import MEMORY, analysed_layers, each_layer
from rrahelpers.features.batches import as_batches, labels_of
from rrahelpers.features.layers import readings
from rrahelpers.neighbors import SCALES, KNNGraph, check_graph, pyramid_graphs
from rrahelpers.neighbors.pooling import check_operation

if TYPE_CHECKING:
    from torch import Tensor

    from rrahelpers.base.shapes import Grid, Images, Labels, Scales


@dataclass(frozen=True)
class LayerGraph:
    """The neighbour graph of one layer at one scale.

    ``index`` is the layer's number, ``side`` the height (or length) of the pooled map in places (1 without any).
    """

    layer: str
    index: int
    scale: int | str
    side: int
    graph: KNNGraph


def class_similarity(graph: KNNGraph, labels: Labels, *, balanced: bool = False,
                     class_fraction: float | None = None) -> float:
    """The mean share of a sample's neighbours that have its label (equation 2): in [0, 1], 1 for a single class.

    Parameters
    ----------
    graph: a :class:`KNNGraph` over N samples.
    labels: integers [N].
    balanced: whether every class weighs the same, however many samples it has: the mean over classes of their means.
    class_fraction: how many of its neighbours a sample looks at, as a share of its class' samples (rounded down, at
        least 1); default: all k. With k for all, a class of fewer than k + 1 samples can't reach 1.

    Of classes that aren't equally large, compare the value with :func:`chance_similarity`: a layer that says nothing
    has .82 where nine of ten samples are of one class. Raises ``ValueError`` for labels of another length and for a
    fraction that isn't in (0, 1] or needs more than k neighbours, ``TypeError`` for labels that are no integers.
    """
    labels = check_labels(labels, len(check_graph(graph))).to(graph.indices.device)
    same = labels[graph.indices] == labels[:, None]
    if class_fraction is None:
        share = same.double().mean(1)
    else:
        looked = _looked_at(labels, class_fraction, graph.k)
        inside = torch.arange(graph.k, device=labels.device) < looked[:, None]
        share = (same & inside).double().sum(1) / looked
    return _mean(share, labels, balanced)


def chance_similarity(labels: Labels, *, balanced: bool = False) -> float:
    """The class similarity to expect of features that know nothing of the classes: the mean over samples of the share
    of the N - 1 others that have its label; of one sample NaN. ``balanced`` as for :func:`class_similarity`."""
    labels = check_labels(labels, len(labels))
    return _mean((_class_sizes(labels) - 1) / (len(labels) - 1), labels, balanced) if len(labels) > 1 else math.nan


def scale_graphs(model: nn.Module, images: Images, *, layers: Iterable[str] | None = None, scales: Scales | None = None,
                 k: int = 10, memory: float = MEMORY, progress: bool = True, grid: Grid | None = None,
                 axis: dict[str, int] | None = None, operation: str = "average") -> Iterator[LayerGraph]:
    """Yield a :class:`LayerGraph` for every layer and scale (algorithm 1, lines 1 to 5), one layer in memory at a time.

    Parameters
    ----------
    model, images: as for :func:`rrahelpers.features.extract`.
    layers: names; default as for :func:`rrahelpers.features.analysed_layers`.
    scales: sides of the pooling window in places of the map (of [N, C, T] along T), or "global". A window larger than a
        layer's map is the whole map, so that every curve goes on through the pooled layer and the logits, as in figure
        4. Default :data:`SCALES`, of which each layer's map leaves out those that don't divide it, with a warning.
    k: neighbours for each sample.
    memory: bytes of features held at a time.
    grid, axis: how layers are read as maps, see :func:`rrahelpers.features.layers.readings`.
    operation: P of algorithm 1, by which maps become smaller: "average", as in the paper, or "maximum", "nearest",
        "bilinear"; see :func:`rrahelpers.neighbors.pooling.pooled`.

    Raises as ``extract`` and ``readings``, and ``ValueError`` for an impossible k, no scales, and scales that don't
    divide a layer's map: all before the first layer is done.
    """
    check_operation(operation)
    images = as_batches(images)
    layers = analysed_layers(model, images, layers, grid=grid, axis=axis)
    if k < 1 or k >= len(images):
        raise ValueError(f"k must be between 1 and the number of images less one ({len(images) - 1}), got {k}")
    maps = readings(model, images, layers, grid=grid, axis=axis)
    windows = pooling_windows({layer: maps[layer].example for layer in layers}, scales)
    bar = tqdm(total=len(layers), desc="class similarity", unit="layer", disable=not progress)
    with bar:
        for index, (layer, features) in enumerate(each_layer(model, images, layers, memory=memory, maps=maps)):
            bar.set_postfix_str(layer)
            try:
                graphs = pyramid_graphs(features, tuple(dict.fromkeys(windows[layer].values())), k,
                                        operation=operation)
            except ValueError as error:  # features that are not finite
                raise ValueError(f"layer {layer!r}: {error}") from error
            for scale, window in windows[layer].items():
                height = features.shape[2] if features.ndim > 2 else 1
                side = 1 if isinstance(window, str) else height // window
                yield LayerGraph(layer, index, scale, side, graphs[window])
            del features
            bar.update()


def classrepsim(model: nn.Module, images: Images, labels: Labels | None = None, *, layers: Iterable[str] | None = None,
                scales: Scales | None = None, k: int = 10, memory: float = MEMORY, progress: bool = True,
                grid: Grid | None = None, axis: dict[str, int] | None = None,
                operation: str = "average") -> pd.DataFrame:
    """Class similarity of every layer at every scale (algorithm 1).

    Parameters as for :func:`scale_graphs`, and ``labels``: integers [N], None where they come with the images.

    Returns a tidy table with one row for each layer and scale: ``layer``, ``index``, ``scale`` (text), ``side`` (of
    the pooled map), ``value`` (in [0, 1]).
    """
    images = as_batches(images)
    labels = labels_of(images, labels)
    graphs = scale_graphs(model, images, layers=layers, scales=scales, k=k, memory=memory, progress=progress, grid=grid,
                          axis=axis, operation=operation)
    return pd.DataFrame([{"layer": g.layer, "index": g.index, "scale": str(g.scale), "side": g.side,
                          "value": class_similarity(g.graph, labels)} for g in graphs])


def _mean(share, labels, balanced):
    return (share / _class_sizes(labels) / len(labels.unique())).sum().item() if balanced else share.mean().item()


def _class_sizes(labels):
    """How many samples have the label of each sample, float64 [N]."""
    _, which, counts = labels.unique(return_inverse=True, return_counts=True)
    return counts[which].double()


def _looked_at(labels, fraction, k):
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a class_fraction above 0 and up to 1, got {fraction}")
    looked = (_class_sizes(labels) * fraction).floor().clamp(min=1)
    if (most := int(looked.max())) > k:
        raise ValueError(f"class_fraction={fraction} needs a graph of {most} neighbours for the largest class, got one "
                         f"with k={k}")
    return looked


def pooling_windows(maps: Mapping[str, Tensor], scales: Scales | None = None, *,
                    strict: bool | None = None) -> dict[str, dict[int | str, int | str]]:
    """The pooling window of each layer at each scale: {layer: {scale: window}}.

    Parameters
    ----------
    maps: {layer: a map of one image or several}, [N, D], [N, C, T] or [N, C, H, W].
    scales: as for :func:`scale_graphs`; a scale that is no smaller than a layer's map has the window "global" there.
    strict: whether a scale that doesn't divide a layer's map raises ``ValueError``; else it is left out with a warning.
        Default: where ``scales`` are given.

    Raises ``ValueError`` for scales that are none, or no scales, and for maps of three dimensions.
    """
    chosen = SCALES if scales is None else tuple(dict.fromkeys(scales))
    strict = scales is not None if strict is None else strict
    if bad := [scale for scale in chosen if scale != "global"
               and (isinstance(scale, (bool, str)) or scale < 1 or scale % 1)]:
        raise ValueError(f"expected scales that are whole numbers from 1 on, or 'global', got {bad}")
    chosen = [scale if scale == "global" else int(scale) for scale in chosen]
    if not chosen:
        raise ValueError("expected at least one scale, got none")
    found: dict[str, dict[int | str, int | str]] = {}
    unfit: dict[str, list[str]] = {}  # by size and windows
    for layer, x in maps.items():
        if x.ndim > 4:
            raise ValueError(f"layer {layer!r} has maps of three dimensions, {tuple(x.shape[2:])} places; expected one "
                             "or two")
        sides = x.shape[2:]
        wide = [scale for scale in chosen if isinstance(scale, str) or scale >= max(sides, default=1)]
        misfits = [scale for scale in chosen if scale not in wide and not isinstance(scale, str)
                   and any(side % scale for side in sides)]
        if misfits:
            unfit.setdefault(f"({' x '.join(map(str, sides))}): {', '.join(map(str, misfits))}", []).append(layer)
        found[layer] = {scale: "global" if scale in wide else scale for scale in chosen if scale not in misfits}
    told = "; ".join(f"{layers[0]}{f' and {len(layers) - 1} more' if len(layers) > 1 else ''} {what}"
                     for what, layers in unfit.items())
    if unfit and strict:
        raise ValueError(f"pooling windows that don't divide the map, by layer: {told}")
    if unfit:
        warnings.warn(f"left out pooling windows that don't divide the map, by layer: {told}", stacklevel=3)
    return found
