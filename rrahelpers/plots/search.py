"""Plots of searches over architectures: fronts of accuracy against what networks cost."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from rrahelpers.plots.style import OTHER, SAME

COSTS = {"flops": "multiply-accumulates", "params": "parameters", "memory": "activations, bytes"}
# of both arms, which come to some networks alike: open circles around points
LOOKS = ({"color": SAME, "ms": 4}, {"color": OTHER, "ms": 8, "mfc": "none"})


def fronts(table: pd.DataFrame) -> Figure:
    """Accuracy against arithmetic, parameters and memory, a row for each network: points with their intervals, and for
    each arm a line through those that no other of the arm beats at that cost. Returns the figure.

    ``table``: of :func:`rrahelpers.study.search.fronts`, or of :func:`rrahelpers.advisor.search`, whose networks that
    weren't trained to the end are left out. Without a row, that is said in place of the curves.
    """
    table = table if "network" in table else table.assign(network="", arm="")
    if "epochs" in table:
        table = table[table["epochs"] == table["epochs"].max()]
    networks = list(dict.fromkeys(table["network"])) or [""]
    fig, axes = plt.subplots(len(networks), len(COSTS), figsize=(4.2 * len(COSTS), 3 * len(networks)), squeeze=False,
                             sharey="row")
    for row, network in zip(axes, networks):
        part = table[table["network"] == network]
        for ax, (cost, label) in zip(row, COSTS.items()):
            for look, arm in zip(LOOKS, sorted(set(part["arm"]))):
                _arm(part[part["arm"] == arm].sort_values(cost), cost, ax, look, arm)
            ax.set(xlabel=label, xscale="log")
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            ax.xaxis.set_minor_formatter(NullFormatter())  # or labels of neighbouring ticks touch
            if part.empty:
                ax.text(0.5, 0.5, "not searched yet", transform=ax.transAxes, ha="center")
        row[0].set(ylabel="accuracy", title=network)
    if table["arm"].any():
        axes[0, -1].legend(loc="lower right")
    return fig


def _arm(part, cost, ax, look, label):
    ends = [(part["accuracy"] - part["low"]).fillna(0), (part["high"] - part["accuracy"]).fillna(0)]
    ax.errorbar(part[cost], part["accuracy"], ends, fmt="o", lw=1, label=label, **look)
    best = part[part["accuracy"] > part["accuracy"].shift(fill_value=-1.0).cummax()]
    ax.step(best[cost], best["accuracy"], where="post", color=look["color"], lw=1)
