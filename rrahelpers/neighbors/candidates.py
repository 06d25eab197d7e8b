"""First half of the search: for each row a few candidates, with lower bounds of their distance (see ``bands``)."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from rrahelpers.base.devices import bfloat16_pays
from rrahelpers.neighbors.bands import WIDE, Block, Plan, full_precision, lower_bounds
from rrahelpers.neighbors.cores import slices
from rrahelpers.neighbors.rows import Scan, Source
from rrahelpers.neighbors.selection import STEP, lowest
from rrahelpers.neighbors.tiles import Kept, Sums, add_bounds, pair_candidates

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Bounds, Each

TILE = {"cpu": 2048, "cuda": 16384}  # sides of the products that are worked on at a time, at most
HALVED = 64  # values from which four tiles a side, of which ten are computed, cost less than fewer and larger ones
MANY = 1024  # samples from which rounding to bfloat16 costs less than it saves
JUDGED, OPEN = 64, 0.1  # rows by which rounding is judged, and the share of them that it may leave open
LONG, HOUR = 1e13, 3600  # products from which the time is estimated before, and seconds from which it is told
SPARE = 3  # candidates beyond k where products come in float32: their bounds leave next to nobody open


def rounding_pays(source: Source, plan: Plan, k: int, each: Each = map) -> bool:
    """Whether bfloat16 would leave few rows open: looking at many again costs more than the rounding saves.

    Judged by ``JUDGED`` rows among all: is the last candidate's lower bound above the k-th distance?
    """
    n, plan = len(source), replace(plan, bfloat16=True)
    if n - 1 <= plan.width:
        return True
    rows = torch.linspace(0, n - 1, min(JUDGED, n), device=source.x.device).round().long()
    own = Block(Source(source.rows(rows)), plan, each)
    best, e = [Kept(len(own), plan.width, rows.device) for _ in plan.windows], []
    for part in slices(n, max(STEP, 2**26 // source.x[0].numel())):
        other = Block(source.part(part.start, part.stop), plan, each)
        e.append(other.e)
        itself = rows[:, None] == torch.arange(part.start, part.stop, device=rows.device)
        for of_scale, t in zip(best, lower_bounds(own, other, slice(len(own)), slice(len(other)))):
            of_scale.add(0, *lowest(t.masked_fill(itself, torch.inf), min(plan.width, len(other))), part.start)
    doubts = []
    for kept, own_error, error in zip(best, own.e, torch.cat(e, 1)):
        low, order = kept.low.sort(dim=1)
        kth = kept.index.gather(1, order[:, k - 1:k])[:, 0]
        doubts.append((low[:, -1] <= low[:, k - 1] + own_error + error[kth]).float().mean())
    return bool(torch.stack(doubts).amax() <= OPEN)


def encoded_pair(rows_a: np.ndarray, rows_b: np.ndarray | None, plan: Plan,
                 mean: np.ndarray) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """One independent job for another process, numpy in and out: ``pair_candidates`` of raw rows (None: a with
    itself)."""
    plan = replace(plan, mean=torch.from_numpy(mean), tile=min(plan.tile, TILE["cpu"]),
                   bfloat16=plan.bfloat16 and bfloat16_pays(torch.device("cpu")))
    with full_precision():
        a = Block(Source(torch.from_numpy(rows_a)), plan)
        b = a if rows_b is None else Block(Source(torch.from_numpy(rows_b)), plan)
        return [[(low.numpy(), index.numpy()) for low, index in sides] for sides in pair_candidates(a, b, plan)]


class Search:
    """The candidates of all rows of ``source`` at each of ``windows`` (coarsest first, each a multiple of the next)."""

    def __init__(self, source: Source, windows: list[tuple[int, int]], k: int, scan: Scan, *, memory: int,
                 executor: Executor | None = None, each: Each = map) -> None:
        self.source, self.memory, self.executor, self.each = source, memory, executor, each
        n, values, device = len(source), source.x[0].numel(), source.x.device
        parts = max(torch.get_num_threads(), 4 if values >= HALVED else 1)  # for each core one at least
        share = max(256, -(-n // parts)) if device.type == "cpu" else n
        tile = -(-min(TILE.get(device.type, TILE["cuda"]), math.isqrt(memory // 32), share) // STEP) * STEP
        self.plan = Plan(windows, scan.mean, scan.unit, False, min(n - 1, max(2 * k, k + 22)), tile)
        fast = (values >= WIDE and n >= MANY and (executor is not None or bfloat16_pays(device))
                and rounding_pays(source, self.plan, k, each))
        self.plan = replace(self.plan, bfloat16=fast, width=self.plan.width if fast else min(n - 1, k + SPARE + k // 8))
        row = values * (2 if fast else 4) + 40 * len(windows)  # bytes, encoded
        rows = n if n * row <= memory // 2 else memory // 3 // (2 * row)
        if executor is not None:
            rows = min(rows, -(-n // 6))
        self.block = -(-n // -(-n // max(rows, 64)))
        groups, bounds = -(-n * row // (memory // 2)), 2 * len(windows) * n * (n + tile)  # bytes, of half the matrices
        by_channels = executor is None and groups <= source.x.shape[1] and bounds <= memory // 4
        self.plan = replace(self.plan, groups=groups if by_channels else 1)

    def run(self) -> list[Bounds]:
        """For each scale: lower bounds float32 and indices int64 [n, width], in any order."""
        n, starts = len(self.source), range(0, len(self.source), self.block)
        if n**2 * self.source.x[0].numel() > LONG and (seconds := self.seconds()) > HOUR:
            warnings.warn(f"the exact search among {n:,} samples takes about {seconds / 3600:.1f} hours here; "
                          "knn_graph(x, k, method='pynndescent') is approximate and faster, and its graph tells its "
                          "recall, estimated on a sample", stacklevel=6)
        if self.plan.groups > 1:
            return self.by_channels()
        kept = [Kept(n, self.plan.width, self.source.x.device) for _ in self.plan.windows]
        for (i, j), found in self.jobs([(i, j) for i in starts for j in starts if j <= i]):
            if self.block >= n:
                return [sides[0] for sides in found]
            for of_scale, sides in zip(kept, found):
                for (first, other), (low, index) in zip(((i, j), (j, i)), sides):
                    of_scale.add(first, low, index, other)
        return [(of_scale.low, of_scale.index) for of_scale in kept]

    def by_channels(self) -> list[Bounds]:
        """As :meth:`run`, with all rows of some channels at a time: each number is encoded once, where blocks of rows
        would be for each other block; the lower bounds among all rows have to fit into the memory."""
        channels = self.source.x.shape[1]
        sums: Sums = {}
        *parts, last = slices(channels, -(-channels // self.plan.groups))
        for part in parts:
            add_bounds(self.encode_channels(part), self.plan, sums, self.each)
        block = self.encode_channels(last)
        return [sides[0] for sides in pair_candidates(block, block, self.plan, self.each, sums)]

    def seconds(self) -> float:
        """About how long the search takes, judged by one tile of the products; 0 where it doesn't run on these cores
        alone."""
        n, tile = len(self.source), self.plan.tile
        if self.executor is not None or self.source.x.device.type != "cpu" or n < 2 * tile:
            return 0.0
        a, b = (Block(self.source.part(start, start + tile), self.plan) for start in (0, tile))
        begun, cores = time.perf_counter(), torch.get_num_threads()
        list(self.each(lambda _: pair_candidates(a, b, self.plan), range(cores)))  # each core works on one at a time
        return (time.perf_counter() - begun) / cores * (n / tile)**2 / 2

    def jobs(self, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], list[list[Bounds]]]]:
        """Yield (pair, what ``pair_candidates`` found), here or on the executor's workers."""
        if self.executor is None:
            blocks: dict[int, Block] = {}
            for pair in pairs:
                for start in pair:
                    blocks[start] = blocks.get(start) or self.encode(start)
                yield pair, pair_candidates(blocks[pair[0]], blocks[pair[1]], self.plan, self.each)
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

    def encode_channels(self, part: slice) -> Block:
        return Block(self.source.at(part), replace(self.plan, mean=self.plan.mean[part]), self.each)
