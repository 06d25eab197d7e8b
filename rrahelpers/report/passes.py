"""One forward pass over all images for a group of layers: what each of their measures needs, and no more, is kept."""

import contextlib
import hashlib

import torch

from rrahelpers.eigenspace import Covariance
from rrahelpers.eigenspace.layers import attach
from rrahelpers.features import visit


def collect(model, images, wanted, maps, sink):
    """Put into ``sink`` what is kept of each layer's maps, from one pass.

    ``wanted``: {layer: {name: function of the layer's maps}}; ``maps``: the layers' readings; ``sink``: of
    :mod:`rrahelpers.report.cache`.
    """
    def keep(layer, x, place):
        for name, function in wanted[layer].items():
            sink.put(layer, name, function(x), place)

    visit(model, images, list(wanted), keep, maps=maps)


@contextlib.contextmanager
def observed(model, layers, axis=None):
    """While it is open, the covariance of each layer's output gathers: yields {layer: Covariance}, as
    :func:`rrahelpers.eigenspace.covariances` has it."""
    found = {}

    def record(name, x, axis):
        found.setdefault(name, Covariance(x.shape[axis])).update(x, axis)

    if not layers:
        yield found
        return
    with attach(model, layers, record, {name: one for name, one in (axis or {}).items() if name in layers}):
        yield found


def weights_digest(model):
    """A digest of a network's kind, modules and all numbers in it."""
    sha = hashlib.sha256(repr(model).encode())
    for name, value in model.state_dict().items():
        if isinstance(value, torch.Tensor):
            sha.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            sha.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
