"""Plots of probes over a network's layers. Each takes a tidy table, or arrays, and draws into the axes it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.plots.style import OTHER, SAME, mean_curve

if TYPE_CHECKING:
    from matplotlib.typing import ColorType

    from rrahelpers.base.shapes import Labels

MOST_NAMES = 30  # layers that are named on the axis; of more, some


def probe_curve(table: pd.DataFrame, ax: Axes, *, accuracy: float | None = None, color: ColorType = OTHER,
                label: str = "probes") -> Axes:
    """Test accuracy of the probes over the layers: the mean over seeds, with a band of one standard deviation.

    ``table``: as of :func:`rrahelpers.probes.probe_layers`, of one pooling size, with ``seed`` where there are several.
    ``accuracy``: the network's own, a dotted line.
    """
    mean_curve(table.groupby("index").value, ax, ms=2.5, color=color, label=label)
    if accuracy is not None:
        ax.axhline(accuracy, color=SAME, lw=1, ls=":", label="network")
    names = table.drop_duplicates("index").set_index("index").layer.sort_index()
    shown = names.iloc[::-(-len(names) // MOST_NAMES)]
    ax.set_xticks(shown.index, shown, rotation=90, fontsize=7)
    ax.set(ylabel="accuracy")
    return ax


def pooling_curves(table: pd.DataFrame, ax: Axes, *, accuracy: float | None = None) -> Axes:
    """:func:`probe_curve` for each side that maps were pooled to, from few places (dark) to many (figures 45, 46)."""
    sizes = sorted(table["size"].unique())
    for size, color in zip(sizes, sns.color_palette("viridis", len(sizes))):
        last = accuracy if size == sizes[-1] else None
        probe_curve(table[table["size"] == size], ax, accuracy=last, color=color, label=f"{size}x{size}")
    return ax


def fits(tables: Mapping[str, pd.DataFrame], ax: Axes, *, accuracy: float | None = None) -> Axes:
    """:func:`probe_curve` for each way of fitting: {its name: table}."""
    for (way, table), color in zip(tables.items(), sns.color_palette("colorblind", len(tables))):
        last = accuracy if way == list(tables)[-1] else None
        probe_curve(table, ax, accuracy=last, color=color, label=way)
    ax.legend(loc="lower right")
    return ax


def seconds_over_sizes(table: pd.DataFrame, ax: Axes) -> Axes:
    """Time of a probe's fit against the side that maps are pooled to: of each layer (thin), and the mean (8.3.3).

    ``table``: as of :func:`rrahelpers.probes.probe_layers`, of several sizes.
    """
    for _, layer in table.groupby("index"):
        times = layer.groupby("size").seconds.mean()
        ax.plot(times.index, times, color="0.7", lw=0.6)
    mean = table.groupby("size").seconds.mean()
    ax.plot(mean.index, mean, "o-", ms=3, color=SAME)
    ax.set(xlabel="side of the pooled map", ylabel="seconds for a probe", yscale="log")
    return ax


def confusion(true: Labels, predicted: Labels, classes: Sequence[str], ax: Axes) -> Axes:
    """Shares of each class's samples by the class that is predicted, a row for each true class.

    ``true``, ``predicted``: int [N], places in ``classes``.
    """
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (np.asarray(true), np.asarray(predicted)), 1)
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    names = [str(name)[:12] for name in classes]
    sns.heatmap(shares, ax=ax, vmin=0, vmax=1, cmap="Blues", square=True, annot=len(names) <= 10, fmt=".0%",
                annot_kws={"size": 6}, cbar=False, xticklabels=names, yticklabels=names)
    ax.tick_params(labelsize=7)
    ax.grid(False)
    ax.set(xlabel="predicted", ylabel="true class")
    return ax


def not_trained(ax: Axes) -> None:
    """Empty axes that say so."""
    ax.text(0.5, 0.5, "not trained yet", ha="center", color="0.5", transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])


def shortcut_drawing(ax: Axes) -> None:
    """The perceptron of figure 34a: a shortcut around all layers but the first and the last."""
    boxes = [(0, "image"), (1.6, "layer 1"), (4, "layers 2 to 129"), (6.2, "+"), (7.6, "8 layers"), (9.4, "logits")]
    ax.plot([0, 9.4], [0, 0], color="0.5", lw=1, zorder=0)
    ax.plot([1.6, 1.6, 6.2, 6.2], [0, 1, 1, 0], color=SAME, zorder=0)
    ax.text(4, 1.15, "shortcut", color=SAME, ha="center")
    for place, text in boxes:
        ax.text(place, 0, text, ha="center", va="center", bbox={"fc": "white", "ec": "0.3"})
    ax.set(xlim=(-0.5, 10), ylim=(-0.6, 1.7))
    ax.axis("off")


def shortcut_curves(before: pd.DataFrame, after: pd.DataFrame, ax: Axes, *, accuracy: float | None,
                    guessing: float) -> Axes:
    """Figure 34: probes before and after training; a grey ground where the shortcut passes layers by.

    ``before``, ``after``: as for :func:`probe_curve`; ``accuracy``: the network's own; ``guessing``: one over the
    number of classes.
    """
    probe_curve(before, ax, color="0.6", label="before training")
    probe_curve(after, ax, accuracy=accuracy)
    passed = after["index"][after.layer.str.startswith("skipped.")]
    ax.axvspan(passed.min() - 0.5, passed.max() + 0.5, color="0.93", zorder=0, lw=0, label="passed by")
    ax.axhline(guessing, color="0.4", lw=1, ls="--", label="guessing")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ax.set_ylim(0, 1.03)
    return ax


def pooling_panels(panels: Mapping[str, tuple[pd.DataFrame | None, float | None]]) -> Figure:
    """Figures 45 and 46: :func:`pooling_curves` of each network; {title: (table, the network's accuracy)}.

    Without an accuracy the panel says that the network isn't trained. Returns the figure.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.3), sharey=True, squeeze=False)
    for ax, (title, (table, accuracy)) in zip(axes[0], panels.items()):
        ax.set_title(title, fontsize=9)
        if accuracy is None:
            not_trained(ax)
            continue
        pooling_curves(table, ax, accuracy=accuracy)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
