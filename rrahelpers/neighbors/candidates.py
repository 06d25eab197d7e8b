"""First half of the search: for each row a few candidates, with lower bounds of their distance (see ``bands``)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from rrahelpers.base.devices import bfloat16_pays
from rrahelpers.neighbors.bands import WIDE, Block, Plan, full_precision, subtract_twice_product
from rrahelpers.neighbors.rows import Scan, Source

if TYPE_CHECKING:
    from jaxtyping import Float32

    from rrahelpers.base.shapes import Bounds, Each

TABLE = 2**27  # bytes of the products that a processor works on at a time: more gains nothing
STRIP = 256  # rows and columns in which bounds are read: what is transposed on the way stays in the cache


def pair_candidates(a: Block, b: Block, width: int, each: Each = map,
                    room: Float32[torch.Tensor, " pairs"] | None = None) -> list[list[Bounds]]:
    """For each scale, for a's rows and for b's: (lower bounds float64, columns int64), the ``width`` best of each row.

    Where a is b, half of the products are computed, the sample itself is left out, and the second part is missing.
    ``each``: a ``map`` over the tiles of the products (:func:`rrahelpers.neighbors.cores.on_cores`). ``room``: float32
    for len(a) len(b) values, which spares the system from finding fresh memory for every pair.
    """
    room = torch.empty(len(a) * len(b), device=a.key.device) if room is None else room
    t = room[:len(a) * len(b)].view(len(a), len(b)).zero_()
    # a tile's products stay in the processor's cache
    of_a, of_b = (slices(n, 8192 if t.is_cuda else 1280) for n in t.shape)
    tiles = [(rows, columns) for rows in of_a for columns in of_b if a is not b or columns.start <= rows.start]
    sides = [(t, a, b)] if a is b else [(t, a, b), (t.T, b, a)]
    found = []
    for scale, (p, q) in enumerate(zip(a.bands, b.bands)):
        list(each(lambda tile: subtract_twice_product(t[tile], p[tile[0]], q[tile[1]]), tiles))
        found.append([_joined(each(lambda rows: best(matrix, own, other, scale, rows, width), slices(len(own), STRIP)))
                      for matrix, own, other in sides])
    return found


def _joined(parts):
    """The bounds of consecutive rows as one."""
    return tuple(map(torch.cat, zip(*parts)))


def slices(n: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def best(t: Float32[torch.Tensor, "m n"], own: Block, other: Block, scale: int, rows: slice, width: int) -> Bounds:
    """The ``width`` smallest lower bounds of t[rows], and their columns; of a symmetric t only the lower half is
    read."""
    key = other.key[scale]
    keys = torch.empty(rows.stop - rows.start, len(key), device=t.device)
    for columns in slices(len(key), STRIP):
        part = t[columns, rows].T if own is other and columns.start >= rows.stop else t[rows, columns]
        torch.add(part, key[columns], out=keys[:, columns])
    if own is other:
        keys.diagonal(rows.start).fill_(torch.inf)
    values, columns = keys.topk(min(width, len(key) - (own is other)), largest=False, sorted=False)
    return values.double() + (own.c - own.e)[scale, rows, None], columns


def rounding_pays(source: Source, plan: Plan, k: int, sample: int = 1024, judged: int = 128) -> bool:
    """Whether bfloat16 would leave few rows open: looking at many again costs more than the rounding saves.

    Judged by the first rows among a ``sample``: is the last candidate's lower bound above the k-th distance?
    """
    block = Block(source.part(0, sample), replace(plan, bfloat16=True))
    if len(block) - 1 <= plan.width:
        return True
    t = torch.zeros(min(judged, len(block)), len(block), device=block.key.device)
    for scale, band in enumerate(block.bands):
        subtract_twice_product(t, band[:len(t)], band)
        keys = t + block.key[scale]
        keys.diagonal().fill_(torch.inf)
        low, columns = keys.topk(plan.width, largest=False, sorted=True)
        wrong = block.e[scale, :len(t)] + block.e[scale, columns[:, k - 1]]
        if (low[:, -1] <= low[:, k - 1] + wrong).float().mean() > 0.25:
            return False
    return True


def encoded_pair(rows_a: np.ndarray, rows_b: np.ndarray | None, plan: Plan,
                 mean: np.ndarray) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """One independent job for another process, numpy in and out: ``pair_candidates`` of raw rows (None: a with
    itself)."""
    plan = replace(plan, mean=torch.from_numpy(mean), bfloat16=plan.bfloat16 and bfloat16_pays(torch.device("cpu")))
    with full_precision():
        a = Block(Source(torch.from_numpy(rows_a)), plan)
        b = a if rows_b is None else Block(Source(torch.from_numpy(rows_b)), plan)
        return [[(low.numpy(), columns.numpy()) for low, columns in sides]
                for sides in pair_candidates(a, b, plan.width)]


class Search:
    """The candidates of all rows of ``source`` at each of ``windows`` (coarsest first, each a multiple of the next)."""

    def __init__(self, source: Source, windows: list[tuple[int, int]], k: int, scan: Scan, *, memory: int,
                 executor: Executor | None = None, each: Each = map) -> None:
        self.source, self.memory, self.executor, self.each = source, memory, executor, each
        n, values = len(source), source.x[0].numel()
        self.plan = Plan(windows, scan.mean, scan.unit, False, min(n - 1, max(2 * k, k + 22)))
        fast = (values >= WIDE and (executor is not None or bfloat16_pays(source.x.device))
                and rounding_pays(source, self.plan, k))
        self.plan = replace(self.plan, bfloat16=fast)
        encoded = values * (2 if fast else 4) + 40 * len(windows)  # bytes for a row
        self.resident = n * encoded <= memory // 2
        tile = memory // 4 if self.resident else memory // 6
        if executor is None and not source.x.is_cuda:
            tile = min(tile, TABLE)
        rows = math.isqrt(tile // 4)
        if not self.resident:
            rows = min(rows, memory // 3 // (2 * encoded))
        if executor is not None:
            rows = min(rows, -(-n // 6))
        self.block = -(-n // -(-n // max(rows, 64)))

    def run(self) -> list[Bounds]:
        """For each scale: lower bounds and indices [n, width], ascending."""
        n, width, device = len(self.source), self.plan.width, self.source.x.device
        starts = range(0, n, self.block)
        kept = [(torch.full((n, width), torch.inf, dtype=torch.float64, device=device),
                 torch.full((n, width), -1, device=device)) for _ in self.plan.windows]
        for (i, j), found in self.jobs([(i, j) for i in starts for j in starts if j <= i]):
            for (low, index), sides in zip(kept, found):
                for (first, other), (values, columns) in zip(((i, j), (j, i)), sides):
                    rows = slice(first, first + len(values))
                    values, columns = (torch.cat(p, 1) for p in ((low[rows], values), (index[rows], columns + other)))
                    low[rows], order = values.topk(width, largest=False, sorted=True)
                    index[rows] = columns.gather(1, order)
        return kept

    def jobs(self, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], list[list[Bounds]]]]:
        """Yield (pair, what ``pair_candidates`` found), here or on the executor's workers."""
        if self.executor is None:
            blocks: dict[int, Block] = {}
            room = torch.empty(self.block**2, device=self.source.x.device)
            for pair in pairs:
                for start in pair:
                    blocks[start] = blocks.get(start) or self.encode(start)
                yield pair, pair_candidates(blocks[pair[0]], blocks[pair[1]], self.plan.width, self.each, room)
                if not self.resident:
                    blocks = {pair[0]: blocks[pair[0]]} if pair[0] != pair[1] else {}
            return
        mean, plan = self.plan.mean.cpu().numpy(), replace(self.plan, mean=torch.empty(0))  # sent beside it
        raw = lambda start: self.source.rows(slice(start, min(start + self.block, len(self.source)))).cpu().numpy()
        waiting: dict[Future, tuple[int, int]] = {}
        flight = max(4, self.memory // (2 * self.block * self.source.x[0].numel() * 4))
        for pair in [*pairs, None]:
            while waiting and (pair is None or len(waiting) >= flight):
                done = wait(waiting, return_when=FIRST_COMPLETED).done
                for future in done:
                    yield waiting.pop(future), [[(self.tensor(low), self.tensor(index)) for low, index in sides]
                                                for sides in future.result()]
            if pair:
                rows = (raw(pair[0]), None if pair[0] == pair[1] else raw(pair[1]))
                waiting[self.executor.submit(encoded_pair, *rows, plan, mean)] = pair

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self.source.x.device)

    def encode(self, start: int) -> Block:
        return Block(self.source.part(start, start + self.block), self.plan, self.each)
