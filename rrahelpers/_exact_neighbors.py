"""The engine behind :mod:`rrahelpers.neighbors`: exact nearest neighbours at nested pooling scales in one pass.

**Nested scales.** Multiply an average-pooled map by the square root of its window's area and pooling is an orthogonal
projection. What it leaves over, the detail, is orthogonal to it, so squared distances add up:

    D_fine(i, j) = D_coarse(i, j) + ‖detail_i - detail_j‖².

For R values z of which one coarse value a = Σz / √R is made, a Householder reflection gives the R - 1 coordinates of
the detail without storing a basis: d_q = z_q - (a - z_1) / (√R - 1) for q = 2 … R. The bands (coarsest map, then the
details) have as many coordinates as the finest map alone. One running matrix T = -2 X Yᵀ grows band by band, and at
each scale D(i, j) = c_i + c_j + T_ij, where c is the squared norm so far. T is symmetric: half of it is computed.

**Candidates with a rigorous bound.** Features are centred and scaled by a power of two (no overflow), and wide bands
are rounded to bfloat16 where that is fast. Three errors keep D from the true squared distance: of the coordinates
(per row: the measured rounding plus that of the transform, δ = ‖x - x̂‖), of each dot product over w coordinates (at
most ε ‖x̂‖‖ŷ‖ with ε = 2wu in float32 whatever the order of summation, and 2⁻⁸ more where the product comes in
bfloat16), and of adding up. By 2ab ≤ ρa² + b²/ρ their sum is at most e_i + e_j with e = Σ ε_b c_b + δ²/ρ + ρc + δ², for any ρ > 0
(the same for all rows). So

    c_i - e_i + (c_j - e_j) + T_ij

is a lower bound of the squared distance, as cheap as D itself. Each row keeps its ``width`` smallest lower bounds.

**Settling.** The first k candidates are measured by direct differences (float32, summed in float64); the largest, τ,
bounds the k-th distance from above, so every candidate with a lower bound up to τ is measured too. Where the intervals
of two contenders overlap, both are measured in float64 from the original features. A row whose last candidate
has a lower bound up to τ could miss somebody outside: it is *open*, and looked at again in float32 against all
samples. Only sums in float64 (relative error about 1e-15) decide the final order.
"""

import contextlib
import math
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from rrahelpers.devices import bfloat16_units

UNIT = 2.0**-24  # of float32: the relative error of one rounding
PANEL = 4096  # coordinates in one matrix product; the error bound grows with it
WIDE = 1024  # coordinates from which a band is worth bfloat16


@dataclass
class Source:
    """Feature rows [n, C, H, W] as they came (a memory map stays one), with an optional factor for each row."""

    x: torch.Tensor
    factor: torch.Tensor | None = None  # float64 [n]: cosine's 1 / norm
    chosen: torch.Tensor | None = None  # row numbers, where only some rows count

    def __len__(self):
        return len(self.x if self.chosen is None else self.chosen)

    def rows(self, index):
        """Rows (a slice or int64 indices) in float32, or float64 where float32 would lose digits."""
        index = index if self.chosen is None else self.chosen[index]
        rows = self.x[index]
        if self.factor is not None:
            return rows.double() * self.factor[index].view(-1, 1, 1, 1)
        return rows if rows.dtype in (torch.float32, torch.float64) else rows.to(work_dtype(self.x.dtype))

    def plain(self):
        """Whether ``rows`` are just rows of a float32 ``x``."""
        return self.x.dtype == torch.float32 and self.factor is None and self.chosen is None

    def part(self, start, stop):
        """Rows ``start`` to ``stop`` as a source of their own (cheap to send to another process)."""
        return Source(self.rows(slice(start, stop)))


def work_dtype(dtype):
    return torch.float64 if dtype in (torch.float64, torch.int32, torch.int64) else torch.float32


