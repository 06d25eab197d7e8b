"""Many short independent pieces of work on the processor's cores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Each


@contextlib.contextmanager
def on_cores(device: str | torch.device) -> Iterator[Each]:
    """A ``map`` that works on all of torch's threads at once, one core for each piece.

    Each of torch's operations splits itself over all cores anyway, but for short ones that gains little: two cores
    side by side, each with a piece of its own, are nearly twice as fast. Elsewhere (CUDA, one thread) plain ``map``.
    """
    threads = torch.get_num_threads()
    if torch.device(device).type != "cpu" or threads == 1:
        yield map
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(threads)


def piece(device: torch.device) -> int:
    """Numbers that are worked on at a time: on a processor they stay in its cache, elsewhere few large operations
    count."""
    return 2**18 if device.type == "cpu" else 2**26


def slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
