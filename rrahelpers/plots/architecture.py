"""Plots of chapters 8 to 11 of the dissertation: receptive fields, saturation and probes along a network's layers.

Layers are those of :func:`rrahelpers.advisor.advise`'s table, or a part of its rows: those of one path, for instance,
as in figure 59, with the path's own border layers in the column ``border``. These are black bars, b_max dashed where it
isn't b_min too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from rrahelpers.plots.style import OTHER, SAME

BORDERS = {"b_max": "--"}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1, 1)}  # a legend right of the axes
SIZE, TAIL = "0.4", "0.92"  # grey of receptive fields, of layers in a tail


def receptive_field_curve(advice: pd.DataFrame, ax: Axes, *, input_size: int | None = None,
                          labels: Sequence[str] | None = None) -> Axes:
    """The interval from r_min to r_max over the layers, in pixels, on a logarithmic axis; linear layers have none.

    ``input_size``: side of the image, a dotted line. ``labels``: names for the layers; default the convolution's
    number, "fc" for linear layers, otherwise the layer's name.
    """
    places = range(len(advice))
    low, high = (advice[size].astype(float).where(advice["type"] != "Linear") for size in ("r_min", "r_max"))
    ax.plot(places, high, "-", color=SIZE, label="receptive field" if low.equals(high) else "largest receptive field")
    if not low.equals(high):
        ax.plot(places, low, "--", color=SIZE, label="smallest receptive field")
        ax.fill_between(places, low, high, color=SIZE, alpha=0.15, lw=0)
    if input_size is not None:
        ax.axhline(input_size, color=SIZE, lw=1, ls=":", label=f"image, {input_size} pixels")
    ax.set(yscale="log", ylabel="receptive field (pixels)")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.yaxis.set_major_formatter("{x:.0f}")
    ax.yaxis.set_minor_locator(NullLocator())
    _borders(advice, ax)
    _layers(advice, ax, labels)
    ax.legend(**BESIDE)
    return ax


def saturation_and_probes(advice: pd.DataFrame, ax: Axes, *, accuracy: float | None = None,
                          input_size: int | None = None, labels: Sequence[str] | None = None) -> Axes:
    """Saturation and accuracy of probes over the layers that have either (figures 49 to 53, 55, 56, 59 and 60).

    ``accuracy``: the network's own, in [0, 1], a dotted line. ``input_size``: with it, r_min and r_max are drawn too,
    on an axis of their own at the right. Layers of a tail have a grey ground.
    """
    rows = _kept(advice, advice["saturation"].notna() | advice["probe"].notna())
    if rows.empty:
        raise ValueError("no layer of the table has a saturation or a probe; give them to advise")
    places = pd.Series(range(len(rows)), index=rows.index)
    for column, colour, label in (("saturation", SAME, "saturation"), ("probe", OTHER, "probe accuracy")):
        measured = rows[column].dropna()
        if len(measured):
            ax.plot(places[measured.index], measured, "o-", ms=3, color=colour, label=label)
    for place in places[rows["in_tail"].fillna(False).astype(bool)]:
        ax.axvspan(place - 0.5, place + 0.5, color=TAIL, zorder=0, lw=0)
    if accuracy is not None:
        ax.axhline(accuracy, color=OTHER, lw=1, ls=":", label="accuracy of the network")
    ax.set(ylabel="saturation, accuracy", ylim=(0, 1))
    if input_size is None:
        _borders(rows, ax)
        _layers(rows, ax, labels)
        ax.legend(**BESIDE)
        return ax
    right = ax.twinx()
    receptive_field_curve(rows, right, input_size=input_size, labels=labels)
    _taken_legend(right)
    right.grid(False)
    ax.set(xlabel="layer")
    right.spines["right"].set_visible(True)
    handles = [sum(parts, []) for parts in zip(ax.get_legend_handles_labels(), right.get_legend_handles_labels())]
    ax.legend(*handles, **(BESIDE | {"bbox_to_anchor": (1.22, 1)}))
    return ax


def variants(tables: Mapping[str, pd.DataFrame], ax: Axes, column: str, *, labels: Sequence[str] | None = None) -> Axes:
    """One measured column ("saturation", "probe") of several networks over the layers of each (figure 57).

    ``tables``: {name: table of advise}. Layers are drawn place by place, with the names and borders of the first table.
    """
    rows = {name: _kept(table, table[column].notna()) for name, table in tables.items()}
    if lengths := {name: len(part) for name, part in rows.items() if not len(part)}:
        raise ValueError(f"no {column} for {', '.join(lengths)}")
    for colour, (name, part) in zip(sns.color_palette("colorblind", len(rows)), rows.items()):
        ax.plot(range(len(part)), part[column], "o-", ms=3, color=colour, label=name)
    first = next(iter(rows.values()))
    ax.set(ylabel={"probe": "probe accuracy"}.get(column, column))
    _borders(first, ax)
    _layers(first, ax, labels)
    ax.legend(**BESIDE)
    return ax


def network_panels(panels: Mapping[str, tuple[pd.DataFrame, float | None]], input_size: int | None, *,
                   columns: int = 2) -> Figure:
    """Figures 52, 53, 55, 56, 59, 60 and 62: a panel for each network and one legend for all. Returns the figure.

    ``panels``: {title: (table of advise, the network's accuracy or None)}. A table without saturations and probes shows
    its receptive fields, and that the network isn't trained.
    """
    rows, width = -(-len(panels) // columns), 5 if columns < 3 else 4.2
    fig = plt.figure(figsize=(width * columns, 2.4 * rows + 0.5))
    grid = fig.add_gridspec(rows + 1, columns, height_ratios=[*[2.4] * rows, 0.35])
    legend: dict[str, Artist] = {}
    for place, (title, (advice, accuracy)) in enumerate(panels.items()):
        ax = fig.add_subplot(grid[divmod(place, columns)])
        if advice[["saturation", "probe"]].notna().any(axis=None):
            saturation_and_probes(advice, ax, accuracy=accuracy, input_size=input_size)
        else:
            receptive_field_curve(advice, ax, input_size=input_size)
            ax.text(0.98, 0.06, "not trained", transform=ax.transAxes, ha="right", color=SIZE, zorder=3,
                    bbox={"fc": "white", "ec": "none", "pad": 1})
        own = _taken_legend(ax)
        legend |= {text.get_text(): line for line, text in zip(own.legend_handles, own.texts)}
        ax.set_title(title)
        ax.tick_params(axis="x", labelsize=7)
    below = fig.add_subplot(grid[rows, :])
    below.axis("off")
    below.legend(legend.values(), legend.keys(), loc="center", ncols=2 * min(columns, 2))
    return fig


def position_heatmaps(table: pd.DataFrame, accuracy: float, titles: Mapping[str, str], *, columns: int = 7) -> Figure:
    """Probes on single places, as a share of the network's accuracy (figures 54 and 86 to 88). Returns the figure.

    ``table``: those of :func:`rrahelpers.study.results.position_table` of some layers; ``titles``: {layer: title}, in
    their order. Below each title stand the map's lowest and its highest share.
    """
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(1.5 * columns + 0.9, 2 * rows), squeeze=False)
    for ax, (layer, title) in zip(axes.flat, titles.items()):
        places = table[table["layer"] == layer]
        shares = places.pivot_table(index="row", columns="column", values="value") / accuracy
        image = ax.imshow(shares, vmin=0, vmax=1, cmap="viridis")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"{title}\n{shares.min(axis=None):.2f} to {shares.max(axis=None):.2f}", fontsize=8)
    for ax in axes.flat[len(titles):]:
        ax.axis("off")
    fig.colorbar(image, ax=axes, label="share of accuracy", aspect=20 * rows)
    return fig


def proposal_costs(proposals: pd.DataFrame) -> Figure:
    """Parameters, FLOPs and memory of :func:`rrahelpers.advisor.propose`'s rows, in % of the network as it is, as a
    figure."""
    names = [f"{row.proposal}\n{row.change}" if row.change else row.proposal for row in proposals.itertuples()]
    fig, axes = plt.subplots(1, 3, figsize=(12, 0.6 + 0.55 * len(names)), sharey=True)
    for ax, column, title in zip(axes, ("params", "flops", "memory"), ("parameters", "FLOPs", "activations")):
        shares = 100 * proposals[column].astype(float) / float(proposals[column].iloc[0])
        ax.hlines(range(len(names)), 100, shares, color=SAME, lw=3)
        ax.plot(shares, range(len(names)), "o", color=SAME)
        for place, share in enumerate(shares):
            told = "can't be done" if pd.isna(share) else f"{share:,.0f} %" if share >= 10 else f"{share:.1g} %"
            ax.annotate(told, (share if pd.notna(share) else 100, place), xytext=(0, 5), textcoords="offset points",
                        ha="center", fontsize=8)
        ax.axvline(100, color=SIZE, lw=1, ls=":")
        ax.margins(x=0.15)
        ax.set(xscale="log", xlabel=f"{title}, % of the network as it is", ylim=(len(names) - 0.5, -0.7))
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_yticks(range(len(names)), names)
    return fig


def _taken_legend(ax):
    """The legend, which the axes don't show any more."""
    legend = ax.get_legend()
    legend.remove()
    return legend


def _kept(advice, measured):
    """The measured rows; a border layer that is none of them is marked at the next that is."""
    rows = advice[measured].copy()
    for place, border in advice.loc[~measured & (advice["border"] != ""), "border"].items():
        if len(later := rows.index[rows.index > place]):
            rows.loc[later[0], "border"] = ", ".join(sorted({border, rows["border"][later[0]]} - {""}))
    return rows


def _borders(rows, ax):
    for place, border in enumerate(rows["border"]):
        if border:
            bound = "b_min" if "b_min" in border else "b_max"  # where they are one layer, b_max needs no bar of its own
            ax.axvline(place, color="black", ls=BORDERS.get(bound, "-"), lw=2, zorder=1.6,
                       label=f"border layer {bound}")


def _layers(rows, ax, labels):
    if labels is None:
        labels = [str(row.conv) if pd.notna(row.conv) else "fc" if row.type == "Linear" else row.layer
                  for row in rows.itertuples()]
    step = -(-len(rows) // 30)  # so that labels don't overlap
    shown = labels[::step]
    ax.set_xticks(range(0, len(rows), step), shown, rotation=90 if max(map(len, shown)) > 3 else 0)
    ax.set(xlabel="layer", xlim=(-0.5, len(rows) - 0.5))
