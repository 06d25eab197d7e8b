"""Layers measured here, or as jobs on the workers of an executor.

Numpy arrays go there and come back: tensors would pass to and from a process pool as handles of shared memory, of which
there are few, and which end with the worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace

import numpy as np
import torch

from rrahelpers.neighbors import KNNGraph
from rrahelpers.report.layer import MeasuredLayer
from rrahelpers.report.stream import Kept


def each_measured(measure: Callable[[Kept], MeasuredLayer], layers: Iterable[Kept], executor: Executor | None,
                  memory: float) -> Iterator[MeasuredLayer]:
    """Yield what ``measure`` answers of each layer, in order.

    ``memory``: bytes of features that are with the executor at a time; one layer always is.
    """
    if executor is None:
        yield from map(measure, layers)
        return
    waiting: deque[tuple[Future, int]] = deque()
    for kept in layers:
        kept = replace(kept, features=_arrays(kept.features), tested=_arrays(kept.tested))
        size = sum(x.nbytes for x in (*kept.features.values(), *kept.tested.values()))
        while waiting and (waiting[0][0].done() or sum(sent for _, sent in waiting) + size > memory):
            yield _received(waiting.popleft()[0].result())
        waiting.append((executor.submit(_answer, measure, kept), size))
    while waiting:
        yield _received(waiting.popleft()[0].result())


def _answer(measure, kept):
    found = measure(kept)
    graphs = {scale: (one.indices.numpy(), one.distances.numpy(), one.recall) for scale, one in found.graphs.items()}
    return replace(found, graphs=graphs, gram=None if found.gram is None else found.gram.numpy())


def _received(found):
    graphs = {scale: KNNGraph(_tensor(indices), _tensor(distances), recall)
              for scale, (indices, distances, recall) in found.graphs.items()}
    return replace(found, graphs=graphs, gram=None if found.gram is None else _tensor(found.gram))


def _tensor(array):
    return torch.from_numpy(np.array(array))  # what comes from a cluster may be read-only


def _arrays(features):
    return {name: _array(x) for name, x in features.items()}


def _array(x):
    try:
        return x.numpy()
    except TypeError:  # bfloat16, of which measures make float32 too
        return x.float().numpy()
