"""Plots of representational response analysis: similarity, persistence and flow of neighbours; separation and accuracy.

Each takes a tidy table (of one scale, one measure; several seeds are averaged) and draws into the axes it is given.
``layers``: {index: label} to write at the axes instead of the layers' indices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rrahelpers.neighbors import KNNGraph
from rrahelpers.plots.style import OTHER, SAME, framed_image, mean_curve
from rrahelpers.topology import cohorts

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Labels, Pixels

LAYER_COLOURS = "viridis"  # from the first layer to the last
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}  # a legend right of the axes


def similarity_heatmap(table: pd.DataFrame, ax: Axes, *, other: str | None = None,
                       layers: Mapping[int, str] | None = None, label: str = "NNTS") -> Axes:
    """NNTS, or linear CKA, between all layers: columns i, j, value. ``other``: the name of j's network, if another."""
    matrix = table.pivot_table(index="i", columns="j", values="value")
    image = ax.imshow(matrix, vmin=0, vmax=1, cmap="magma", origin="lower")
    ax.set_xticks(range(matrix.shape[1]), _labels(matrix.columns, layers), rotation=90 if layers else 0)
    ax.set_yticks(range(len(matrix)), _labels(matrix.index, layers))
    ax.grid(False)
    ax.set(xlabel=f"layer of {other}" if other else "layer", ylabel="layer")
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax


def symmetry_panels(table: pd.DataFrame, scales: Sequence[str]) -> Figure:
    """NNTS between layers at two scales: rows at the one, columns at the other, a panel for each pair of ``scales``.

    ``table``: of :func:`rrahelpers.representational_response.across_scales`. A symmetric network has symmetric panels.
    Returns the figure.
    """
    pairs = list(combinations(scales, 2))
    figure, axes = plt.subplots(1, len(pairs), figsize=(3.8 * len(pairs), 3.2), squeeze=False)
    for ax, (a, b) in zip(axes[0], pairs):
        similarity_heatmap(table[(table.a == a) & (table.b == b)], ax, other=f"scale {b}").set(ylabel=f"scale {a}")
    return figure


def persistence_curves(table: pd.DataFrame, ax: Axes, *, layers: Mapping[int, str] | None = None) -> Axes:
    """NNTP from every layer i on: columns i, j, value; one line for each i but the last."""
    values = table.pivot_table(index="i", columns="j", values="value")
    colours = _colours(values.index)
    for i in values.index[:-1]:
        curve = values.loc[i].dropna()
        ax.plot(curve.index, curve, "o-", ms=3, color=colours[i], label=_labels([i], layers)[0])
    ax.set(xlabel="layer", ylabel="edges present ever since", ylim=(0, 1.03))
    _ticks(ax, values.columns, layers)
    ax.legend(title="from layer", **BESIDE)
    return ax


def neighbour_flow(table: pd.DataFrame, ax: Axes, *, layers: Mapping[int, str] | None = None) -> Axes:
    """Births above, deaths below zero at each layer, by the neighbour's class: columns j, event, neighbour, share."""
    shares = table.pivot_table(index="j", columns=["event", "neighbour"], values="share")
    for event, sign in (("birth", 1), ("death", -1)):
        base = 0 * shares.index.to_series()
        for kind, colour in (("same class", SAME), ("other class", OTHER), ("any", "0.5")):
            if (event, kind) in shares:
                height = sign * shares[event, kind]
                ax.bar(shares.index, height, bottom=base, color=colour, alpha=1 if event == "birth" else 0.5,
                       label=f"{event}, {kind}".removesuffix(", any"))
                base = base + height
    ax.axhline(0, color="black", lw=0.8)
    ax.set(xlabel="layer", ylabel="share of all edges\n(births above, deaths below)")
    _ticks(ax, shares.index, layers)
    ax.legend(**BESIDE)
    return ax


def neighbour_cohorts(table: pd.DataFrame, ax: Axes, *, layers: Mapping[int, str] | None = None) -> Axes:
    """The edges of each layer, stacked by the layer since which they have been there: NNTP's columns i, j, value."""
    shares = cohorts(table.groupby(["i", "j"], as_index=False).value.mean())
    shares = shares.pivot(index="born", columns="layer", values="share").fillna(0)
    colours = _colours(shares.index)
    ax.stackplot(shares.columns, shares, colors=[colours[born] for born in shares.index],
                 labels=_labels(shares.index, layers), lw=0.3, edgecolor="white")
    ax.set(xlabel="layer", ylabel="share of the layer's edges", ylim=(0, 1), xlim=shares.columns[[0, -1]])
    _ticks(ax, shares.columns, layers)
    ax.grid(False)
    ax.legend(title="there since layer", reverse=True, **BESIDE)
    return ax


def separation_beside_accuracy(table: pd.DataFrame, ax: Axes, *, layers: Mapping[int, str] | None = None) -> Axes:
    """Separation (or smoothness) beside a classifier's rate: columns index, measure, split, value and, maybe, seed.

    One colour for each measure ("separation index", "correct classification rate", at most four), solid for the split
    "train", dashed for any other; the mean over seeds with a band of one standard deviation.
    """
    colours = dict(zip(dict.fromkeys(table.measure), (SAME, OTHER, "0.4", "#029e73")))
    for (measure, split), rows in table.groupby(["measure", "split"], sort=False):
        mean_curve(rows.groupby("index").value, ax, "o-" if split == "train" else "o--", ms=3, color=colours[measure],
                   label=f"{measure}, {split}")
    ax.set(xlabel="layer", ylabel="share of samples")
    _ticks(ax, sorted(set(table["index"])), layers)
    ax.legend()
    return ax


