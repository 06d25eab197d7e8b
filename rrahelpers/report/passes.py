"""One forward pass over all images for a group of layers: what each of their measures needs, and no more, is kept."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import torch

from rrahelpers.eigenspace import Covariance
from rrahelpers.eigenspace.layers import attach
from rrahelpers.features import visit


class Room:
    """Where features lie: in memory, or in a file of a temporary folder where one tensor alone is more than
    ``memory``."""

    def __init__(self, memory):
        self.memory, self.files, self.count = memory, contextlib.ExitStack(), 0
        self.folder = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.files.close()

    def empty(self, shape, dtype):
        """A tensor of that shape on the CPU, to be written."""
        size = int(np.prod(shape)) * torch.empty((), dtype=dtype).element_size()
        if size <= self.memory:
            return torch.empty(shape, dtype=dtype)
        self.folder = self.folder or Path(self.files.enter_context(tempfile.TemporaryDirectory()))
        self.count += 1
        return torch.from_file(str(self.folder / f"{self.count}.bin"), True, int(np.prod(shape)),
                               dtype=dtype).view(shape)


def collect(model, images, wanted, maps, room):
    """{layer: {name: float tensor [N, ...] on the CPU}} from one pass.

    ``wanted``: {layer: {name: function of the layer's maps}}; ``maps``: the layers' readings.
    """
    found = {layer: {} for layer in wanted}

    def keep(layer, x, place):
        for name, function in wanted[layer].items():
            y = function(x)
            if name not in found[layer]:
                found[layer][name] = room.empty((len(images), *y.shape[1:]), y.dtype)
            found[layer][name][place:place + len(y)] = y

    visit(model, images, list(wanted), keep, maps=maps)
    return found


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
