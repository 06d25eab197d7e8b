"""One forward pass over all images for a group of layers: what each of their measures needs, and no more, is kept."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from rrahelpers.eigenspace import Covariance
from rrahelpers.eigenspace.layers import attach
from rrahelpers.features import Batches, visit
from rrahelpers.features.maps import Reading
from rrahelpers.report.cache import Sink

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes


def collect(model: nn.Module, images: Batches,
            wanted: Mapping[str, Mapping[str, Callable[[torch.Tensor], torch.Tensor]]], maps: dict[str, Reading],
            sink: Sink) -> None:
    """Put into ``sink`` what is kept of each layer's maps, from one pass.

    ``wanted``: {layer: {name: function of the layer's maps}}; ``maps``: the layers' readings; ``sink``: of
    :mod:`rrahelpers.report.cache`.
    """
    def keep(layer, x, place):
        for name, function in wanted[layer].items():
            sink.put(layer, name, function(x), place)

    visit(model, images, list(wanted), keep, maps=maps)


@contextlib.contextmanager
def observed(model: nn.Module, layers: Sequence[str],
             axis: FeatureAxes | None = None) -> Iterator[dict[str, Covariance]]:
    """While it is open, the covariance of each layer's output gathers: yields {layer: Covariance}, as
    :func:`rrahelpers.eigenspace.covariances` has it."""
    found: dict[str, Covariance] = {}

    def record(name, x, axis):
        found.setdefault(name, Covariance(x.shape[axis])).update(x, axis)

    if not layers:
        yield found
        return
    with attach(model, layers, record, {name: one for name, one in (axis or {}).items() if name in layers}):
        yield found


def weights_digest(model: nn.Module) -> str:
    """A digest of a network's kind, modules and all numbers in it."""
    sha = hashlib.sha256(repr(model).encode())
    for name, value in model.state_dict().items():
        if isinstance(value, torch.Tensor):
            sha.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            sha.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
