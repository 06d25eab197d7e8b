"""What could be changed in an architecture, and what that costs or saves (dissertation, 9.5 and 11).

No algorithm decides: every proposal trades accuracy, parameters, arithmetic and memory against each other (11.1).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn

from rrahelpers import complexity
from rrahelpers.advisor.advice import measured, object_sides
from rrahelpers.advisor.places import meetings, shortcuts, stem
from rrahelpers.advisor.tail import front_tail, tail_of
from rrahelpers.advisor.width import width_row
from rrahelpers.models.insertion import with_downsampling, with_shortcuts
from rrahelpers.models.surgery import truncate, without_downsampling
from rrahelpers.models.tracing import duplicate
from rrahelpers.receptive_field import beyond_border, border_layer, image_shape, receptive_fields
from rrahelpers.tails import LayerValues

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize

COSTS = ("params", "flops", "memory")


def propose(model: nn.Module, input_size: InputSize, saturations: LayerValues | None = None, *,
            object_size: int | None = None, convention: str = "published") -> pd.DataFrame:
    """What could be changed, and what that costs or saves, from receptive fields and, if given, saturations.

    Where layers at the output are idle, as receptive fields predict (9.3, 10.2) or a tail in the saturations shows that
    begins earlier (8.5.2, 9.5.2):

    - "truncate": the first of them and all after it replaced by pooling and a linear layer (:func:`truncate`).
    - "drop the stem": the first two down-sampling layers no longer down-sample (:func:`without_downsampling`). Only
      layers before the first branch count as stem.
    - "move down-sampling": they do so at a later place instead, the earliest at which it makes no layer idle, or where
      layers are idle all the same (11.4).
    - "add shortcuts" to a network without branches, so that what saw less reaches later layers too (9.4).
    - "enlarge the images", to the smallest size at which every convolution is productive.

    Where no layer sees the whole image, or the saturations have a tail at the input (figures 50c and 70 to 74):

    - "shrink the images", to the largest receptive field; where only a measured tail tells, to half of the side.
    - "add down-sampling": 2x2 pooling at the earliest place at which it makes no layer idle (11.4).

    Last, for depth comes before width (11.3), "scale the width": see :func:`rrahelpers.advisor.width.width_row`.

    Parameters
    ----------
    model, input_size, saturations, object_size, convention: as for :func:`rrahelpers.advisor.advise`. Objects grow
        with the image.

    Returns a table with one row for each proposal, the network as it is first: ``proposal``, ``change``, ``reason``,
    ``input_size`` (H x W), ``params``, ``flops``, ``memory`` (bytes, of :func:`rrahelpers.complexity.memory`), each
    with what is saved of it, ``params_saved`` and so on (shares of the network as it is; negative where it costs more),
    and ``border`` (b_min afterwards). Where a change can't be made, ``reason`` says why, and the numbers are missing.
    Counts are made on the device "meta", without arithmetic.
    """
    complexity.check_convention(convention)  # what is raised for a single proposal is told in its row
    table, shape = receptive_fields(model, input_size), image_shape(model, input_size)
    sides = object_sides(shape, object_size)
    values = measured(saturations, "saturations", table, model).drop("input", errors="ignore")
    model = _on_meta(model)
    row = partial(_row, shape=shape, sides=sides, convention=convention)
    rows = [row("as it is", "", "", lambda: model)]
    if tail := tail_of(table, sides, values):
        rows += _against_a_tail(row, model, table, tail, shape)
    rows += _against_idle_inputs(row, model, table, sides, shape, front_tail(values, table), bool(tail))
    rows += width_row(model, table, shape, values, tail, convention)
    result = pd.DataFrame(rows).astype(dict.fromkeys(COSTS, "Int64"))
    for what in COSTS:
        result[f"{what}_saved"] = 1 - result[what] / result[what].iloc[0]
    return result[["proposal", "change", "reason", "input_size", *COSTS, *(f"{what}_saved" for what in COSTS),
                   "border"]]


def _against_a_tail(row, model, table, tail, shape):
    convolutions = table[table["conv"].notna()]
    productive = convolutions[~beyond_border(table, tail.sides)]
    row = partial(row, reason=tail.reason, sides=tail.sides)
    yield row("truncate", f"end before {tail.layer}", build=lambda: truncate(model, tail.layer),
              remark=lambda stump: _lost(productive, stump))
    if names := stem(table):
        yield row("drop the stem", f"no down-sampling in {', '.join(names)}",
                  build=lambda: without_downsampling(model, names))
        yield from _moved(row, model, names, tail.sides, shape)
    if (table["r_min"] == table["r_max"]).all() and (places := shortcuts(table, model)):
        yield row("add shortcuts", f"{len(places)}, each around one or two convolutions",
                  build=lambda: with_shortcuts(model, places))
    larger = int(convolutions[["r_border_in_h", "r_border_in_w"]].min(axis=1).max())
    side = math.ceil(larger * min(shape[1:]) / min(tail.sides))
    yield row("enlarge the images", f"to {side} pixels", build=lambda: model, shape=(shape[0], side, side),
              sides=(larger, larger))


def _moved(row, model, names, sides, shape):
    """Down-sampling of the stem moved behind where it does harm, where the network can be changed so."""
    factor = 2 ** len(names)
    try:
        later = without_downsampling(model, names)
        with torch.device("meta"):
            table = receptive_fields(later, shape)
        places = [name for name in meetings(table) if name not in names]
        if border := border_layer(table, sides):  # behind it layers are idle in any case
            order = table["layer"].tolist()
            at = next((name for name in places if order.index(name) >= order.index(border)), None)
        else:
            at = _earliest(later, places, factor, shape, sides)
    except (ValueError, NotImplementedError):
        return  # as the row "drop the stem" tells
    if at:
        yield row("move down-sampling", f"from {', '.join(names)} to before {at}",
                  build=lambda: with_downsampling(later, [at], factor))


def _against_idle_inputs(row, model, table, sides, shape, front, idle):
    """``front``: what is told of a measured tail at the input, or ""; ``idle``: whether layers at the output are."""
    widest = int(table.loc[table["conv"].notna(), "r_max"].max())
    side = min(shape[1:])
    small = widest < min(sides)
    if idle or not (small or front):
        return
    if small:
        front = (f"No convolution sees more than {widest} of {min(sides)} pixels, so that layers at the input can be "
                 f"idle (figures 50c and 70 to 74). {front}").strip()
    smaller = math.ceil(widest * side / min(sides)) if small else side // 2
    yield row("shrink the images", f"to {smaller} pixels", front, lambda: model, shape=(shape[0], smaller, smaller),
              sides=tuple(math.ceil(s * smaller / side) for s in sides))
    try:
        at = _earliest(model, meetings(table), 2, shape, sides)
    except (ValueError, NotImplementedError):
        return
    if at:
        yield row("add down-sampling", f"2x2 pooling before {at}", front, lambda: with_downsampling(model, [at]))


def _earliest(model, places, factor, shape, sides):
    """The first of some places before which pooling makes no layer idle; None where there is none."""
    low, high = 0, len(places)  # later is better
    while low < high:
        middle = (low + high) // 2
        with torch.device("meta"):
            table = receptive_fields(with_downsampling(model, [places[middle]], factor), shape)
        low, high = (low, middle) if border_layer(table, sides) is None else (middle + 1, high)
    return places[low] if low < len(places) else None


def _row(proposal, change, reason, build, *, shape, sides, convention, remark=lambda changed: ""):
    row = {"proposal": proposal, "change": change, "reason": reason, "input_size": f"{shape[1]}x{shape[2]}"}
    try:
        with torch.device("meta"):  # where forward makes tensors
            changed = build()
            border = border_layer(receptive_fields(changed, shape), sides)
            counts = complexity.per_layer(changed, shape, convention)[list(COSTS)].sum().astype(int).to_dict()
        return row | counts | {"reason": reason + remark(changed), "border": border}
    except (ValueError, NotImplementedError) as error:
        return row | {"reason": f"can't be done: {error}", **dict.fromkeys(COSTS), "border": None}


def _on_meta(model):
    model = duplicate(model).to("meta")
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor):  # neither parameter nor buffer
                setattr(module, name, value.to("meta"))
    return model


def _lost(productive, stump):
    """What a cut takes away beside the tail: other paths that begin before it and end after it."""
    lost = set(productive["layer"]) - {name for name, _ in stump.named_modules()}
    return f" {len(lost)} productive on paths beside it are cut off too." if lost else ""
