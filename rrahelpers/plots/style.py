"""How the project's figures look: one style, one palette, and the plots that notebooks and widgets share.

A plot takes a tidy table (or arrays) and returns a matplotlib figure or draws into the axes it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

if TYPE_CHECKING:
    from matplotlib.typing import ColorType, RcKeyType

    from rrahelpers.base.shapes import Image, Labels, Neighbours, Pixels

SCALE_ORDER = ("1", "2", "4", "8", "16", "32", "global")
SCALE_NAMES = {"1": "identity", "2": "2x", "4": "4x", "8": "8x", "16": "16x", "32": "32x", "global": "global"}
SCALE_COLOURS = dict(zip(SCALE_ORDER, sns.color_palette("colorblind", 7)))
SAME, OTHER = "#0173b2", "#d55e00"  # an edge to a neighbour of the same class, of another class
BAND = "_one standard deviation"  # the label of bands; matplotlib keeps what begins so out of legends
STYLE: dict[RcKeyType, Any] = {
    "figure.constrained_layout.use": True, "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9,
    "legend.fontsize": 8, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.3, "lines.linewidth": 1.5, "savefig.dpi": 160, "figure.dpi": 100,
}


def use_style() -> None:
    """Set the project's style for the figures that follow; a notebook's ``figures.begin`` does."""
    plt.rcParams.update(STYLE)


def mean_curve(curves: pd.api.typing.SeriesGroupBy, ax: Axes, line: str = "o-", **style: Any) -> None:
    """The mean of each group of numbers, with a band of one standard deviation where groups have several.

    ``curves``: a column grouped by what goes along the x axis, ``table.groupby("index").value``. The captions of
    figures with such a band say what it is (:func:`rrahelpers.study.figures.save_figure`).
    """
    mean, spread = curves.mean(), curves.std()
    drawn, = ax.plot(mean.index, mean, line, **style)
    if spread.notna().any():
        ax.fill_between(mean.index, mean - spread, mean + spread, color=drawn.get_color(), alpha=0.2, lw=0, label=BAND)


def class_similarity_curves(table: pd.DataFrame, ax: Axes, *, layers: Mapping[int, str] | None = None) -> Axes:
    """Class similarity over layers, one line a scale, the mean over seeds with a band of one standard deviation.

    ``table``: columns index, scale, value and, for a band, seed. ``layers``: {index: label} to mark on the axis.
    """
    for scale in [s for s in SCALE_ORDER if s in set(table.scale)]:
        curves = table[table.scale == scale].groupby("index").value
        mean_curve(curves, ax, ms=3, color=SCALE_COLOURS[scale], label=SCALE_NAMES[scale])
    ax.set(xlabel="layer", ylabel="class similarity")
    ax.set_xticks(sorted(set(table["index"])))
    if layers:
        ax.set_xticklabels([layers.get(i, i) for i in ax.get_xticks()])
    ax.legend(title="pooling", loc="best")
    return ax


def image_of(tensor: Image) -> np.ndarray:
    """A uint8 image [C, H, W] as matplotlib wants it: [H, W] or [H, W, 3]."""
    return tensor[0].numpy() if tensor.shape[0] == 1 else tensor.permute(1, 2, 0).numpy()


def gallery(images: Pixels, titles: Sequence[str] | None = None, *,
            axes: Sequence[Axes] | np.ndarray | None = None) -> Figure | SubFigure:
    """Some images [N, C, H, W] in a row, with a title above each. Returns the figure.

    ``titles``: a text for each image, of which 12 letters are shown. ``axes``: N of them, where the row is one of
    several.
    """
    if axes is None:
        _, axes = plt.subplots(1, len(images), figsize=(0.9 * len(images), 1.1), squeeze=False)
        axes = axes[0]
    for ax, image, title in zip(axes, images, titles or [""] * len(images)):
        ax.imshow(image_of(image), cmap="gray", vmin=0, vmax=255)
        ax.set_title(title[:12], fontsize=7)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
    return axes[0].figure


def neighbour_gallery(images: Pixels, labels: Labels, classes: tuple[str, ...], query: int,
                      neighbours: Sequence[int], *, columns: int = 11) -> Figure:
    """A query image and its nearest neighbours in order, framed by whether they share its class. Returns the figure."""
    rows = -(-(len(neighbours) + 1) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(columns * 0.85, rows * 1.1), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for place, (ax, sample) in enumerate(zip(axes.flat, [query, *neighbours])):
        colour = "black" if place == 0 else SAME if labels[sample] == labels[query] else OTHER
        framed_image(ax, images[sample], colour)
        ax.set_title("query" if place == 0 else classes[labels[sample]][:12], fontsize=7, color=colour)
    return fig


def framed_image(ax: Axes, image: Image, colour: ColorType) -> None:
    """A uint8 image [C, H, W] in a coloured frame."""
    ax.imshow(image_of(image), cmap="gray", vmin=0, vmax=255)
    ax.axis("on")
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=colour, linewidth=2)


def neighbour_graph(places: np.ndarray, edges: Neighbours, labels: Labels, ax: Axes) -> Axes:
    """Draw a kNN graph: ``places`` [N, 2], ``edges`` int [N, k] (row to neighbour), coloured by agreement of labels."""
    for a, row in enumerate(edges):
        for b in row:
            same = labels[a] == labels[b]
            ax.plot(*np.stack([places[a], places[b]]).T, lw=0.6, alpha=0.7, color=SAME if same else OTHER, zorder=1)
    ax.scatter(places[:, 0], places[:, 1], s=9, zorder=2, lw=0,
               c=[sns.color_palette("husl", int(max(labels)) + 1)[y] for y in labels])
    ax.set(xticks=[], yticks=[])
    return ax


def top1_panels(tables: Mapping[tuple[str, str], pd.DataFrame]) -> Figure:
    """Top-1 accuracy published (left) and measured (right), a row of panels for each data set. Returns the figure.

    ``tables``: {(published data, measured data): table as of :func:`rrahelpers.study.comparison.top1`}. Error bars are
    one standard deviation over seeds; a hollow dot is a single network; the dotted line is what others are compared
    with. A data set with no row in the profile is left out, unless all are such.
    """
    tables = {titles: table for titles, table in tables.items()
              if (table.status[table.who == "measured"] != "not in this profile").any()} or tables
    longest = [table.label.nunique() for table in tables.values()]
    fig, grid = plt.subplots(len(tables), 2, figsize=(7.2, 0.5 + sum(0.24 * n + 0.65 for n in longest)), squeeze=False,
                             height_ratios=[n + 2.5 for n in longest])
    for row, (titles, table) in zip(grid, tables.items()):
        for ax, who, title, colour in zip(row, ("published", "measured"), titles, (OTHER, SAME)):
            _top1_panel(ax, table[table.who == who].reset_index(drop=True), colour)
            ax.set(title=f"{who}: {title}", xlabel="top-1 accuracy (%)")
        row[1].set_yticklabels([])
    return fig


def _top1_panel(ax, table, colour):
    for place, cell in enumerate(table.itertuples()):
        if cell.status in ("printed", "measured"):
            spread = cell.std if cell.seeds > 1 else None
            ax.errorbar(cell.mean, place, xerr=spread, fmt="o", ms=5, color=colour, capsize=2, lw=1.2,
                        mfc=colour if cell.seeds > 1 else "white")
            if cell.reference:
                ax.axvline(cell.mean, color="0.5", lw=1, ls=":", zorder=0)
            if cell.diverged:
                ax.annotate(f"{cell.diverged} diverged", (cell.mean, place), xytext=(0, 4), textcoords="offset points",
                            ha="center", fontsize=7, color="0.5")
        else:
            ax.text(0.5, place, cell.status, transform=ax.get_yaxis_transform(), ha="center", va="center", color="0.5",
                    fontsize=8, bbox={"fc": "white", "lw": 0, "pad": 1})
    shown = table[table.status.isin(("printed", "measured"))]
    spread = shown["std"].fillna(0)
    low, high = (shown["mean"] - spread).min(), (shown["mean"] + spread).max()
    if shown.empty:
        ax.set_xticks([])
    elif high - low < 0.5:
        ax.set_xlim(low - 0.5, high + 0.5)  # rounding is no difference
    ax.set(ylim=(len(table) - 0.4, -0.6), yticks=range(len(table)))
    ax.set_yticklabels(table.label)
