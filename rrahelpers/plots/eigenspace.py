"""Plots of saturation and of projected networks. Each takes a tidy table and draws into the axes it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rrahelpers.plots.style import OTHER, SAME, image_of, mean_curve
from rrahelpers.tails import tails_by_epoch

if TYPE_CHECKING:
    from matplotlib.typing import ColorType

    from rrahelpers.base.shapes import MapTensor

TICKS = (0.9, 0.95, 0.98, 0.99, 0.998, 0.999, 0.9999)  # shares of the variance
COLOURS = {"eigenspace": SAME, "random": OTHER, "train": SAME, "validation": OTHER}


def relative_accuracy(table: pd.DataFrame, ax: Axes, *, chance: float | None = None) -> Axes:
    """Relative accuracy against the explained variance, eigenspaces and random subspaces (dissertation, figure 43).

    ``table``: as of :func:`rrahelpers.eigenspace.projected_accuracies`, of one network or several. Lines are means, the
    bands one standard deviation over networks and draws. ``chance``: relative accuracy of guessing, a dotted line.
    """
    for subspace, part in table.groupby("subspace"):
        mean_curve(part.groupby("delta").relative, ax, ms=3, color=COLOURS[subspace], label=subspace)
    if chance is not None:
        ax.axhline(chance, color="0.4", lw=1, ls=":", label="guessing")
    ax.set(xlabel="explained variance δ", ylabel="relative accuracy", ylim=(0, None))
    ax.legend(loc="best")
    return ax


def saturation_over_layers(table: pd.DataFrame, ax: Axes, *, colours: Mapping[str, ColorType] = COLOURS) -> Axes:
    """Saturation of each layer in the order of the forward pass, a line for each ``split`` (figures 44 and 48).

    ``table``: columns index, layer, saturation and, where there are several lines, split. Several rows of a layer
    (seeds) become their mean and a band of one standard deviation.
    """
    for name, part in table.groupby("split") if "split" in table else [(None, table)]:
        mean_curve(part.groupby("index").saturation, ax, ms=3, color=colours.get(name or "", SAME), label=name)
    names = table.drop_duplicates("index").set_index("index").layer.sort_index()
    ax.set(xlabel="layer", ylabel="saturation", ylim=(0, None), xticks=names.index)
    ax.set_xticklabels(names, rotation=90, fontsize=7)
    if "split" in table:
        ax.legend(loc="best")
    return ax


def saturation_over_epochs(table: pd.DataFrame, ax: Axes, *, split: str = "train") -> Axes:
    """Saturation of each layer over the epochs, from the first layer (dark) to the last (figures 66 to 68)."""
    table = table[table.split == split]
    order = table.drop_duplicates("layer").sort_values("index").layer
    for colour, layer in zip(sns.color_palette("viridis", len(order)), order):
        part = table[table.layer == layer]
        ax.plot(part.epoch, part.saturation, color=colour, label=layer)
    ax.plot(table.epoch.unique(), table.groupby("epoch").saturation.mean(), color="black", lw=2, ls="--", label="mean")
    ax.set(xlabel="epoch", ylabel=f"saturation ({split})", ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6, ncols=-(-len(order) // 20))
    return ax


def average_saturation(table: pd.DataFrame, ax: Axes, *, by: str = "model") -> Axes:
    """Accuracy against average saturation, a point for each network, with a logarithmic fit (figure 47).

    ``table``: a row for each network with ``saturation`` (the mean over its layers), ``accuracy`` (a fraction) and the
    column ``by`` that colours the points.
    """
    networks = table.groupby(by, sort=False)
    for colour, (name, part) in zip(sns.color_palette("colorblind" if len(networks) <= 10 else "husl", len(networks)),
                                    networks):
        ax.plot(part.saturation, part.accuracy, "o", ms=5, color=colour, label=name)
    if table.saturation.nunique() > 2:
        slope, height = np.polyfit(np.log(table.saturation), table.accuracy, 1)
        x = np.linspace(table.saturation.min(), table.saturation.max(), 100)
        ax.plot(x, slope * np.log(x) + height, color="0.4", lw=1, ls=":",
                label=f"{height:.2f} {'−' if slope < 0 else '+'} {abs(slope):.2f} ln s")
    ax.set(xlabel="average saturation", ylabel="accuracy")
    ax.legend(loc="best")
    return ax


def reconstructions(rows: Mapping[str, MapTensor]) -> Figure:
    """Images and what an autoencoder makes of them: {title: float [n, C, H, W] in [0, 1]}, a row each (table 3).

    Returns the figure.
    """
    columns = len(next(iter(rows.values())))
    figure, grid = plt.subplots(len(rows), columns, figsize=(1.5 + 0.9 * columns, 0.95 * len(rows)), squeeze=False)
    for axes, (title, images) in zip(grid, rows.items()):
        for ax, image in zip(axes, images):
            ax.imshow(image_of(image.clamp(0, 1)), cmap="gray", vmin=0, vmax=1)
            ax.grid(False)
            ax.set(xticks=[], yticks=[], frame_on=False)
        axes[0].set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def training_figure(table: pd.DataFrame) -> Figure:
    """What the tracker draws live: the last epoch's saturation over the layers, and the mean over the epochs."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=[2, 1], layout="constrained")
    last = table.epoch.max()
    saturation_over_layers(table[table.epoch == last], left)
    left.set_title(f"epoch {last}")
    for split, part in table.groupby("split"):
        mean = part.groupby("epoch").saturation.mean()
        right.plot(mean.index, mean, "o-", ms=3, color=COLOURS[split], label=split)
    right.set(xlabel="epoch", ylabel="average saturation", ylim=(0, None))
    return figure


def filters_bars(table: pd.DataFrame, ax: Axes) -> Axes:
    """Filters that each layer has and should keep, layers to remove in another colour (figure 32).

    ``table``: of :func:`rrahelpers.eigenspace.filters_to_keep`.
    """
    ax.bar(table["index"], table["filters"], color="0.85", label="filters")
    for removed, colour, label in ((False, SAME, "keep"), (True, OTHER, "layer to remove")):
        part = table[table["remove"] == removed]
        ax.bar(part["index"], part["keep"], color=colour, label=label)
    ax.set_xticks(table["index"], table["layer"], rotation=90, fontsize=7)
    ax.set(ylabel="filters")
    ax.legend()
    return ax


def tails_over_epochs(table: pd.DataFrame, ax: Axes, *, split: str = "train") -> Axes:
    """Saturation of each layer (rows) in each epoch (columns), layers in a tail framed: how early tails show (B.2).

    ``table``: of a :class:`rrahelpers.eigenspace.SaturationTracker`.
    """
    table = table[table["split"] == split]
    order = table.drop_duplicates("layer").sort_values("index").layer
    values = table.pivot(index="layer", columns="epoch", values="saturation").loc[order]
    first, last = values.columns.min(), values.columns.max()
    image = ax.imshow(values, aspect="auto", cmap="viridis", vmin=0, vmax=1,
                      extent=(first - 0.5, last + 0.5, len(values) - 0.5, -0.5))
    for tail in tails_by_epoch(table).itertuples():
        ax.add_patch(Rectangle((tail.epoch - 0.5, tail.start - 0.5), 1, tail.length, fill=False, edgecolor=OTHER))
    ax.set_yticks(range(len(values)), values.index, fontsize=7)
    ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # it is a MaxNLocator
    ax.grid(False)
    ax.set(xlabel="epoch")
    ax.figure.colorbar(image, ax=ax, label=f"saturation ({split})")
    return ax


def towards_one(ax: Axes, deltas: Sequence[float]) -> None:
    """Stretch an axis of shares of the variance towards 1, with ticks among ``deltas``."""
    ax.set_xscale("logit")
    ax.set_xticks([tick for tick in TICKS if min(deltas) <= tick <= max(deltas)], minor=False)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_xticks([], minor=True)
    ax.tick_params(axis="x", rotation=45)
    ax.set(xlabel="explained variance δ")


def subspace_panels(table: pd.DataFrame, networks: dict[str, tuple[str, dict]], deltas: Sequence[float], *,
                    chance: float) -> Figure:
    """Figure 43: each network in eigenspaces (left) and random subspaces (middle), the mean of all (right).

    ``table``: as for :func:`relative_accuracy`, with the column ``network``; ``networks``: {its value: (model,
    options)} in the order of drawing, a line style for each model and a colour for each width; ``deltas``: of the
    axis. Returns the figure.
    """
    widths = sorted({options.get("width", 1) for _, options in networks.values()})
    colours = dict(zip(widths, sns.color_palette("viridis", len(widths))))
    marks = dict(zip(dict.fromkeys(model for model, _ in networks.values()), ["-", "--", "-.", ":"]))
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True)
    for ax, (subspace, title) in zip(axes, {"eigenspace": "eigenspaces", "random": "random subspaces"}.items()):
        for name, (model, options) in networks.items():
            curve = table[(table.network == name) & (table.subspace == subspace)].groupby("delta").relative.mean()
            if not curve.empty:
                ax.plot(curve.index, curve, marks[model], lw=1, color=colours[options.get("width", 1)], label=name)
        ax.axhline(chance, color="0.4", lw=1, ls=":", label="guessing")
        ax.set(ylabel="relative accuracy", ylim=(0, None), title=title)
    relative_accuracy(table, axes[2], chance=chance)
    for ax in axes:
        towards_one(ax, deltas)
    for ax in axes[1:]:
        ax.set(ylabel=None)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", title="left and middle")
    return figure


def accuracy_lost(tested: dict[str, tuple[pd.DataFrame, pd.DataFrame]], deltas: Sequence[float]) -> Figure:
    """The accuracy that networks lose in their eigenspaces, published and measured, a panel each (tables 5, 14 to 16).

    ``tested``: {title: (published, measured)}, tables with ``delta``, ``difference`` and ``std``, or ``low`` and
    ``high``. Bands: one standard deviation of published differences, the interval of our mean. Returns the figure.
    """
    figure, axes = plt.subplots(1, len(tested), figsize=(3.6 * len(tested) + 1.5, 3.4), sharey=True, squeeze=False)
    for ax, (title, (published, measured)) in zip(axes[0], tested.items()):
        published = published[published.delta < 1]
        if len(published):
            low, high = published.difference - published["std"], published.difference + published["std"]
            _with_interval(ax, published, low, high, OTHER, "published")
        if len(measured):
            _with_interval(ax, measured, measured.low, measured.high, SAME, "measured")
        else:
            ax.text(0.97, 0.6, "measured: not trained yet", transform=ax.transAxes, ha="right", color="0.5")
        ax.axhline(0, color="0.4", lw=1, ls=":")
        towards_one(ax, deltas)
        ax.set_title(title, fontsize=8)
        ax.set_ylim(-0.1, 1)
        ax.legend()
    axes[0, 0].set_ylabel("accuracy lost")
    return figure


def _with_interval(ax, table, low, high, colour, label):
    ax.plot(table.delta, table.difference, "o-", ms=3, color=colour, label=label)
    ax.fill_between(table.delta, low, high, color=colour, alpha=0.2, lw=0)
