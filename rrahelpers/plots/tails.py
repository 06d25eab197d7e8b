"""Figures of the notebook on tails: images of every size, and what less detail costs (dissertation, 9.1 and 9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from rrahelpers.plots.style import OTHER, SAME, gallery

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Pixels

LESS, ENLARGED = "B / A (%)", "C / A (%)"


def images_by_size(rows: dict[str, Pixels]) -> Figure:
    """The same images at several sizes, a row for each: {label: images}."""
    columns = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), columns, figsize=(columns, len(rows) + 0.3), squeeze=False)
    for row, (label, images) in zip(axes, rows.items()):
        gallery(images, axes=row)
        row[0].set_ylabel(label.replace(" on ", "\non ").replace(" to ", "\nto "), rotation=0, ha="right", va="center")
    return figure


def detail_shares(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Table 10 as dots: accuracies with less detail (B), and with B's images enlarged (C), in percent of A's.

    ``table``: columns "B / A (%)" and "C / A (%)", empty where a network isn't trained; ``labels``: of its rows.
    """
    figure, ax = plt.subplots(figsize=(7, 0.6 + 0.32 * len(table)))
    for place, (b, c) in enumerate(table[[LESS, ENLARGED]].itertuples(index=False)):
        ax.plot([b, c], [place, place], color="0.7", lw=1, zorder=0)
        ax.plot(b, place, "o", color=OTHER, label="B: less detail" if place == 0 else None)
        ax.plot(c, place, "o", color=SAME, label="C: B enlarged" if place == 0 else None)
        if pd.isna(c):
            text = "not trained yet" if pd.isna(b) else "C is not trained yet"
            ax.text(50 if pd.isna(b) else b + 4, place, text, color="0.5",
                    ha="center" if pd.isna(b) else "left", va="center", fontsize=8)
    ax.axvline(100, color="0.4", lw=1, ls=":")
    ax.set_yticks(range(len(table)), labels)
    ax.set(xlabel="top-1 accuracy, % of A's", xlim=(0, None), ylim=(len(table) - 0.5, -0.5))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure
