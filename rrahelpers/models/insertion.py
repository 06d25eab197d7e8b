"""What the advice adds to a network: down-sampling (dissertation, 11.4) and shortcuts (9.4)."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from rrahelpers.base.modules import check_model, layer_list
from rrahelpers.models.tracing import got, read_what_was_written, rewired


@torch.inference_mode(False)
def with_downsampling(model: nn.Module, layers: Iterable[str], factor: int = 2) -> nn.Module:
    """A copy of ``model`` with maximum pooling, by ``factor`` on each side, before each of some ``layers``.

    What the layer gets is pooled for all that get it: in front of a residual block the shortcut too. Layers keep their
    names and weights; the poolings are called ``pooled_before_``, with the layer's name. Raises ``ValueError`` for
    unknown layers and those that aren't called just once, and as :func:`rrahelpers.models.surgery.truncate`.
    """
    poolings = {name: f"pooled_before_{name.replace('.', '_')}" for name in layer_list(layers)}
    known = _modules(model, poolings)

    def edit(graph):
        read_what_was_written(graph, known)
        for name, new in poolings.items():
            seen = got(graph, name, "pool before")
            with graph.inserting_after(seen):
                pooled = graph.call_module(new, (seen,))
            seen.replace_all_uses_with(pooled, lambda user: user is not pooled)

    return rewired(model, edit, "somewhere", "pooled", {new: nn.MaxPool2d(factor) for new in poolings.values()})


@torch.inference_mode(False)
def with_shortcuts(model: nn.Module, places: Mapping[str, str]) -> nn.Module:
    """A copy of ``model`` in which some layers get, added to what they got, what an earlier layer gets.

    ``places``: {earlier layer: later layer}; both get maps of one size and number of channels, else the new network
    fails at its first image. Layers keep names and weights. Raises ``ValueError`` as :func:`with_downsampling`.
    """
    known = _modules(model, [*places, *places.values()])

    def edit(graph):
        read_what_was_written(graph, known)
        for earlier, later in places.items():
            end = got(graph, later, "add before")
            with graph.inserting_after(end):
                total = graph.call_function(operator.add, (end, got(graph, earlier, "begin a shortcut before")))
            end.replace_all_uses_with(total, lambda user: user is not total)

    return rewired(model, edit, "somewhere", "shortcut")


def _modules(model, layers):
    """{name: module} of a model, of which ``layers`` are some."""
    check_model(model)
    known = dict(model.named_modules())
    if unknown := set(layers) - set(known):
        raise ValueError(f"unknown layers {sorted(unknown)}; expected some of: {', '.join(filter(None, known))}")
    return known
