"""One layer's receptive fields in full: all sizes, the path that gives one, and the place in the image.

Richter's dissertation, 4.4.1: every path from the input to a layer has a size of its own (figure 37).
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import torch
from torch import nn

from rrahelpers.receptive_field.images import image_shape
from rrahelpers.receptive_field.paths import Reach, counted, follow, reaches
from rrahelpers.receptive_field.trace import Graph, LayerCall, record

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize

AXES = {"h": 0, "w": 1}


class Box(NamedTuple):
    """Pixels from ``top`` and ``left`` on, up to ``bottom`` and ``right``, which aren't in it any more."""

    top: int
    left: int
    bottom: int
    right: int


def field_sizes(model: nn.Module, input_size: InputSize, layer: str, *, axis: str = "h",
                gates: bool = False) -> pd.Series:
    """Every receptive field size of a layer's output, and by how many paths it is reached: {pixels: paths}.

    ``axis``: "h" or "w"; others as for :func:`rrahelpers.receptive_field.receptive_fields`. Of a path whose size
    depends on the place the largest counts. A path is one through the operations: parallel edges (x + x) count once.
    """
    graph, call = _call(model, input_size, layer)
    side = AXES[axis]
    found: list[Counter] = [Counter({((1, Fraction(1)), 1): 1})]  # of each node: how many paths have (jump, size)
    for node in graph.nodes[1:]:
        here: Counter = Counter()
        for _, edge in counted(node, gates):
            for (jump, size), paths in found[edge.parent].items():
                jump, reach = follow(edge.steps[side], 0, jump, Reach(size, size, size))
                here[jump, reach.high] += paths
        found.append(here)
    sizes: Counter = Counter()
    for (_, size), paths in found[_output(call)].items():
        sizes[size] += paths
    return pd.Series(dict(sorted(sizes.items())), name="paths", dtype=object).rename_axis("pixels")


def field_path(model: nn.Module, input_size: InputSize, layer: str, bound: str = "max", *, axis: str = "h",
               gates: bool = False) -> pd.DataFrame:
    """A path from the image to a layer that gives its r_max ("max") or its r_min ("min").

    Returns a row for each operation on it, in their order: ``layer`` (the innermost called, or the operation, as
    "add()"), and ``r``, the size behind it. Of several such paths the one along the edges that come first.
    """
    if bound not in ("min", "max"):
        raise ValueError(f"bound must be 'min' or 'max', got {bound!r}")
    graph, call = _call(model, input_size, layer)
    side, pick = AXES[axis], (max, Reach._fields.index("high")) if bound == "max" else (min, Reach._fields.index("low"))
    best, size = pick
    found = reaches(graph.nodes, gates, {})
    names = {c.output: c.layer for c in reversed(graph.calls) if c.leaf}  # a norm behind it sees the same
    place = _output(call)
    jump = best(found[place][side], key=lambda jump: found[place][side][jump][size])
    rows = []
    while place:
        value = found[place][side][jump][size]
        rows.append({"layer": names.get(place, f"{graph.nodes[place].name}()"), "r": value})
        place, jump = next((edge.parent, before) for _, edge in counted(graph.nodes[place], gates)
                           for before, reach in found[edge.parent][side].items()
                           for after, behind in [follow(edge.steps[side], 0, before, reach)]
                           if after == jump and behind[size] == value)
    return pd.DataFrame(rows[::-1], columns=["layer", "r"])


def field_place(model: nn.Module, input_size: InputSize, layer: str, place: tuple[int, int] | None = None) -> Box:
    """The part of the image that one place (row, column) of a layer's map can see; default the one in the middle.

    Found by the gradient, in a copy with positive weights everywhere and averages in place of maxima, so that nothing
    cancels out and no activation is shut. What lies beyond the image isn't in it. Branches behind gates are seen too.
    Raises ``ValueError`` for a layer that is unknown or has no map, and a place outside of it.
    """
    copy = _transparent(model)
    answers = []
    if layer not in dict(copy.named_modules()):
        raise ValueError(f"unknown layer {layer!r}")
    copy.get_submodule(layer).register_forward_hook(lambda module, args, output: answers.append(output))
    image = torch.ones(1, *image_shape(model, input_size), dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        copy(image)
        if not answers or answers[0].ndim != 4:
            raise ValueError(f"expected a layer that answers with a map [N, C, H, W], got {layer!r}")
        sides = tuple(answers[0].shape[2:])
        row, column = place or (sides[0] // 2, sides[1] // 2)
        if not (0 <= row < sides[0] and 0 <= column < sides[1]):
            raise ValueError(f"expected a place on a map of {sides[0]}x{sides[1]}, got {place}")
        gradient, = torch.autograd.grad(answers[0][0, :, row, column].sum(), image)
    rows, columns = (gradient[0].abs().sum((0, other)).nonzero().flatten() for other in (2, 1))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _transparent(model):
    """A copy on the CPU, in double precision, in which every place that is reached by a window counts."""
    copy = deepcopy(model)
    copy = copy.to_empty(device="cpu") if any(p.is_meta for p in copy.parameters()) else copy.cpu()
    copy.double().eval()
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.fill_(1 / max(1, parameter[0].numel()) if parameter.ndim > 1 else 1)
    for name, module in list(copy.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            copy.set_submodule(name, nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode))
        elif isinstance(module, nn.modules.batchnorm._NormBase):
            copy.set_submodule(name, nn.Identity())
    return copy


def _call(model: nn.Module, input_size: InputSize, layer: str) -> tuple[Graph, LayerCall]:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    with torch.inference_mode(False):
        graph = record(model, like.new_zeros(1, *image_shape(model, input_size)))
    found = next((call for call in graph.calls if call.layer == layer), None)
    if found is None:
        raise ValueError(f"unknown layer {layer!r}; expected one of: {', '.join(call.layer for call in graph.calls)}")
    return graph, found


def _output(call: LayerCall) -> int:
    assert call.output is not None  # such calls are left out of the graph
    return call.output
