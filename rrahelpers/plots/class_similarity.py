"""Figures 2 and 3 of the STAC paper: how class similarity comes about, and two classes that approach each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn.functional import adaptive_avg_pool2d

from rrahelpers.class_similarity import LayerGraph
from rrahelpers.plots.style import (
    OTHER,
    SAME,
    SCALE_COLOURS,
    SCALE_NAMES,
    class_similarity_curves,
    mean_curve,
    neighbour_graph,
)

if TYPE_CHECKING:
    from rrahelpers.base.shapes import MapTensor


def approaching_classes(samples: dict[float, tuple[np.ndarray, np.ndarray]], table: pd.DataFrame) -> Figure:
    """Two classes of points on their way towards each other, and their class similarity (figure 3).

    ``samples``: {transition: (points [N, 2], labels [N])}; ``table``: columns transition, value. Returns the figure.
    """
    figure, axes = plt.subplots(1, len(samples) + 1, figsize=(9, 2.6), width_ratios=[*[1] * len(samples), 2])
    for ax, (transition, (points, labels)) in zip(axes, samples.items()):
        for label, colour in enumerate((SAME, OTHER)):
            ax.scatter(*points[labels == label].T, s=6, color=colour, label=f"class {label + 1}")
        ax.set(title=f"transition {transition}", xlim=(-0.1, 1.6), ylim=(-0.1, 2.1), aspect="equal", xticks=[0, 1],
               yticks=[0, 1, 2])
    axes[0].set(ylabel="y", xlabel="x")
    last = axes[-1]
    mean_curve(table.groupby("transition").value, last, ms=3, color="black", label="measured, mean and deviation")
    last.axhline(0.9, ls="--", color="0.5", label="published end: almost 0.9")
    last.set(xlabel="transition", ylabel="class similarity", ylim=(0.85, 1.005), title="separable, yet less similar")
    last.legend(loc="lower left")
    return figure


def process_figure(features: MapTensor, labels: Sequence[int], graphs: dict[int | str, LayerGraph],
                   values: dict[int | str, float], curves: pd.DataFrame, index: int) -> Figure:
    """One layer at each scale, and the curves that come of all layers (figure 2).

    Parameters
    ----------
    features: maps [N, C, H, W] of the layer with the number ``index``; labels: of the N images.
    graphs: {scale: :class:`rrahelpers.class_similarity.LayerGraph`}; values: {scale: their class similarity}.
    curves: as for :func:`rrahelpers.plots.class_similarity_curves`.

    Left: the first image's map, averaged over channels; the graph in the plane of the pooled features' first two
    principal components. Returns the figure.
    """
    figure = plt.figure(figsize=(9, 6))
    ((left, right),) = figure.subfigures(1, 2, squeeze=False, width_ratios=[1, 1.25])
    for (map_ax, graph_ax), (scale, layer) in zip(left.subplots(len(graphs), 2, squeeze=False), graphs.items()):
        pooled = adaptive_avg_pool2d(features, layer.side)
        map_ax.imshow(pooled[0].mean(0).numpy(), cmap="viridis")
        map_ax.set(xticks=[], yticks=[], ylabel=SCALE_NAMES[str(scale)])
        map_ax.grid(False)
        map_ax.set_title(f"{layer.side} x {layer.side}", fontsize=8)
        neighbour_graph(_plane(pooled.flatten(1)), layer.graph.indices, labels, graph_ax)
        graph_ax.set_title(f"CS = {values[scale]:.2f}", fontsize=8)
        graph_ax.grid(False)
    left.suptitle("one layer: features at each scale, and their kNN graphs", fontsize=9)
    ax = class_similarity_curves(curves, right.subplots())
    ax.set(ylim=(0, 1.02))
    ax.axvline(index, color="0.6", lw=1, ls=":")
    right.suptitle("all layers: class-similarity curves", fontsize=9)
    return figure


def curve_panels(table: pd.DataFrame, column: str) -> Figure:
    """Class-similarity curves side by side, a panel for each value of a column: by which operation maps become smaller,
    of which images.

    ``table``: as for :func:`rrahelpers.plots.class_similarity_curves`, with the column. Returns the figure.
    """
    parts = table.groupby(column, sort=False)
    figure, axes = plt.subplots(1, len(parts), figsize=(3.4 * len(parts), 3), sharey=True, squeeze=False)
    for ax, (name, part) in zip(axes[0], parts):
        class_similarity_curves(part, ax).set(title=name)
    for ax in axes[0, 1:]:
        ax.get_legend().remove()
        ax.set(ylabel="")
    return figure


def gain_curves(table: pd.DataFrame, ax: Axes) -> Axes:
    """By how much class similarity differs between two networks over the layers, a line for each scale.

    ``table``: of :func:`rrahelpers.study.results.class_similarity_gain`. Lines are means over seeds.
    """
    for scale, part in table.groupby("scale", sort=False):
        mean_curve(part.groupby("index").gain, ax, ms=3, color=SCALE_COLOURS.get(str(scale)),
                   label=SCALE_NAMES.get(str(scale), str(scale)))
    ax.axhline(0, color="0.4", lw=1, ls=":")
    ax.set(xlabel="layer", ylabel="class similarity gained")
    ax.legend()
    return ax


def _plane(x):
    """The first two principal components of x [N, D], each scaled to unit deviation: [N, 2]."""
    x = x - x.mean(0)
    u, _, _ = torch.linalg.svd(x, full_matrices=False)
    return (u[:, :2] * len(x) ** 0.5).numpy()
