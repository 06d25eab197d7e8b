"""What STAC costs and gains, and what its attention lets through (STAC paper: figure 1, sections 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.data import ImageSet
from rrahelpers.plots.style import BAND, OTHER, SCALE_COLOURS, SCALE_ORDER, image_of

if TYPE_CHECKING:
    from rrahelpers.base.shapes import MapTensor

class Sample(Protocol):
    """Mean and standard deviation of ``n`` numbers."""

    @property
    def mean(self) -> float: ...

    @property
    def std(self) -> float: ...

    @property
    def n(self) -> int: ...


SHORT = {"Base": "base", "Base - 2x-Deep": "2x deep", "Base - √2x-Wide": "√2x wide", "SENet - Standard": "SENet",
         "BAM - Standard": "BAM", "STAC - Standard": "STAC"}  # the networks of figure 1


def trade_off(table: pd.DataFrame) -> Figure:
    """Accuracy against FLOPs, a circle for each network, its area proportional to the parameters (figure 1).

    ``table``: columns panel, label (of ``SHORT``), top1 and std in percent (NaN: not trained), flops, params. Returns
    the figure, with a panel for each value of ``panel``.
    """
    names = list(dict.fromkeys(table.panel))
    figure, axes = plt.subplots(1, len(names), figsize=(3.4 * len(names), 3.3), squeeze=False)
    for ax, name in zip(axes.flat, names):
        _trade_off_panel(ax, table[table.panel == name])
        ax.set_title(name, fontsize=9)
    axes[0, 0].set_ylabel("top-1 accuracy (%)")
    return figure


def attention_figure(image_set: ImageSet, maps: dict[int, MapTensor], count: int = 5) -> Figure:
    """Images, the mean gate of each stage over them, and stage 1's most uneven channel.

    ``image_set``: a :class:`rrahelpers.data.ImageSet`; ``maps``: {stage: gates [N, C, H, W]}; ``count``: images, a row
    each. The means share one scale. Returns the figure.
    """
    uneven = int(maps[1].std((2, 3)).mean(0).argmax())
    means = torch.cat([gate[:count].mean(1).flatten() for gate in maps.values()])
    columns = {f"stage {stage}, mean of\n{gate.shape[1]} channels": (gate.mean(1), means)
               for stage, gate in maps.items()}
    columns[f"stage 1,\nchannel {uneven}"] = maps[1][:, uneven], maps[1][:count, uneven]
    figure, axes = plt.subplots(count, 1 + len(columns), figsize=(1.45 * (1 + len(columns)), 1.3 * count))
    for row, image, label in zip(axes, image_set.images, image_set.labels):
        row[0].imshow(image_of(image), cmap="gray", vmin=0, vmax=255)
        row[0].set_ylabel(image_set.classes[label][:14], fontsize=8)
    for column, (name, (gate, scale)) in zip(axes.T[1:], columns.items()):
        _gate_column(column, image_set.images, gate, scale)
        column[0].set_title(name, fontsize=8)
    axes[0, 0].set_title("image", fontsize=8)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    return figure


def stage_grid_panel(ax: Axes, points: pd.DataFrame, base: Sample, chosen: Sequence[int],
                     windows: Sequence[int]) -> None:
    """Accuracy by window, a line of means for each stage, dots for single networks, rings for chosen windows.

    ``points``: columns stage, window, top1, a row for each network; ``base``: mean, std and n of networks without STAC;
    ``chosen``: a window for each stage, or nothing; ``windows``: those of the grid.
    """
    if points.empty:
        ax.text(0.5, 0.5, "not trained yet", ha="center", color="0.5", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return
    for stage, part in points.groupby("stage"):
        colour = SCALE_COLOURS[SCALE_ORDER[stage - 1]]
        means = part.groupby("window").top1.mean()
        ax.plot(means.index, means, "-", color=colour, label=f"stage {stage}")
        ax.plot(part.window, part.top1, "o", ms=4, color=colour)
        if chosen:
            ax.plot(chosen[stage - 1], means[chosen[stage - 1]], "o", ms=10, mfc="none", mec=colour)
    if base.n:
        ax.axhline(base.mean, color="0.4", ls=":", label=f"no STAC ({base.n} seed{'s' * (base.n > 1)})")
    if base.n > 1:
        ax.axhspan(base.mean - base.std, base.mean + base.std, color="0.4", alpha=0.12, lw=0, label=BAND)
    ax.set_xscale("log", base=2)
    ax.set_xticks(windows, [str(window) for window in windows])
    ax.minorticks_off()
    ax.set(xlabel="window", ylabel="top-1 accuracy (%)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


def stage_windows(table: pd.DataFrame, best: Sequence[int]) -> Figure:
    """Class similarity by pooling window, a panel for each stage, the best window marked. Returns the figure.

    ``table``: index stage, a column for each window, NaN where it doesn't fit; ``best``: a window for each stage.
    """
    figure, axes = plt.subplots(1, len(table), figsize=(7.5, 2.6), sharey=True, squeeze=False)
    for ax, window, (stage, row) in zip(axes[0], best, table.iterrows()):
        row = row.dropna()
        ax.plot([str(int(w)) for w in row.index], row, "o-", color="0.6")
        ax.plot(str(window), row[window], "o", ms=9, color=OTHER, label=f"highest: window {window}")
        side = int(row.index.max())
        ax.set(title=f"stage {stage}: {side} x {side} map", xlabel="pooling window")
        ax.legend(loc="best")
    axes[0, 0].set(ylabel="class similarity,\nmean over the stage")
    return figure


def _trade_off_panel(ax, table):
    unit, letter = (1e9, "B") if table.flops.max() > 1e9 else (1e6, "M")
    ends, largest = table.flops.agg(["min", "max"]), table.params.max()
    if missing := [SHORT[label] for label in table.label[table.top1.isna()]]:
        ax.text(0.98, 0.02, f"not trained: {', '.join(missing)}", ha="right", transform=ax.transAxes, fontsize=8,
                color="0.5")
    table = table.dropna(subset="top1").sort_values("params", ascending=False)
    colours = dict(zip(SHORT, sns.color_palette("colorblind")))
    ax.scatter(table.flops / unit, table.top1, s=600 * table.params / largest, alpha=0.55,
               color=[colours[label] for label in table.label], edgecolor="0.3", lw=0.8)
    ax.errorbar(table.flops / unit, table.top1, yerr=table["std"], fmt="none", ecolor="0.3", lw=1, capsize=2)
    _name_circles(ax, table.assign(x=table.flops / unit), ends.mean() / unit)
    ax.margins(y=0.2)
    room = 0.25 * (ends["max"] - ends["min"]) / unit  # as wide with networks that aren't trained as without
    ax.set(xlabel=f"FLOPs ({letter})", xlim=(ends["min"] / unit - room, ends["max"] / unit + room))


def _name_circles(ax, table, middle):
    """Names beside the circles, towards the middle; those of equal networks stand above one another."""
    span = max(np.ptp(table.top1), 0.1) if len(table) else 0
    for side, align, name in ((table.x > middle, "right", "{}      "), (table.x <= middle, "left", "      {}")):
        lowest = -np.inf
        for row in table[side].sort_values("top1").itertuples():
            lowest = max(row.top1, lowest + 0.07 * span)
            ax.text(row.x, lowest, name.format(SHORT[row.label]), ha=align, va="center", fontsize=8)


def _gate_column(axes, images, gate, scale):
    """A gate [N, H, W] over some images, with the colours of the numbers in ``scale``, and its colour bar."""
    low, high = (bound.item() for bound in scale.aminmax())
    low, high = min(low, (low + high) / 2 - 0.005), max(high, (low + high) / 2 + 0.005)  # rounding is no pattern
    side = images.shape[-1]
    for ax, image, values in zip(axes, images, gate):
        ax.imshow(image.float().mean(0).numpy(), cmap="gray", vmin=0, vmax=255, extent=(0, side, side, 0))
        shown = ax.imshow(values.numpy(), cmap="magma", vmin=low, vmax=high, alpha=0.65, extent=(0, side, side, 0),
                          interpolation="nearest")
    bar = axes[0].figure.colorbar(shown, ax=axes[-1], location="bottom", shrink=0.9, pad=0.03, ticks=[low, high],
                                  format="%.2f", label="gate")
    bar.ax.tick_params(labelsize=7)
