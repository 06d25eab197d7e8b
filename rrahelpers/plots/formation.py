"""Figures of how layers form: what measures say of them after each epoch of a training.

``table`` is that of :func:`rrahelpers.study.results.formation_table`: epoch, layer, index, measure, value.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rrahelpers.plots.layers import COLOURS

TICKS = 8  # on an axis, at most


def formation_panels(table: pd.DataFrame) -> Figure:
    """Each measure as a map of layers and epochs, its colours from its least to its largest value."""
    measures = table["measure"].unique()
    fig, axes = plt.subplots(1, len(measures), figsize=(2.9 * len(measures), 2.9), squeeze=False)
    for ax, measure in zip(axes[0], measures):
        matrix = table[table["measure"] == measure].pivot(index="index", columns="epoch", values="value")
        image = ax.imshow(matrix, cmap="magma", origin="lower", aspect="auto")
        for set_ticks, numbers in ((ax.set_xticks, matrix.columns), (ax.set_yticks, matrix.index)):
            step = -(-len(numbers) // TICKS)
            set_ticks(range(0, len(numbers), step), numbers[::step])
        ax.grid(False)
        ax.set(xlabel="epoch", ylabel="layer", title=measure)
        fig.colorbar(image, ax=ax)
    return fig


def formed_figure(table: pd.DataFrame) -> Figure:
    """The epoch at which each layer has covered half of its way, for each measure. ``table``: of
    :func:`rrahelpers.study.formation.formed`."""
    fig, ax = plt.subplots(figsize=(5.2, 2.9))
    for colour, (measure, part) in zip(COLOURS, table.groupby("measure", sort=False)):
        ax.plot(part["index"], part["epoch"], "o-", ms=3, color=colour, label=measure)
    ax.set(xlabel="layer", ylabel="epoch of half the way", ylim=(-0.3, None))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")
    return fig


def epoch_figure(table: pd.DataFrame, epoch: int) -> Figure:
    """Every measure over the layers after an epoch, beside the end of the training."""
    measures, last = table["measure"].unique(), table["epoch"].max()
    fig, axes = plt.subplots(1, len(measures), figsize=(2.9 * len(measures), 2.6), squeeze=False)
    for ax, measure, colour in zip(axes[0], measures, COLOURS):
        own = table[table["measure"] == measure]
        for number, style in ((last, {"color": "0.7", "label": "end"}), (epoch, {"color": colour, "label": "then"})):
            part = own[own["epoch"] == number]
            ax.plot(part["index"], part["value"], "o-", ms=3, **style)
        ax.set(xlabel="layer", title=measure, ylim=(0, 1.02))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].legend(title=f"epoch {epoch}", loc="best")
    return fig