@dataclass
class Plan:
    """What every block needs to know: windows coarsest first, centring, scaling, precision, candidates to keep."""

    windows: list
    mean: torch.Tensor  # [C, H, W]
    unit: float  # a power of two
    bfloat16: bool
    width: int

    def centred(self, rows):
        return (rows - self.mean.to(rows.dtype)).mul_(self.unit)

    def transform_error(self, coarse=None):
        """Rounding of the transform relative to a row's norm: 5 (R + 4) u for each step that merges R values."""
        areas = [h * w for h, w in [*self.windows, (1, 1)]]
        return UNIT * (4 + sum(5 * (a // b + 4) for a, b in zip(areas, areas[1:]) if a > b))


class Block:
    """Consecutive rows, encoded: the bands, and for each scale the squared norms c and error bounds e."""

    def __init__(self, source, plan, chunk_bytes=2**22):
        n, self.bands, rounding, norms, total = len(source), None, [], [], []
        rows = max(1, chunk_bytes // (4 * source.x[0].numel()))
        for start in range(0, n, rows):
            z = plan.centred(source.rows(slice(start, start + rows))).float()
            bands = decompose(z, plan.windows)[1]
            if self.bands is None:
                low = [plan.bfloat16 and band.shape[1] >= WIDE for band in bands]
                self.bands = [torch.empty(n, band.shape[1], dtype=torch.bfloat16 if b else torch.float32, device=z.device)
                              for band, b in zip(bands, low)]
            kept = [out[start:start + len(z)].copy_(band) for out, band in zip(self.bands, bands)]
            norms.append(torch.stack([squares(band.float()) for band in kept]))
            rounding.append(torch.stack([squares(band - k) if b else torch.zeros_like(norms[-1][0])
                                         for band, k, b in zip(bands, kept, low)]))
            total.append(squares(z.flatten(1)))
        norms, rounding, total = torch.cat(norms, 1), torch.cat(rounding, 1).cumsum(0), torch.cat(total)
        delta = rounding.sqrt() * 1.001 + plan.transform_error() * total.sqrt() * 1.001  # [scales, n]
        product = torch.tensor([2 * min(band.shape[1], PANEL) * UNIT + (2**-8 * 1.01 if returns_bfloat16(band) else 0)
                                for band in self.bands], dtype=torch.float64, device=norms.device)
        sums = [8 + i + sum(-(-band.shape[1] // PANEL) for band in self.bands[:i + 1]) for i in range(len(self.bands))]
        sums = torch.tensor(sums, dtype=torch.float64, device=norms.device)[:, None] * 2 * UNIT
        self.c = norms.cumsum(0)
        rounded = torch.tensor(low, device=norms.device).cumsum(0)[:, None] > 0
        rho = torch.where(rounded, 2.0**-10, plan.transform_error()).double()  # one for all blocks; near δ / ‖x‖
        tiny = 2.0**-100 * self.bands[-1].shape[1]  # what denormal numbers flushed to zero can hide
        self.e = (product[:, None] * norms).cumsum(0) + delta**2 * (1 + 1 / rho) + (rho + sums) * self.c + tiny
        self.key = (self.c - self.e).float()

    def __len__(self):
        return self.c.shape[1]


def squares(x):
    return x.double().square_().sum(1)


def returns_bfloat16(band):
    return band.dtype == torch.bfloat16 and band.device.type != "cuda"


def decompose(z, windows, details=True):
    """z [m, C, H, W] to (maps, bands), coarsest first: orthonormal maps [m, …] of each window, and the bands between."""
    maps, bands, size = [], [], (1, 1)
    for window in reversed(windows):
        h, w = window[0] // size[0], window[1] // size[1]
        pieces = [z[:, :, r::h, s::w] for r in range(h) for s in range(w)]
        if len(pieces) > 1:
            coarse = torch.stack(pieces).sum(0).div_(math.sqrt(len(pieces)))
            if details and maps:
                shift = (coarse - pieces[0]).div_(math.sqrt(len(pieces)) - 1)
                bands.append(torch.stack([piece - shift for piece in pieces[1:]], 1).flatten(1))
            z = coarse
        maps.append(z.flatten(1))
        size = window
    return maps[::-1], [maps[-1], *bands[::-1]]


@contextlib.contextmanager
def full_precision():
    """float32 products in float32 and bfloat16 products summed in float32, whatever the user's settings."""
    before, matmul = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul
    reduced = matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_float32_matmul_precision(before)
        matmul.allow_bf16_reduced_precision_reduction = reduced


def subtract_twice_product(t, a, b):
    """t -= 2 a bᵀ, in place, a panel of coordinates at a time."""
    for p, q in zip(a.split(PANEL, 1), b.split(PANEL, 1)):
        if a.dtype == torch.float32:
            t.addmm_(p, q.T, alpha=-2)
        elif a.device.type == "cuda":
            t.sub_(torch.mm(p, q.T, out_dtype=torch.float32), alpha=2)
        else:
            t.sub_(p @ q.T, alpha=2)


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
    """Exact neighbours of all rows of ``source`` at each of ``windows`` (coarsest first, each a multiple of the next)."""

    def __init__(self, source, windows, k, scan, *, memory, executor=None):
        self.source, self.k, self.memory, self.executor = source, k, memory, executor
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
        self.coarse = self.pooled()
        self.reach = {i: UNIT * 1.01 * squares(maps).sqrt() for i, maps in self.coarse.items()}  # their rounding

    def pooled(self):
        """{scale: orthonormal maps [n, …], summed in float64, kept in float32}: the scales that fit a quarter of the memory."""
        wanted = [w for w in self.plan.windows if w != (1, 1)]
        n, values = len(self.source), self.source.x[0].numel()
        while wanted and sum(4 * n * values // (h * w) for h, w in wanted) > self.memory // 4:
            wanted.pop()  # the finest
        if not wanted:
            return {}
        chunk = max(1, 2**22 // (4 * values))
        maps = {}
        for start in range(0, n, chunk):
            z = self.plan.centred(self.source.rows(slice(start, start + chunk)).double())
            for i, part in enumerate(decompose(z, wanted, details=False)[0]):
                if start == 0:
                    maps[i] = torch.empty(n, part.shape[1], device=z.device)
                maps[i][start:start + chunk] = part
        return maps

    def run(self):
        """For each scale: (indices int64 [n, k], squared distances float64 [n, k] of centred, scaled, orthonormal maps)."""
        with full_precision():
            kept = self.candidates()
            return [self.settle_all(scale, *kept[scale]) for scale in range(len(self.plan.windows))]

    def candidates(self):
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

    def encode(self, start, plan=None):
        return Block(self.source.part(start, min(start + self.block, len(self.source))), plan or self.plan)

    def settle_all(self, scale, low, index):
        indices, squared, bound = [], [], []
        for rows in torch.arange(len(low), device=low.device).split(2048):
            i, d, tau = self.settle(scale, rows, low[rows], index[rows])
            indices.append(i), squared.append(d), bound.append(tau)
        indices, squared, bound = torch.cat(indices), torch.cat(squared), torch.cat(bound)
        if low.shape[1] < len(low) - 1:
            is_open = (low[:, -1] <= bound).nonzero()[:, 0]
            if len(is_open):
                indices[is_open], squared[is_open] = self.look_again(scale, is_open, bound[is_open])
        return indices, squared

    def settle(self, scale, rows, low, index):
        """The k nearest among candidates [r, width] (ascending lower bounds): indices, squared distances, bound τ [r]."""
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

    def measure(self, scale, rows, index, chosen, d, error, exactly=False):
        """Fill d and error [r, width] where ``chosen``; return the k-th smallest upper bound of each row [r, 1]."""
        r, c = chosen.nonzero(as_tuple=True)
        if len(r):
            n = len(self.source)
            i, j = rows[r], index[r, c]
            pairs, back = torch.unique(torch.minimum(i, j) * n + torch.maximum(i, j), return_inverse=True)
            values, errors = self.distances(scale, pairs // n, pairs % n, exactly)
            d[r, c], error[r, c] = values[back], errors[back]
        return (d + error).kthvalue(self.k, dim=1, keepdim=True).values

    def distances(self, scale, i, j, exactly):
        """Squared distances float64 of pairs by direct differences, and what they may be wrong by (0: float64)."""
        window, fine = self.plan.windows[scale], scale not in self.coarse
        exactly = exactly or (fine and window != (1, 1))
        size = self.source.x[0].numel() if fine else self.coarse[scale].shape[1]
        if exactly:
            return self.exact_distances(window, i, j), torch.zeros(len(i), dtype=torch.float64, device=i.device)
        maps = self.source.x.flatten(1) if fine else self.coarse[scale]
        plain = not fine or self.source.plain()
        pairs, block = max(1, 2**18 // size), math.gcd(size, 128)
        p, q = torch.empty(2, pairs, size, device=i.device)  # used again and again: fresh memory costs more than the sums
        d = torch.empty(len(i), dtype=torch.float64, device=i.device)
        for start in range(0, len(i), pairs):
            a, b = i[start:start + pairs], j[start:start + pairs]
            if plain:
                difference = torch.index_select(maps, 0, a, out=p[:len(a)]).sub_(torch.index_select(maps, 0, b, out=q[:len(a)]))
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

    def exact_distances(self, window, i, j):
        """Squared distances of pairs from the original features, in float64 throughout."""
        d = []
        for a, b in zip(*(index.split(max(1, 2**18 // self.source.x[0].numel())) for index in (i, j))):
            difference = (self.source.rows(a).double() - self.source.rows(b).double()) * self.plan.unit
            difference = F.avg_pool2d(difference, window) if window != (1, 1) else difference
            d.append(squares(difference.flatten(1)) * (window[0] * window[1]))
        return torch.cat(d)

    def look_again(self, scale, rows, bound):
        """Open rows against all samples in float32: everybody whose lower bound is at most τ is measured."""
        plan = replace(self.plan, windows=self.plan.windows[:scale + 1], bfloat16=False)
        n, indices, squared = len(self.source), [], []
        step = max(1, self.memory // 8 // (8 * n))
        for part, tau in zip(rows.split(step), bound.split(step)):
            own = Block(Source(self.source.rows(part)), plan)
            low = torch.empty(len(part), n, dtype=torch.float64, device=rows.device)
            for start in range(0, n, self.block):
                other = self.encode(start, plan)
                t = torch.zeros(len(part), len(other), device=rows.device)
                for p, q in zip(own.bands, other.bands):
                    subtract_twice_product(t, p, q)
                low[:, start:start + len(other)] = (t + other.key[scale]).double() + (own.c - own.e)[scale, :, None]
            low[torch.arange(len(part), device=rows.device), part] = torch.inf
            for some in torch.arange(len(part), device=rows.device).split(256):
                width = max(self.k, int((low[some] <= tau[some, None]).sum(1).max()))
                values, index = low[some].topk(width, largest=False, sorted=True)
                i, d, _ = self.settle(scale, part[some], values, index)
                indices.append(i), squared.append(d)
        return torch.cat(indices), torch.cat(squared)