def layer_curve(table: pd.DataFrame, ax: Axes, **style: Any) -> None:
    """The mean over seeds of the values of each layer, with a band of one standard deviation: columns index, value."""
    mean_curve(table.groupby("index").value, ax, ms=3, **style)
    ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # it is a MaxNLocator


def response_panels(layers: pd.DataFrame, beside: dict[str, pd.DataFrame], k: int) -> Figure:
    """A network's response at one scale: the neighbours' classes, intrinsic dimension, similarity from layer to layer.

    ``layers``: columns index, measure, neighbours, value; ``beside``: {"NNTS" and "CKA": rows of i, j = i + 1, value};
    ``k``: neighbours. Returns the figure.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3))
    for order, colour in zip((1, 3, k), (SAME, OTHER, "0.4")):
        rows = layers[(layers.measure == "separation index") & (layers.neighbours == order)]
        layer_curve(rows, left, color=colour, label=f"SI of order {order}")
    layer_curve(layers[layers.measure == "class similarity"], left, color="black", label=f"class similarity, k = {k}")
    left.set(xlabel="layer", ylabel="share", ylim=(0, 1.03), title="classes of the neighbours")
    layer_curve(layers[layers.measure == "intrinsic dimension"], middle, color=SAME)
    middle.set(xlabel="layer", ylabel="TwoNN dimension", title="intrinsic dimension")
    for (measure, rows), colour in zip(beside.items(), (SAME, OTHER)):
        name = {"CKA": "linear CKA"}.get(measure, measure)
        layer_curve(rows.rename(columns={"j": "index"}), right, color=colour, label=f"{name} with the layer before")
    right.set(xlabel="layer", ylabel="similarity", ylim=(0, 1.03), title="from layer to layer")
    left.legend()
    right.legend()
    return figure


def settings_grid(table: pd.DataFrame) -> Figure:
    """Measures over layers under several settings, a row for each study, a column for each measure.

    ``table``: columns study, setting, measure, index, value. Returns the figure.
    """
    studies, measures = list(dict.fromkeys(table.study)), list(dict.fromkeys(table.measure))
    figure, grid = plt.subplots(len(studies), len(measures), figsize=(10, 2.1 * len(studies)), sharex=True,
                                sharey="col", squeeze=False)
    for axes, study in zip(grid, studies):
        part = table[table.study == study]
        colours = _colours(list(dict.fromkeys(part.setting)), 0.9)
        for ax, measure in zip(axes, measures):
            for name, colour in colours.items():
                rows = part[(part.setting == name) & (part.measure == measure)]
                ax.plot(rows["index"], rows.value, "o-", ms=2.5, color=colour, label=name)
            ax.set_ylim(0, 1.03)
        axes[0].set_ylabel(study)
        axes[-1].legend(**BESIDE)
    for ax, measure in zip(grid[0], measures):
        ax.set_title(measure)
    for ax in grid[-1]:
        ax.set_xlabel("layer")
        ax.xaxis.get_major_locator().set_params(integer=True)
    return figure


def training_panels(tables: dict[str, pd.DataFrame], kinds: Sequence[str]) -> Figure:
    """Measures over layers by how networks were trained: a panel for each of {title: rows of index, training, value}.

    ``kinds``: at most two values of ``training``. Returns the figure.
    """
    figure, axes = plt.subplots(1, len(tables), figsize=(3 * len(tables), 2.8), squeeze=False)
    for ax, (title, rows) in zip(axes[0], tables.items()):
        for training, colour in zip(kinds, (SAME, OTHER)):
            if (rows.training == training).any():
                layer_curve(rows[rows.training == training], ax, color=colour, label=training)
        ax.set(title=title, xlabel="layer")
    axes[0][0].legend()
    return figure


def change_gallery(images: Pixels, labels: Labels, chosen: Sequence[int], graphs: Mapping[str, KNNGraph], *, title: str,
                   neighbours: int = 6) -> Figure:
    """Some images (a row each) and their nearest neighbours in two or more graphs, framed by whether they share its
    class.

    ``chosen``: indices of images; ``graphs``: {name: :class:`rrahelpers.neighbors.KNNGraph`}. Returns the figure.
    """
    shown = min(neighbours, *(graph.k for graph in graphs.values()))
    columns = 1 + len(graphs) * shown
    fig, grid = plt.subplots(len(chosen), columns, figsize=(0.75 * columns, 0.8 * len(chosen) + 0.5), squeeze=False)
    fig.suptitle(title, fontsize=9)
    for axes, query in zip(grid, chosen):
        framed_image(axes[0], images[query], "black")
        for place, (name, graph) in enumerate(graphs.items()):
            part = axes[1 + place * shown:1 + (place + 1) * shown]
            for ax, sample in zip(part, graph.indices[query].tolist()):
                framed_image(ax, images[sample], SAME if labels[sample] == labels[query] else OTHER)
            if query == chosen[0]:
                part[0].set_title(name, fontsize=8, loc="left")
    return fig


def _labels(indices, layers):
    return [str((layers or {}).get(i, i)) for i in indices]


def _ticks(ax, indices, layers):
    ax.set_xticks(list(indices), _labels(indices, layers), rotation=90 if layers else 0)


def _colours(indices, last=1):
    shares = [last * n / max(1, len(indices) - 1) for n in range(len(indices))]
    return dict(zip(indices, plt.get_cmap(LAYER_COLOURS)(shares)))
