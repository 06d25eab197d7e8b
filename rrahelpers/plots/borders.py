"""Figures of border layers over many networks: those of all, and the networks with attention (figure 57)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from rrahelpers.plots.architecture import variants
from rrahelpers.plots.style import OTHER, SAME


def border_layers(table: pd.DataFrame, printed: pd.DataFrame) -> Figure:
    """The border layers of every network, computed (small marks) and printed (large hollow ones).

    ``table``: columns network, convolutions, b_max, b_min; ``printed``: network, quantity ("b_max", "b_min"), printed.
    """
    figure, ax = plt.subplots(figsize=(9, 0.26 * len(table) + 0.8))
    ax.hlines(range(len(table)), 1, table.convolutions.astype(int), color="0.85", lw=5)
    for bound, marker, colour in (("b_max", "s", OTHER), ("b_min", "D", SAME)):
        ax.plot(table[bound].astype(float), range(len(table)), marker, ms=6, color=colour, label=f"{bound}, computed")
        shown = printed[printed.quantity == bound]
        ax.plot(shown.printed.astype(int), [table.network.tolist().index(name) for name in shown.network], marker,
                ms=11, mfc="none", mec=colour, label=f"{bound}, published")
    ax.set_yticks(range(len(table)), table.network)
    ax.set(xlabel="convolution of the main path (MPNet: of both)", ylim=(len(table) - 0.4, -0.6), xlim=(0, None))
    ax.legend(loc="upper right")
    return figure


def attention_variants(groups: dict[str, dict[str, pd.DataFrame]]) -> Figure:
    """Figure 57: probes (left) and saturation (right) of networks with the same layers, a row for each group.

    ``groups``: {name: {network's title: table of :func:`rrahelpers.advisor.advise`}}.
    """
    figure, grid = plt.subplots(len(groups), 2, figsize=(11, 2.7 * len(groups)), squeeze=False, sharey="col")
    for axes, tables in zip(grid, groups.values()):
        for ax, column in zip(axes, ("probe", "saturation")):
            variants(tables, ax, column)
        axes[0].get_legend().remove()
    return figure
