"""Border layers and receptive fields of the dissertation's networks at its own width, printed beside computed."""

from __future__ import annotations

from functools import cache

import pandas as pd

from rrahelpers import complexity
from rrahelpers.features import layer_names
from rrahelpers.receptive_field import border_layer, receptive_fields
from rrahelpers.study import grids, published

SIDE = 32  # pixels of the images, in the text


@cache
def fields(label: str, size: int = SIDE) -> pd.DataFrame:
    """The receptive fields of a network of :data:`rrahelpers.study.grids.NETWORKS`."""
    return receptive_fields(grids.untrained(label), size)


def borders(label: str, size: int = SIDE) -> dict[str, int | None]:
    """The numbers of the convolutions b_max and b_min, None where there is none."""
    table = fields(label, size)
    numbers = table[table.conv.notna()].set_index("layer").conv
    return {f"b_{bound}": numbers.get(border_layer(table, size, bound)) for bound in ("max", "min")}


def beside_printed() -> pd.DataFrame:
    """Every printed number that needs no training, ``computed`` beside, and whether it ``agrees``."""
    printed = published.dissertation("receptive_fields")
    table = printed[printed.quantity != "accuracy"].copy()
    table["computed"] = [_computed(row.network, row.quantity) for row in table.itertuples()]
    table["agrees"] = [_agrees(row.printed, row.computed) for row in table.itertuples()]
    return table


def every_border() -> pd.DataFrame:
    """Each network's number of convolutions, its border layers, and the receptive fields of its last convolution."""
    rows = []
    for label in grids.NETWORKS:
        last = fields(label).query("conv.notna()").iloc[-1]
        rows.append({"network": label, "convolutions": last.conv, **borders(label), "last r_min": last.r_min,
                     "last r_max": last.r_max})
    return pd.DataFrame(rows)


def heatmap_titles(label: str, size: int, *, convolutions: list[int] | None, largest: int) -> dict[str, str]:
    """{layer: title} of the convolutions whose places get probes of their own (figures 54 and 86 to 88).

    ``convolutions``: their numbers; None: all whose map has at most ``largest`` places a side.
    """
    numbers = fields(label, size).query("conv.notna()").set_index("conv")
    border = borders(label, size)
    marks = {number: ", ".join(name for name, place in border.items() if place == number) for number in numbers.index}
    small = [number for number in numbers.index if int(numbers.sides[number].split("x")[0]) <= largest]
    return {numbers.layer[number]: f"conv {number}" + (f" = {marks[number]}" if marks[number] else "")
            for number in convolutions or small}


def _computed(label, quantity):
    """What :func:`rrahelpers.study.published.dissertation` calls by this name, of a network at 32x32 pixels."""
    if quantity == "GFLOPs":
        return complexity.count(grids.untrained(label), (3, SIDE, SIDE), "macs").flops / 1e9
    if quantity == "layers":
        return len(layer_names(grids.untrained(label))) - 1
    if quantity == "layers in depth":
        return len(grids.untrained(label).paths["max"])
    table = fields(label)
    return (table[table.conv.notna()].r_max.iloc[-1] if quantity == "last receptive field"
            else borders(label)[quantity])


def _agrees(printed, value):
    if printed.startswith(">"):
        return value > float(printed.strip("> "))
    return round(value, len(printed.partition(".")[2])) == float(printed)
