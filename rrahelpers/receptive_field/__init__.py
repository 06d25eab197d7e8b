"""Receptive fields of every layer, smallest and largest over all paths, and the border layers that follow from them.

Richter's dissertation: sections 4.4 (equation 9), 9.3 (b_max), 10.1 (attention) and 10.2 (b_min).

A path's receptive field grows by ``(k - 1) * dilation * jump`` pixels at a kernel of ``k``, where the jump is the
distance in pixels between neighbouring places, the product of the strides before. Height and width are followed
apart, and so are paths with different jumps. Where the growth depends on the place (adaptive pooling with windows of
different sizes, up-sampling), r_min takes the least and r_max the most of each layer; behind several of them no place
need see so much or so little. What several paths see *together* is larger than the largest of them where they are not
concentric (an even kernel beside an odd one).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn

from rrahelpers.base.modules import check_model, layer_list, named_layers
from rrahelpers.receptive_field.images import image_shape, image_sides
from rrahelpers.receptive_field.paths import ancestry, passages, reached, reaches, shortcuts
from rrahelpers.receptive_field.single import Box, field_path, field_place, field_sizes
from rrahelpers.receptive_field.trace import record

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize

__all__ = ["Box", "beyond_border", "border_layer", "field_path", "field_place", "field_sizes", "image_shape",
           "input_resolution_range", "receptive_fields"]

SIZES = ("r_min", "r_max", "r_min_in", "r_max_in", "r_border_in")
COLUMNS = ("layer", "index", "conv", "type", "path", "passage", "kernel", "stride", "dilation", "sides", "jump",
           "exact", *SIZES, *(f"{size}_{axis}" for size in SIZES for axis in "hw"))


def receptive_fields(model: nn.Module, input_size: InputSize, *, gates: bool = False,
                     layers: Iterable[str] | None = None) -> pd.DataFrame:
    """The receptive fields of every layer, in pixels, from one forward pass in evaluation mode.

    Parameters
    ----------
    model: any module that takes one batch of images: layers of one's own, functional calls and control flow over
        shapes are followed. On the device "meta" nothing is computed. It is left as it was.
    input_size: side of a square image in pixels, (H, W), or (C, H, W); see :func:`image_shape`.
    gates: whether what reaches a layer only as a factor counts: the branch behind a sigmoid (squeeze and excitation
        and other attention), attention weights, statistics of group norm. By default it does not: such branches don't
        move the border layer (section 10.1).
    layers: names of modules, containers too. By default all without submodules, and convolutions, linear layers and
        norms that have some; a convolution or pooling that another module with submodules calls as a function has a row
        of its own, such as "Mixed_5b.avg_pool2d()".

    Returns one row for each call of a layer, in the order of the calls:

    - ``layer``, ``index`` (from 0), ``type`` (its class); ``conv``: its number among the convolutions of the main
      path, from 1, as the dissertation counts layers; missing for others, and where all places see the same:
      behind global pooling a convolution is a linear layer.
    - ``path``: "main"; "shortcut" for a summand's branch without a window larger than its stride (projections),
      beside one with such a window; "gate" where nothing goes on to the output but as a factor, or nothing at all.
    - ``passage``: whether all that goes on to the output passes what the layer gets: no path leads around it.
    - ``kernel``, ``stride``, ``dilation`` (height x width, as text); ``sides`` of the output map; ``jump``: pixels
      between neighbouring places of it (the larger axis and path; 0 where all places see the same).
    - ``exact``: whether the sizes are the paths' own; False where they differ from place to place and are bounds.
    - ``r_min``, ``r_max``: the smallest and largest receptive field of the layer's output over all paths, ``r_min_in``
      and ``r_max_in`` of its input; ``r_border_in``, by which b_min is found: the least ``r_min_in`` of the layer and,
      for a convolution of the main path, of all those behind it, each down-sampling shortcut counted like the strided
      convolution that it stands beside (see :func:`border_layer`). Of height and width the smaller for minima, the
      larger for maxima; each apart in ``r_min_h``, ``r_min_w`` and so on.

    Raises ``NotImplementedError`` that names layer and operation where the reach is unknown, ``ValueError`` for an
    image that the network refuses, unknown layers, and a network whose output doesn't depend on the image; and as
    :func:`rrahelpers.base.modules.check_model`.
    """
    check_model(model)
    known = [name for name in named_layers(model) if name]
    layers = None if layers is None else layer_list(layers)
    if unknown := [name for name in layers or () if name not in known]:
        raise ValueError(f"unknown layers {unknown}; expected some of: {', '.join(known)}")
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    # there, torch would show its compound operations instead of what they are made of
    with torch.inference_mode(False):
        graph = record(model, like.new_zeros(1, *image_shape(model, input_size)))
    going_on = reached(graph, gates)
    aside, raised = shortcuts(graph.nodes, going_on, gates)
    found, alone = reaches(graph.nodes, gates, raised), passages(graph, gates)
    paths = ["gate" if call.output not in going_on else "shortcut" if call.output in aside else "main"
             for call in graph.calls]
    convolutions = [call for call, path in zip(graph.calls, paths)
                    if path == "main" and any("convolution" in name for name, *_ in call.windows)
                    and _jump(call, found)]
    numbers, behind = _behind(convolutions, ancestry(graph.nodes, gates))
    rows: list[dict[str, object]] = []
    for call, path in zip(graph.calls, paths):
        if call.leaf if layers is None else call.layer in layers:
            rows.append({"layer": call.layer, "index": len(rows), "conv": numbers.get(id(call)), "type": call.kind,
                         "path": path, "passage": len(call.inputs) == 1 and call.inputs[0] in alone,
                         **_geometry(call), **_sizes(call, found, behind.get(id(call), ()))})
    if idle := set(layers or ()) - {row["layer"] for row in rows}:
        raise ValueError(f"layers {sorted(idle)} answer with no tensor that depends on the image; leave them out")
    return pd.DataFrame(rows, columns=COLUMNS).astype({"conv": "Int64"})


def border_layer(table: pd.DataFrame, input_size: InputSize, bound: str = "min") -> str | None:
    """The first convolution of the main path that can't widen what it sees any more, or None.

    Parameters
    ----------
    table: of :func:`receptive_fields`, with all convolutions in it.
    input_size: as there; I is the side of the image.
    bound: "max" for b_max (section 9.3): the first layer whose input has r_max > I. "min" for b_min (10.2): the first
        whose input has r_min > I, and that of all behind it too, where a down-sampling shortcut counts like the strided
        convolution that it stands beside; of parallel branches the one called first. Over all paths literally, each
        block of a ResNet would see the stem's receptive field through the shortcuts, and at most its last convolution
        would be left; the published border layers (11 in ResNet18, 17 in ResNet34) follow with this reading. In
        sequential networks b_min is b_max.

    Where height and width differ, of the image or of the receptive field, both have to be larger.
    """
    beyond = beyond_border(table, input_size, bound)
    return table["layer"][beyond.index[beyond.argmax()]] if beyond.any() else None


def beyond_border(table: pd.DataFrame, input_size: InputSize, bound: str = "min") -> pd.Series:
    """Which convolutions of the main path satisfy the condition of :func:`border_layer`: booleans, by the table's
    index.

    For ``bound="min"`` these are the unproductive ones: b_min, all behind it, and their like on parallel branches.
    """
    if bound not in ("min", "max"):
        raise ValueError(f"bound must be 'min' or 'max', got {bound!r}")
    if missing := {"layer", "conv", *(f"{size}_{axis}" for size in SIZES for axis in "hw")} - set(table.columns):
        raise ValueError(f"expected a table of receptive_fields, got one without the columns {sorted(missing)}")
    height, width = image_sides(input_size)[-2:]
    rows = table[table["conv"].notna()]
    if rows.empty:
        raise ValueError("the table has no convolution of the main path; make it without the argument layers")
    size = "r_border_in" if bound == "min" else "r_max_in"
    return (rows[f"{size}_h"] > height) & (rows[f"{size}_w"] > width)


def input_resolution_range(table: pd.DataFrame) -> tuple[tuple[int, int], tuple[int, int]]:
    """The image sizes that a network is made for: the smallest and the largest (height, width), in pixels.

    Of images smaller than the first on both sides some convolutions see all before they begin: they are idle (section
    10.2). Of images larger than the second no convolution sees the whole (9.4.2: both should be close). The name is
    that of the receptive_field_analysis_toolbox; b_min as for :func:`border_layer`.

    ``table``: of :func:`receptive_fields`, with all convolutions in it.
    """
    beyond_border(table, 1)  # says what is wrong with a table
    rows = table[table["conv"].notna()]
    smallest, largest = ((int(rows[f"{size}_h"].max()), int(rows[f"{size}_w"].max()))
                         for size in ("r_border_in", "r_max"))
    return smallest, largest


def _behind(calls, ancestors):
    """Of some calls, by their id: {call: its number, from 1}, and {call: those that see its output}."""
    seen = [reduce(int.__or__, (ancestors[node] for node in call.inputs)) for call in calls]
    behind = {id(call): [other for other, mask in zip(calls, seen) if mask >> call.output & 1] for call in calls}
    return {id(call): number for number, call in enumerate(calls, start=1)}, behind


def _sizes(call, found, later):
    """The columns of receptive fields for one call of a layer, axis by axis and of both; ``later``: those behind it."""
    sizes = {}
    for axis, letter in enumerate("hw"):
        came = [reach for node in call.inputs for reach in found[node][axis].values()]
        gave = found[call.output][axis].values()
        values = (min(r.low for r in gave), max(r.high for r in gave), min(r.low for r in came),
                  max(r.high for r in came),
                  min(r.border for one in (call, *later) for node in one.inputs for r in found[node][axis].values()))
        sizes |= {f"{size}_{letter}": value for size, value in zip(SIZES, values)}
    both = {size: (max if "max" in size else min)(sizes[f"{size}_h"], sizes[f"{size}_w"]) for size in SIZES}
    exact = all(reach.exact for axis in (0, 1) for reach in found[call.output][axis].values())
    return {"jump": _jump(call, found), "exact": exact, **both, **sizes}


def _jump(call, found):
    return max(float(grid * ratio) for axis in (0, 1) for grid, ratio in found[call.output][axis])


def _geometry(call):
    texts = [", ".join("x".join(map(str, window[part])) for window in call.windows) for part in (1, 2, 3)]
    return dict(zip(("kernel", "stride", "dilation"), texts), sides="x".join(map(str, call.sides)))
