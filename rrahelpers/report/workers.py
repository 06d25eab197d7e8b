"""Layers measured here, or as jobs on the workers of an executor."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import torch

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
    waiting: deque[tuple[Future[bytes], int]] = deque()
    for kept in layers:
        kept = replace(kept, features=_arrays(kept.features), tested=_arrays(kept.tested))
        size = sum(x.nbytes for x in (*kept.features.values(), *kept.tested.values()))
        while waiting and (waiting[0][0].done() or sum(sent for _, sent in waiting) + size > memory):
            yield pickle.loads(waiting.popleft()[0].result())
        waiting.append((executor.submit(_pickled, measure, kept), size))
    while waiting:
        yield pickle.loads(waiting.popleft()[0].result())


def _pickled(measure, kept):
    """The answer in bytes: a tensor from a process pool would be a handle of shared memory, gone with its worker."""
    return pickle.dumps(measure(kept))


def _arrays(features: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Features as numpy arrays, for the same reason."""
    return {name: _array(x) for name, x in features.items()}


def _array(x):
    try:
        return x.numpy()
    except TypeError:  # bfloat16, of which measures make float32 too
        return x.float().numpy()
