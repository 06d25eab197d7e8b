"""Plots of chapters 8 to 10 of the dissertation: receptive fields, saturation and probes along a network's layers.

Layers are those of :func:`rrahelpers.advisor.advise`'s table, or a part of its rows: those of one path, for instance,
as in figure 59, with the path's own border layers in the column ``border``. These are black bars, b_max dashed where it
isn't b_min too.
"""

import pandas as pd

from rrahelpers.plots import OTHER, SAME

BORDERS = {"b_max": "--"}
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1, 1)}  # a legend right of the axes
SIZE, TAIL = "0.4", "0.92"  # grey of receptive fields, of layers in a tail


def receptive_field_curve(advice, ax, *, input_size=None, labels=None):
    """The interval from r_min to r_max over the layers, in pixels, on a logarithmic axis.

    ``input_size``: side of the image, a dotted line. ``labels``: names for the layers; default the convolution's
    number, or the layer's name.
    """
    places = range(len(advice))
    low, high = advice["r_min"].astype(float), advice["r_max"].astype(float)
    ax.plot(places, high, "-", color=SIZE, label="receptive field" if low.equals(high) else "largest receptive field")
    if not low.equals(high):
        ax.plot(places, low, "--", color=SIZE, label="smallest receptive field")
        ax.fill_between(places, low, high, color=SIZE, alpha=0.15, lw=0)
    if input_size is not None:
        ax.axhline(input_size, color=SIZE, lw=1, ls=":", label=f"image, {input_size} pixels")
    ax.set(yscale="log", ylabel="receptive field (pixels)")
    _borders(advice, ax)
    _layers(advice, ax, labels)
    ax.legend(**BESIDE)
    return ax


def saturation_and_probes(advice, ax, *, accuracy=None, input_size=None, labels=None):
    """Saturation and accuracy of probes over the layers that have either (figures 49 to 53, 55, 56, 59 and 60).

    ``accuracy``: the network's own, in [0, 1], a dotted line. ``input_size``: with it, r_min and r_max are drawn too,
    on an axis of their own at the right. Layers of a tail have a grey ground.
    """
    rows = advice[advice["saturation"].notna() | advice["probe"].notna()]
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
    right.get_legend().remove()
    right.grid(False)
    right.spines["right"].set_visible(True)
    handles = [sum(parts, []) for parts in zip(ax.get_legend_handles_labels(), right.get_legend_handles_labels())]
    ax.legend(*handles, **(BESIDE | {"bbox_to_anchor": (1.22, 1)}))
    return ax


def variants(tables, ax, column, *, labels=None):
    """One measured column ("saturation", "probe") of several networks over the layers of each (figure 57).

    ``tables``: {name: table of advise}. Layers are drawn place by place, with the names and borders of the first table.
    """
    rows = {name: table[table[column].notna()] for name, table in tables.items()}
    if lengths := {name: len(part) for name, part in rows.items() if not len(part)}:
        raise ValueError(f"no {column} for {', '.join(lengths)}")
    for name, part in rows.items():
        ax.plot(range(len(part)), part[column], "o-", ms=3, label=name)
    first = next(iter(rows.values()))
    ax.set(ylabel={"probe": "probe accuracy"}.get(column, column))
    _borders(first, ax)
    _layers(first, ax, labels)
    ax.legend(**BESIDE)
    return ax


def _borders(rows, ax):
    for place, border in enumerate(rows["border"]):
        if border:
            line = BORDERS.get(border, "-")
            ax.axvline(place, color="black", ls=line, lw=2, zorder=0, label=f"border layer {border}")


def _layers(rows, ax, labels):
    if labels is None:
        labels = [str(row.conv) if pd.notna(row.conv) else row.layer for row in rows.itertuples()]
    ax.set_xticks(range(len(rows)), labels, rotation=90 if max(map(len, labels)) > 3 else 0)
    ax.set(xlabel="layer")
