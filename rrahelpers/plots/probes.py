"""Plots of probes over a network's layers. Each takes a tidy table, or arrays, and draws into the axes it is given."""

import numpy as np
import seaborn as sns

from rrahelpers.plots.style import OTHER, SAME, mean_curve

MOST_NAMES = 30  # layers that are named on the axis; of more, some


def probe_curve(table, ax, *, accuracy=None, color=OTHER, label="probes"):
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


def pooling_curves(table, ax, *, accuracy=None):
    """:func:`probe_curve` for each side that maps were pooled to, from few places (dark) to many (figures 45, 46)."""
    sizes = sorted(table["size"].unique())
    for size, color in zip(sizes, sns.color_palette("viridis", len(sizes))):
        last = accuracy if size == sizes[-1] else None
        probe_curve(table[table["size"] == size], ax, accuracy=last, color=color, label=f"{size}x{size}")
    return ax


def seconds_over_sizes(table, ax):
    """Time of a probe's fit against the side that maps are pooled to, the mean over layers (8.3.3).

    ``table``: as of :func:`rrahelpers.probes.probe_layers`, of several sizes.
    """
    mean_curve(table.groupby("size").seconds, ax, ms=3, color=SAME)
    ax.set(xlabel="side of the pooled map", ylabel="seconds for a probe", yscale="log")
    return ax


def confusion(true, predicted, classes, ax):
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
