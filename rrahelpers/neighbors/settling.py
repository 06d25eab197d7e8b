"""Second half of the search: candidates measured, and whatever a bound leaves open looked at again (see ``bands``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from rrahelpers.neighbors.bands import UNIT, Block, Plan, decompose, squares, subtract_twice_product
from rrahelpers.neighbors.rows import Source

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64

    from rrahelpers.base.shapes import Bounds, Each, Integers, Settled, Values


class Settling:
    """Decides among candidates of ``source``'s rows by direct differences, for the windows of a :class:`Plan`.

    ``block``: rows that are encoded at a time where everybody must be looked at again.
    """

    def __init__(self, source: Source, plan: Plan, k: int, *, memory: int, block: int, each: Each = map) -> None:
        self.source, self.plan, self.k, self.memory, self.block, self.each = source, plan, k, memory, block, each
        self.coarse = self.pooled()
        self.reach = {i: UNIT * 1.01 * squares(maps).sqrt() for i, maps in self.coarse.items()}  # their rounding

    def run(self, kept: Sequence[Bounds]) -> list[Settled]:
        """For each scale: (indices int64 [n, k], squared distances float64 [n, k] of centred, scaled, orthonormal
        maps).

        ``kept``: for each scale lower bounds (ascending) and indices [n, width].
        """
        return [self.settle_all(scale, *candidates) for scale, candidates in enumerate(kept)]

    def pooled(self) -> dict[int, Float32[torch.Tensor, "n w"]]:
        """{scale: orthonormal maps [n, …], summed in float64, kept in float32}: the scales that fit a quarter of the
        memory."""
        wanted = [w for w in self.plan.windows if w != (1, 1)]
        n, values = len(self.source), self.source.x[0].numel()
        while wanted and sum(4 * n * values // (h * w) for h, w in wanted) > self.memory // 4:
            wanted.pop()  # the finest
        if not wanted:
            return {}
        chunk = max(1, 2**22 // (4 * values))
        maps = {i: torch.empty(n, values // (h * w), device=self.source.x.device) for i, (h, w) in enumerate(wanted)}

        def pool(start):
            z = self.plan.centred(self.source.rows(slice(start, start + chunk)).double())
            for i, part in enumerate(decompose(z, wanted, details=False)[0]):
                maps[i][start:start + chunk] = part

        list(self.each(pool, range(0, n, chunk)))
        return maps

    def settle_all(self, scale: int, low: Float64[torch.Tensor, "n width"],
                   index: Int64[torch.Tensor, "n width"]) -> Settled:
        parts = self.each(lambda rows: self.settle(scale, rows, low[rows], index[rows]),
                          torch.arange(len(low), device=low.device).split(1024))
        indices, squared, bound = map(torch.cat, zip(*parts))
        if low.shape[1] < len(low) - 1:
            is_open = (low[:, -1] <= bound).nonzero()[:, 0]
            if len(is_open):
                indices[is_open], squared[is_open] = self.look_again(scale, is_open, bound[is_open])
        return indices, squared

    def settle(self, scale: int, rows: Integers, low: Float64[torch.Tensor, "n width"],
               index: Int64[torch.Tensor, "n width"]) -> tuple[torch.Tensor, torch.Tensor, Values]:
        """The k nearest among candidates [r, width] (ascending lower bounds): indices, squared distances, bound τ
        [r]."""
        d, error = torch.full_like(low, torch.inf), torch.zeros_like(low)
        chosen = torch.zeros_like(low, dtype=torch.bool)
        chosen[:, :self.k] = True
        tau = self.measure(scale, rows, index, chosen, d, error)
        more = (low <= tau) & ~chosen & (index >= 0)
        tau = self.measure(scale, rows, index, more, d, error)

        start, order = (d - error).sort(1)  # intervals by their lower end
        end = (d + error).gather(1, order)
        contender = (start <= tau) & start.isfinite()
        touches = torch.zeros_like(contender)
        overlap = contender[:, 1:] & (start[:, 1:] <= end.cummax(1).values[:, :-1])
        touches[:, 1:] |= overlap
        touches[:, :-1] |= contender[:, 1:] & (start[:, 1:] <= end[:, :-1])
        touches |= contender & (end - start > 2e-4 * start)
        doubtful = torch.zeros_like(contender).scatter_(1, order, touches)
        self.measure(scale, rows, index, doubtful & (error > 0) | doubtful & (d > 0), d, error, exactly=True)
        out = torch.zeros_like(contender).scatter_(1, order, ~contender)
        d = d.masked_fill(out, torch.inf)
        by_index = index.argsort(1)
        by_index = by_index.gather(1, d.gather(1, by_index).argsort(dim=1, stable=True))[:, :self.k]
        return index.gather(1, by_index), d.gather(1, by_index), tau[:, 0]

    def measure(self, scale: int, rows: Integers, index: Int64[torch.Tensor, "n width"],
                chosen: Bool[torch.Tensor, "n width"], d: Float64[torch.Tensor, "n width"],
                error: Float64[torch.Tensor, "n width"], exactly: bool = False) -> Float64[torch.Tensor, "n 1"]:
        """Fill d and error [r, width] where ``chosen``; return the k-th smallest upper bound of each row [r, 1]."""
        r, c = chosen.nonzero(as_tuple=True)
        if len(r):
            n = len(self.source)
            i, j = rows[r], index[r, c]
            pairs, back = torch.unique(torch.minimum(i, j) * n + torch.maximum(i, j), return_inverse=True)
            values, errors = self.distances(scale, pairs // n, pairs % n, exactly)
            d[r, c], error[r, c] = values[back], errors[back]
        return (d + error).kthvalue(self.k, dim=1, keepdim=True).values

    def distances(self, scale: int, i: Integers, j: Integers, exactly: bool) -> tuple[Values, Values]:
        """Squared distances float64 of pairs by direct differences, and what they may be wrong by (0: float64)."""
        window, fine = self.plan.windows[scale], scale not in self.coarse
        exactly = exactly or (fine and window != (1, 1))
        size = self.source.x[0].numel() if fine else self.coarse[scale].shape[1]
        if exactly:
            return self.exact_distances(window, i, j), torch.zeros(len(i), dtype=torch.float64, device=i.device)
        maps = self.source.x.flatten(1) if fine else self.coarse[scale]
        plain = not fine or self.source.plain()
        pairs, block = max(1, 2**18 // size), math.gcd(size, 128)
        # used again and again: fresh memory costs more than the sums
        p, q = torch.empty(2, pairs, size, device=i.device)
        d = torch.empty(len(i), dtype=torch.float64, device=i.device)
        for start in range(0, len(i), pairs):
            a, b = i[start:start + pairs], j[start:start + pairs]
            if plain:
                difference = torch.index_select(maps, 0, a, out=p[:len(a)])
                difference.sub_(torch.index_select(maps, 0, b, out=q[:len(a)]))
            else:
                difference = (self.source.rows(a) - self.source.rows(b)).flatten(1)
            if fine:
                difference = difference.mul_(self.plan.unit).float()
            d[start:start + pairs] = difference.square_().unflatten(1, (-1, block)).sum(2).double().sum(1)
        error = d * ((block + 8) * UNIT) + 2.0**-120 * size
        if not fine:
            wrong = self.reach[scale][i] + self.reach[scale][j]
            error += wrong * (2 * d.sqrt() + wrong)
        return d, error

    def exact_distances(self, window: tuple[int, int], i: Integers, j: Integers) -> Values:
        """Squared distances of pairs from the original features, in float64 throughout."""
        d = []
        for a, b in zip(*(index.split(max(1, 2**18 // self.source.x[0].numel())) for index in (i, j))):
            difference = (self.source.rows(a).double() - self.source.rows(b).double()) * self.plan.unit
            difference = F.avg_pool2d(difference, window) if window != (1, 1) else difference
            d.append(difference.square_().flatten(1).sum(1) * (window[0] * window[1]))
        return torch.cat(d)

    def look_again(self, scale: int, rows: Integers, bound: Values) -> Settled:
        """Open rows against all samples in float32: everybody whose lower bound is at most τ is measured."""
        plan = replace(self.plan, windows=self.plan.windows[:scale + 1], bfloat16=False)
        n, indices, squared = len(self.source), [], []
        step = max(1, self.memory // 8 // (8 * n))
        for part, tau in zip(rows.split(step), bound.split(step)):
            own = Block(Source(self.source.rows(part)), plan, self.each)
            low = torch.empty(len(part), n, dtype=torch.float64, device=rows.device)
            for start in range(0, n, self.block):
                other = Block(self.source.part(start, start + self.block), plan, self.each)
                t = torch.zeros(len(part), len(other), device=rows.device)
                for p, q in zip(own.bands, other.bands):
                    subtract_twice_product(t, p, q)
                low[:, start:start + len(other)] = (t + other.key[scale]).double() + (own.c - own.e)[scale, :, None]
            low[torch.arange(len(part), device=rows.device), part] = torch.inf
            for some in torch.arange(len(part), device=rows.device).split(256):
                width = max(self.k, int((low[some] <= tau[some, None]).sum(1).max()))
                values, index = low[some].topk(width, largest=False, sorted=True)
                i, d, _ = self.settle(scale, part[some], values, index)
                indices.append(i)
                squared.append(d)
        return torch.cat(indices), torch.cat(squared)
