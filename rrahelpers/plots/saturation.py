"""Figures of saturation over trainings, data sets and epochs (dissertation, 8.1 to 8.4 and appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.plots.eigenspace import saturation_over_epochs, saturation_over_layers, towards_one
from rrahelpers.plots.style import OTHER, SAME, mean_curve


def stability(table: pd.DataFrame, names: Sequence[str]) -> Figure:
    """Figure 44: saturation of every layer over the trainings of each network, a panel for each of ``names``.

    ``table``: columns network, seed, index, layer, saturation. Thin lines are single trainings.
    """
    figure, axes = plt.subplots(1, len(names), figsize=(5.2 * len(names), 3.4), squeeze=False, sharey=True)
    for ax, name in zip(axes[0], names):
        part = table[table.network == name]
        if part.empty:
            ax.text(0.5, 0.5, "not trained yet", transform=ax.transAxes, ha="center", color="0.5")
            ax.set(title=name, xticks=[])
            continue
        for _, one in part.groupby("seed"):
            ax.plot(one["index"], one.saturation, color="0.6", lw=0.6)
        saturation_over_layers(part, ax)
        ax.label_outer()
        ax.set(ylim=(0, 1.03), title=f"{name}: {part.seed.nunique()} training{'s' * (part.seed.nunique() > 1)}")
    return figure


def dimensions(table: pd.DataFrame, title: str, delta: float) -> Figure:
    """Figure 40: the intrinsic dimension of every layer of one network, in front of the number of its features.

    ``table``: columns index, seed, features, intrinsic_dimension. Several trainings become their mean and deviation.
    """
    sizes = table.groupby("index")[["features", "intrinsic_dimension"]].mean()
    spread = table.groupby("index").intrinsic_dimension.std().fillna(0)
    figure, ax = plt.subplots(figsize=(8, 3))
    places = sizes.index + 1  # layers are counted from 1, as convolutions are elsewhere
    ax.bar(places, sizes.features, color="0.85", label="features")
    ax.bar(places, sizes.intrinsic_dimension, yerr=spread if spread.any() else None, color=SAME,
           label=f"intrinsic dimension, δ = {delta:g}")
    trainings = table.seed.nunique()
    ax.set(xlabel="layer", ylabel="dimensions", xticks=places,
           title=f"{title}: {trainings} training" + "s, one standard deviation" * (trainings > 1))
    ax.legend()
    return figure


def difficulty(levels: pd.DataFrame, order: Sequence[str], ax: Axes) -> Axes:
    """Figure 48: saturation over the layers, a line for each data set, from the easiest (dark) to the hardest.

    ``levels``: columns index, layer, saturation and, with the data set, split; ``order``: the data sets, of which some
    may not be in the table.
    """
    saturation_over_layers(levels, ax, colours=dict(zip(order, sns.color_palette("viridis", len(order) + 1))))
    handles = {handle.get_label(): handle for handle in ax.lines}
    present = [name for name in order if name in handles]
    ax.legend([handles[name] for name in present], present)
    return ax


def loss_and_saturation(table: pd.DataFrame, last: int) -> Figure:
    """Figures 66 and 67: validation loss, and saturation of the second layer, of every perceptron up to an epoch.

    ``table``: columns units, epoch, split, loss and saturation of that layer.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.1))
    perceptrons = table[table.epoch <= last].groupby("units", sort=False)
    for colour, (units, rows) in zip(sns.color_palette("viridis", len(perceptrons)), perceptrons):
        for ax, split, column in ((left, "validation", "loss"), (right, "train", "saturation")):
            part = rows[rows.split == split]
            ax.plot(part.epoch, part[column], "o-", ms=3, color=colour, label=str(units))
    left.set(xlabel="epoch", ylabel="validation loss", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="saturation of layer 2 (training)", ylim=(0, None))
    for ax in (left, right):
        ax.xaxis.get_major_locator().set_params(integer=True)
    right.legend(title="units of layer 2", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def evolutions(tables: dict[str, pd.DataFrame]) -> Figure:
    """Figure 68: every layer's saturation over the epochs, a panel for each network; {title: table}.

    Tables have the columns epoch, split, layer, index, saturation and accuracy.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(5.4 * len(tables), 3.4), squeeze=False, sharey=True)
    for ax, (title, table) in zip(axes[0], tables.items()):
        saturation_over_epochs(table, ax)
        best = table[table.split == "validation"].groupby("epoch").accuracy.first().max()
        ax.set(title=f"{title} (validation accuracy up to {best:.1%})")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def against_delta(table: pd.DataFrame, ax: Axes, *, printed: pd.Series | None = None) -> Axes:
    """Average saturation against the share of the variance that is kept; a band of one standard deviation over layers.

    ``table``: of :func:`rrahelpers.eigenspace.saturation_by_delta`, at two shares at least; ``printed``: averages of
    another network by δ, as fractions.
    """
    mean_curve(table.groupby("delta").saturation, ax, ms=3, color=SAME, label="measured, mean over layers")
    if printed is not None:
        shown = printed[printed.index < 1].sort_index()  # δ = 1 lies infinitely far out on this axis
        ax.plot(shown.index, shown, "--", color=OTHER, label="published: VGG19, whole, 40 networks")
    towards_one(ax, table.delta.unique())
    ax.set(ylabel="saturation", ylim=(0, 1))
    ax.legend()
    return ax
