"""Figures of chapter 11 of the dissertation: accuracy against saturation, and networks whole and truncated."""

from __future__ import annotations

from fractions import Fraction

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.plots.architecture import variants
from rrahelpers.plots.style import OTHER, SAME

BEST = "#029e73"


def width_by_saturation(tables: dict[str, pd.DataFrame], points: pd.DataFrame, best: tuple[float, float]) -> Figure:
    """Figure 61: saturation over the layers at several widths (left), accuracy against its average (right).

    ``tables``: {title: table of :func:`rrahelpers.advisor.advise`}; ``points``: factor, saturation (average), accuracy
    (%); ``best``: the range of the best average saturation, a green band.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=[1.5, 1])
    variants(tables, left, "saturation")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    left.set_ylim(0, 1)
    right.axvspan(*best, color=BEST, alpha=0.15, lw=0)
    right.plot(points.saturation, points.accuracy, "o", color=SAME)
    for point in points.itertuples():
        right.annotate(f"width {Fraction(point.factor)}", (point.saturation, point.accuracy), xytext=(5, 4),
                       textcoords="offset points")
    right.set(xlabel="average saturation", ylabel="top-1 accuracy (%)", xlim=(0, 1))
    right.margins(y=0.2)
    return figure


def whole_and_truncated(table: pd.DataFrame, data: str) -> Figure:
    """Figure 64: accuracy, parameters and arithmetic of each network, whole and truncated.

    ``table``: columns network, truncated, top1 with top1_std (%; empty where it isn't trained), params, flops;
    ``data``: what the networks were trained on.
    """
    names = list(dict.fromkeys(table.network))
    figure, axes = plt.subplots(1, 3, figsize=(11, 0.33 * len(names) + 1.1), sharey=True)
    for truncated, colour, label in ((False, SAME, "whole"), (True, OTHER, "truncated")):
        part = table[table.truncated == truncated].reset_index(drop=True)
        axes[0].errorbar(part.top1, range(len(part)), xerr=part.top1_std.fillna(0), fmt="o", color=colour)
        for ax, column in zip(axes[1:], ("params", "flops")):
            ax.plot(part[column], range(len(part)), "o", color=colour, label=label)
    for place, name in enumerate(names):
        if table[table.network == name].top1.isna().all():
            axes[0].text(0.5, place, "not trained", transform=axes[0].get_yaxis_transform(), ha="center", va="center",
                         color="0.5")
    if table.top1.isna().all():
        axes[0].set_xticks([])
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set(xlabel=f"top-1 accuracy on {data} (%)", ylim=(len(names) - 0.5, -0.5))
    axes[1].set(xscale="log", xlabel="parameters at full width")
    axes[2].set(xscale="log", xlabel="multiply-accumulates at full width")
    axes[1].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return figure


def stump_points(table: pd.DataFrame, ax: Axes) -> Axes:
    """Accuracy of networks whole, cut with a fitted classifier, and cut and trained again; a point for each training.

    ``table``: of :func:`rrahelpers.study.stumps.stumps`.
    """
    names = list(dict.fromkeys(table.network))
    for way, colour, mark in (("whole", SAME, "o"), ("fitted", OTHER, "s"), ("retrained", BEST, "^")):
        part = table[table.way == way]
        ax.plot(100 * part.accuracy, part.network.map(names.index), mark, color=colour,
                label=way if len(part) else f"{way}: not trained yet")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="top-1 accuracy (%)", ylim=(len(names) - 0.5, -0.5))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax
