"""Second half of the search: candidates measured, and whatever a bound leaves open looked at again (see ``bands``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from rrahelpers.neighbors.bands import UNIT, Block, Plan, decompose, lower_bounds
from rrahelpers.neighbors.cores import piece, slices
from rrahelpers.neighbors.rows import SUMMED, Source, squares
from rrahelpers.neighbors.selection import lowest

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int64

    from rrahelpers.base.shapes import Bounds, Each, Integers, Settled, Values

PIECE = 2**21  # numbers that a core compares at a time
FEW = 128  # features up to which measuring all candidates costs less than choosing some


class Settling:
    """Decides among candidates of ``source``'s rows by direct differences, for the windows of a :class:`Plan`.

    ``block``: rows that are encoded at a time where everybody must be looked at again.
    """

    def __init__(self, source: Source, plan: Plan, k: int, *, memory: int, block: int, each: Each = map) -> None:
        self.source, self.plan, self.k, self.memory, self.block, self.each = source, plan, k, memory, block, each
        self.coarse, norms = self.pooled()
        self.reach = {i: UNIT * 1.01 * norm for i, norm in norms.items()}  # their rounding

    def run(self, kept: Sequence[Bounds]) -> list[Settled]:
        """For each scale: (indices int64 [n, k], squared distances float64 [n, k] of centred, scaled, orthonormal
        maps).

        ``kept``: for each scale lower bounds and indices [n, width], in any order.
        """
        return [self.settle_all(scale, *candidates) for scale, candidates in enumerate(kept)]

    def pooled(self) -> tuple[dict[int, Float32[torch.Tensor, "n w"]], dict[int, Values]]:
        """{scale: orthonormal maps [n, …], summed in float64, kept in float32} of the pooled scales that fit a quarter
        of the memory, and {scale: their norms [n]} of all pooled scales."""
        windows = [w for w in self.plan.windows if w != (1, 1)]
        if not windows:
            return {}, {}
        n, values, device = len(self.source), self.source.x[0].numel(), self.source.x.device
        widths = [values // (h * w) for h, w in windows]
        held = [i for i in range(len(windows)) if 4 * n * sum(widths[:i + 1]) <= self.memory // 4]
        maps = {i: torch.empty(n, widths[i], device=device) for i in held}
        norms = {i: torch.empty(n, dtype=torch.float64, device=device) for i in range(len(windows))}

        def keep(rows):
            for i, part in enumerate(self.pool(windows, rows)):
                norms[i][rows] = squares(part).sqrt()
                if i in maps:
                    maps[i][rows] = part

        list(self.each(keep, slices(n, max(1, 4 * piece(device) // values))))
        return maps, norms

    def pool(self, windows: Sequence[tuple[int, int]], rows: slice | Integers,
             places: tuple[slice, slice] = (slice(None), slice(None))) -> list[Float32[torch.Tensor, "n w"]]:
        """Orthonormal maps of some rows, one for each window; of all or some ``places``: channels and lines."""
        plan = replace(self.plan, mean=self.plan.mean[places])
        z = plan.centred(self.source.at(*places).rows(rows).double())
        return [part.float() for part in decompose(z, windows, details=False)[0]]

    def settle_all(self, scale: int, low: Float32[torch.Tensor, "n width"],
                   index: Int64[torch.Tensor, "n width"]) -> Settled:
        indices, squared, bound = self.settle(scale, torch.arange(len(low), device=low.device), low, index)
        if low.shape[1] < len(low) - 1:
            is_open = (low.amax(1) <= bound).nonzero()[:, 0]
            if len(is_open):
                indices[is_open], squared[is_open] = self.look_again(scale, is_open, bound[is_open])
        return indices, squared

    def settle(self, scale: int, rows: Integers, low: Float32[torch.Tensor, "n width"],
               index: Int64[torch.Tensor, "n width"]) -> tuple[torch.Tensor, torch.Tensor, Values]:
        """The k nearest among candidates [r, width] with their lower bounds: indices, squared distances, bound τ
        [r]."""
        k = self.k
        reach = self.reach[scale][rows, None] + self.reach[scale].amax() if scale in self.reach else None
        if self.source.x[0].numel() <= FEW:
            d = self.distances(scale, rows, index)
        else:
            near = lowest(low, k)[1]
            some = self.distances(scale, rows, index.gather(1, near))
            tau = self.interval(scale, some, reach)[1].amax(1, keepdim=True)
            d = torch.full_like(low, torch.inf, dtype=torch.float64).scatter_(1, near, some)
            r, c = ((low <= tau) & d.isinf()).nonzero(as_tuple=True)
            if len(r):
                d[r, c] = self.distances(scale, rows[r], index[r, c, None])[:, 0]

        d, order = d.sort(dim=1)
        index = index.gather(1, order)
        start, end = self.interval(scale, d, reach)
        tau = end[:, k - 1:k]
        doubtful = (end - start > 2e-4 * start) & (start <= tau)
        overlap = (start[:, 1:] <= end[:, :-1]) & (start[:, 1:] <= tau)  # equal ones too
        doubtful[:, 1:] |= overlap
        doubtful[:, :-1] |= overlap
        r, c = doubtful.nonzero(as_tuple=True)
        if len(r):
            d[r, c] = self.exact_distances(self.plan.windows[scale], rows[r], index[r, c])
            r = torch.unique_consecutive(r)
            by_index, order = index[r].sort(dim=1)
            d[r], order = d[r].gather(1, order).sort(dim=1, stable=True)  # ties go to the lower index
            index[r] = by_index.gather(1, order)
        return index[:, :k].contiguous(), d[:, :k].contiguous(), tau[:, 0]

    def interval(self, scale: int, d: Float64[torch.Tensor, "n m"],
                 reach: Float64[torch.Tensor, "n 1"] | None) -> tuple[torch.Tensor, torch.Tensor]:
        """What squared distances d of :meth:`distances` may truly be, at least and at most: both grow with d."""
        h, w = self.plan.windows[scale]
        values = self.source.x[0].numel() // (h * w)
        error = d * ((min(values, SUMMED) + 8) * UNIT) + 2.0**-120 * values
        if reach is not None:
            error += reach * (2 * d.sqrt() + reach)
        return (d - error).clamp_(min=0), d + error

    def distances(self, scale: int, i: Integers, j: Int64[torch.Tensor, "n m"]) -> Float64[torch.Tensor, "n m"]:
        """Squared distances of samples i to some others each, by direct differences of float32 maps."""
        if scale in self.coarse:
            return self.differences(Source(self.coarse[scale][:, :, None, None]), i, j, 1.0)
        if self.plan.windows[scale] == (1, 1):
            return self.differences(self.source, i, j, self.plan.unit)
        return self.pooled_again(scale, i, j)

    def pooled_again(self, scale: int, i: Integers, j: Int64[torch.Tensor, "n m"]) -> Float64[torch.Tensor, "n m"]:
        """:meth:`distances` at a pooled scale that isn't held: its maps are pooled again, each place once."""
        chosen, numbers = torch.cat([i, j.flatten()]).unique(return_inverse=True)
        i, j, window = numbers[:len(i)], numbers[len(i):].view(j.shape), self.plan.windows[scale]
        total = torch.zeros(j.shape, dtype=torch.float64, device=j.device)
        for places in self.places(window, len(chosen)):
            size = self.plan.mean[places].numel()
            rows = chosen.split(max(1, 4 * piece(j.device) // size))
            maps = torch.empty(len(chosen), size // (window[0] * window[1]), device=j.device)
            parts = zip(rows, maps.split(len(rows[0])))
            list(self.each(lambda part: part[1].copy_(self.pool([window], part[0], places)[0]), parts))
            total += self.differences(Source(maps[:, :, None, None]), i, j, 1.0)
        return total

    def places(self, window: tuple[int, int], rows: int) -> Iterator[tuple[slice, slice]]:
        """Channels and lines of the maps: as many at a time as fit a quarter of the memory, pooled, for so many
        rows."""
        channels, height, width = self.plan.mean.shape
        pooled_lines = max(1, self.memory // 4 // (4 * rows * (width // window[1])))
        lines = min(height // window[0], pooled_lines)
        for some in slices(channels, pooled_lines // lines if lines * window[0] == height else 1):
            for across in slices(height, lines * window[0]):
                yield some, across

    def differences(self, source: Source, i: Integers, j: Int64[torch.Tensor, "n m"],
                    unit: float) -> Float64[torch.Tensor, "n m"]:
        """Squared distances of rows i of a source to some others each, times ``unit``²."""
        if (x := source.plain()) is not None:
            some = (i, j) if source.chosen is None else (source.chosen[i], source.chosen[j])
            return self.in_one_pass(x, *some, unit)
        step = max(1, piece(i.device) // (j.shape[1] * source.x[0].numel()))

        def measure(some):
            i, j = some
            difference = source.rows(j.flatten()).view(*j.shape, -1)
            difference -= source.rows(i).flatten(1)[:, None]
            if unit != 1:
                difference *= unit
            return squares(difference.float().flatten(0, 1)).view(j.shape)

        return torch.cat(list(self.each(measure, zip(i.split(step), j.split(step)))))

    def in_one_pass(self, x: np.ndarray, i: Integers, j: Int64[torch.Tensor, "n m"],
                    unit: float) -> Float64[torch.Tensor, "n m"]:
        """:meth:`distances` of rows of x, float32 [N, w], times ``unit``: compiled."""
        from rrahelpers.neighbors.kernels import squared_distances  # numba, which takes a while to import

        out, step = torch.empty(j.shape, dtype=torch.float64), max(1, PIECE // (j.shape[1] * x.shape[1]))
        parts = zip(*([part.numpy() for part in whole.contiguous().split(step)] for whole in (i, j, out)))
        list(self.each(lambda part: squared_distances(x, part[0], part[1], np.float32(unit), part[2]), parts))
        return out

    def exact_distances(self, window: tuple[int, int], i: Integers, j: Integers) -> Values:
        """Squared distances of pairs from the original features, in float64 throughout."""
        step = max(1, piece(i.device) // self.source.x[0].numel())
        d = torch.empty(len(i), dtype=torch.float64, device=i.device)  # small answers kept between large temporaries
        for start in range(0, len(i), step):                           # would split the heap, and let it grow
            a, b = (side[start:start + step] for side in (i, j))
            difference = (self.source.rows(a).double() - self.source.rows(b).double()) * self.plan.unit
            difference = F.avg_pool2d(difference, window) if window != (1, 1) else difference
            d[start:start + step] = difference.square_().flatten(1).sum(1) * (window[0] * window[1])
        return d

    def look_again(self, scale: int, rows: Integers, bound: Values) -> Settled:
        """Open rows against all samples in float32: everybody whose lower bound is at most τ is measured."""
        plan = replace(self.plan, windows=self.plan.windows[:scale + 1], bfloat16=False)
        n, indices, squared = len(self.source), [], []
        step = max(1, self.memory // 8 // (8 * n + 8 * self.source.x[0].numel()))  # of bounds, and of encoded rows
        for part, tau in zip(rows.split(step), bound.split(step)):
            own = Block(Source(self.source.rows(part)), plan, self.each)
            low = torch.empty(len(part), n, device=rows.device)
            for start in range(0, n, self.block):
                other = Block(self.source.part(start, start + self.block), plan, self.each)
                *_, t = lower_bounds(own, other, slice(len(own)), slice(len(other)))
                low[:, start:start + len(other)] = t
            low[torch.arange(len(part), device=rows.device), part] = torch.inf
            for some in torch.arange(len(part), device=rows.device).split(256):
                width = min(n - 1, max(self.k, int((low[some] <= tau[some, None]).sum(1).max())))
                i, d, _ = self.settle(scale, part[some], *lowest(low[some], width))
                indices.append(i)
                squared.append(d)
        return torch.cat(indices), torch.cat(squared)
