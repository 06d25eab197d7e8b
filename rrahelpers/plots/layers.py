"""Figures of a report: what the measures say of a network, layer by layer, by the layers' numbers in its table.

Each takes the table of all layers (a row for each, with its ``index``) and returns a matplotlib figure, or None where
the table has nothing to draw.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rrahelpers.plots.response import similarity_heatmap
from rrahelpers.plots.style import OTHER, SAME, class_similarity_curves

SIZE = (5.2, 2.9)
THIRD, FOURTH = "#029e73", "#cc78bc"  # of seaborn's palette for the colour-blind
COLOURS = (SAME, OTHER, THIRD, FOURTH)


def similarity_figure(scales: pd.DataFrame) -> Figure | None:
    """Class similarity at each scale. ``scales``: layer, index, scale, value."""
    if scales["value"].notna().sum() == 0:
        return None
    fig, ax = plt.subplots(figsize=SIZE)
    class_similarity_curves(scales, ax)
    return _numbered(fig, ax, (0, 1.02))


def columns_figure(table: pd.DataFrame, columns: Mapping[str, str], label: str,
                   limits: tuple[float, float] | None = None) -> Figure | None:
    """Some columns over the layers. ``columns``: {column: name in the legend}; those without numbers are passed
    over."""
    known = {column: name for column, name in columns.items() if column in table and table[column].notna().any()}
    if not known:
        return None
    fig, ax = plt.subplots(figsize=SIZE)
    for colour, (column, name) in zip(COLOURS, known.items()):
        values = table.dropna(subset=column)
        ax.plot(values["index"], values[column].astype(float), "o-", ms=3, color=colour, label=name)
    ax.set(xlabel="layer", ylabel=label)
    if len(known) > 1:
        ax.legend(loc="best")
    return _numbered(fig, ax, limits)


def saturation_figure(table: pd.DataFrame) -> Figure | None:
    """Saturation, layers of a tail hollow, and where the border layers begin."""
    fig = columns_figure(table, {"saturation": "saturation"}, "saturation", (0, 1.02))
    if fig is None:
        return None
    ax = fig.axes[0]
    inside = table[table["in_tail"].fillna(False).astype(bool)]
    if len(inside):
        ax.plot(inside["index"], inside["saturation"].astype(float), "o", ms=4, mfc="white", color=SAME,
                label="in a tail")
    for bound, style in (("b_min", "--"), ("b_max", ":")):
        place = table.loc[table["border"].str.contains(bound), "index"]
        if len(place):
            ax.axvline(place.iloc[0], ls=style, lw=1, color=OTHER, label=f"border layer, {bound}")
    if len(ax.lines) > 1:
        ax.legend(loc="best")
    return fig


def pairs_figure(pairs: pd.DataFrame) -> Figure | None:
    """NNTS between all layers. ``pairs``: i, j, value."""
    if pairs.empty:
        return None
    fig, ax = plt.subplots(figsize=(4.2, 3.4))
    similarity_heatmap(pairs, ax)
    count = pairs["i"].nunique()
    step = -(-count // 12)
    numbers = sorted(pairs["i"].unique())
    for set_ticks in (ax.set_xticks, ax.set_yticks):
        set_ticks(range(0, count, step), numbers[::step])
    return fig


def _numbered(fig, ax, limits):
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if limits:
        ax.set_ylim(limits)
    return fig
