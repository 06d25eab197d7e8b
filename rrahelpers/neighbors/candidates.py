"""First half of the search: for each row a few candidates, with lower bounds of their distance (see ``bands``)."""

import math
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace

import numpy as np
import torch

from rrahelpers.devices import bfloat16_units
from rrahelpers.neighbors.bands import Block, Plan, full_precision, subtract_twice_product
from rrahelpers.neighbors.rows import Source


def pair_candidates(a, b, width):
    """For each scale, for a's rows and for b's: (lower bounds float64, columns int64), the ``width`` best of each row.

    Where a is b, half of the products are computed, the sample itself is left out, and the second part is missing.
    """
    t = torch.zeros(len(a), len(b), device=a.key.device)
    step = 8192 if t.is_cuda else 1280  # a step's products stay in the processor's cache
    of_a, of_b = ([slice(s, min(s + step, n)) for s in range(0, n, step)] for n in t.shape)
    found = []
    for scale, (p, q) in enumerate(zip(a.bands, b.bands)):
        for rows in of_a:
            for columns in (c for c in of_b if a is not b or c.start <= rows.start):
                subtract_twice_product(t[rows, columns], p[rows], q[columns])
        sides = [(t, a, b, of_a)] if a is b else [(t, a, b, of_a), (t.T, b, a, of_b)]
        found.append([tuple(map(torch.cat, zip(*(best(matrix, own, other, scale, rows, width) for rows in places))))
                      for matrix, own, other, places in sides])
    return found


def best(t, own, other, scale, rows, width):
    """The ``width`` smallest lower bounds of t[rows], and their columns; of a symmetric t only the lower half is read."""
    key = other.key[scale]
    if own is other:
        keys = torch.empty(rows.stop - rows.start, len(key), device=t.device)
        torch.add(t[rows, :rows.stop], key[:rows.stop], out=keys[:, :rows.stop])
        torch.add(t[rows.stop:, rows].T, key[rows.stop:], out=keys[:, rows.stop:])
        keys.diagonal(rows.start).fill_(torch.inf)
    else:
        keys = t[rows] + key
    values, columns = keys.topk(min(width, len(key) - (own is other)), largest=False, sorted=False)
    return values.double() + (own.c - own.e)[scale, rows, None], columns


def encoded_pair(rows_a, rows_b, plan, mean):
    """One independent job for another process, numpy in and out: ``pair_candidates`` of raw rows (None: a with itself)."""
    plan = replace(plan, mean=torch.from_numpy(mean), bfloat16=bfloat16_units(torch.device("cpu")))
    with full_precision():
        a, b = (rows if rows is None else Block(Source(torch.from_numpy(rows)), plan) for rows in (rows_a, rows_b))
        return [[(low.numpy(), columns.numpy()) for low, columns in sides] for sides in pair_candidates(a, b or a, plan.width)]


class Search:
    """The candidates of all rows of ``source`` at each of ``windows`` (coarsest first, each a multiple of the next)."""

    def __init__(self, source, windows, k, scan, *, memory, executor=None):
        self.source, self.memory, self.executor = source, memory, executor
        n, values = len(source), source.x[0].numel()
        fast = bfloat16_units(source.x.device)
        self.plan = Plan(windows, scan.mean, scan.unit, fast, min(n - 1, max(2 * k, k + 22)))
        encoded = values * (2 if fast else 4) + 40 * len(windows)  # bytes for a row
        self.resident = n * encoded <= memory // 2
        tile = memory // 4 if self.resident else memory // 6
        rows = math.isqrt(tile // 4)
        if not self.resident:
            rows = min(rows, memory // 3 // (2 * encoded))
        if executor is not None:
            rows = min(rows, -(-n // 6))
        self.block = min(n, max(rows, 64))

    def run(self):
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

    def jobs(self, pairs):
        """Yield (pair, what ``pair_candidates`` found), here or on the executor's workers."""
        if self.executor is None:
            blocks = {}
            for pair in pairs:
                for start in pair:
                    blocks[start] = blocks.get(start) or self.encode(start)
                yield pair, pair_candidates(blocks[pair[0]], blocks[pair[1]], self.plan.width)
                if not self.resident:
                    blocks = {pair[0]: blocks[pair[0]]} if pair[0] != pair[1] else {}
            return
        mean, plan = self.plan.mean.cpu().numpy(), replace(self.plan, mean=None)
        raw = lambda start: self.source.rows(slice(start, min(start + self.block, len(self.source)))).cpu().numpy()
        waiting = {}
        flight = max(4, self.memory // (2 * self.block * self.source.x[0].numel() * 4))
        for pair in [*pairs, None]:
            while waiting and (pair is None or len(waiting) >= flight):
                done = wait(waiting, return_when=FIRST_COMPLETED).done
                for future in done:
                    yield waiting.pop(future), [[tuple(map(self.tensor, side)) for side in sides] for sides in future.result()]
            if pair:
                rows = (raw(pair[0]), None if pair[0] == pair[1] else raw(pair[1]))
                waiting[self.executor.submit(encoded_pair, *rows, plan, mean)] = pair

    def tensor(self, array):
        return torch.from_numpy(np.array(array)).to(self.source.x.device)

    def encode(self, start):
        return Block(self.source.part(start, start + self.block), self.plan)
