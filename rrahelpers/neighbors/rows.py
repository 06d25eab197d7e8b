"""Feature rows as the search reads them: in parts, from a tensor or a memory map, equal ones once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from rrahelpers.base.arrays import work_dtype
from rrahelpers.neighbors.cores import piece

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

    from rrahelpers.base.shapes import Integers, MapTensor, Neighbours, Values

SUMMED = 128  # squares of float32 added in float32


@dataclass
class Source:
    """Feature rows [n, C, H, W] as they came (a memory map stays one), with an optional factor for each row."""

    x: MapTensor
    factor: Values | None = None  # cosine's 1 / norm
    chosen: Integers | None = None  # row numbers, where only some rows count

    def __len__(self) -> int:
        return len(self.x if self.chosen is None else self.chosen)

    def rows(self, index: slice | Integers) -> MapTensor:
        """Rows (a slice or int64 indices) in float32, or float64 where float32 would lose digits."""
        index = index if self.chosen is None else self.chosen[index]
        rows = self.x[index] if isinstance(index, slice) else self.x.index_select(0, index)
        if self.factor is not None:
            return rows.double() * self.factor[index].view(-1, 1, 1, 1)
        return rows if rows.dtype in (torch.float32, torch.float64) else rows.to(work_dtype(self.x.dtype))

    def single(self) -> bool:
        """Whether ``rows`` come in float32."""
        return work_dtype(self.x.dtype) == torch.float32 and self.factor is None

    def plain(self) -> np.ndarray | None:
        """All rows of ``x`` as float32 [N, w], if they lie so in the processor's memory."""
        x = self.x
        if x.device.type == "cpu" and x.dtype == torch.float32 and self.factor is None and x.is_contiguous():
            return x.detach().flatten(1).numpy()
        return None

    def part(self, start: int, stop: int) -> Source:
        """Rows ``start`` to ``stop`` as a source of their own (cheap to send to another process)."""
        return Source(self.rows(slice(start, stop)))

    def at(self, channels: slice, lines: slice = slice(None)) -> Source:
        """All rows, with some of the channels and of the maps' lines."""
        return replace(self, x=self.x[:, channels, lines])


@dataclass
class Scan:
    """What one pass over the features tells."""

    mean: torch.Tensor  # [C, H, W], near the mean: what the centring takes away
    unit: float  # a power of two that brings values to about 1; 1 where they are far from an overflow
    factor: Values | None  # cosine: 1 / norm
    norms: Values  # equal for equal rows


def scan(x: MapTensor, cosine: bool = False) -> Scan:
    """Raises ``ValueError`` for values that aren't finite or lie too far apart, and for zero rows where ``cosine``."""
    values, step = x[0].numel(), max(1, 4 * piece(x.device) // x[0].numel())
    dtype = torch.float64 if cosine else work_dtype(x.dtype)
    mean = torch.zeros(values, dtype=dtype, device=x.device)
    share = torch.full((min(step, len(x)),), 1 / len(x), dtype=dtype, device=x.device)
    extremes, norms, factors = [], [], []
    for start in range(0, len(x), step):
        rows = x[start:start + step].to(work_dtype(x.dtype)).flatten(1)
        extremes.append(torch.stack(rows.aminmax()))
        if cosine:
            rows = rows.double()
            largest = rows.abs().amax(1)
            factors.append(1 / ((rows / largest[:, None]).norm(dim=1) * largest))
            rows = (rows * factors[-1][:, None]).masked_fill(largest[:, None] == 0, torch.inf)
        mean.addmv_(rows.T, share[:len(rows)])
        norms.append(squares(rows))
    lowest, highest, finite = torch.stack([*torch.stack(extremes).double().aminmax(),
                                           mean.isfinite().all().double()]).tolist()
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        _refuse_infinite(x, step)
    if cosine and not finite:
        zero = next(i for i, rows in enumerate(x.split(1)) if not rows.any())
        raise ValueError(f"cosine distance needs samples that aren't zero; got a zero sample in row {zero}")
    exponent = int(np.frexp(1.0 if cosine else highest / 2 - lowest / 2)[1])
    if exponent > 127:
        raise ValueError(f"expected features that lie at most {2.0**128:.1e} apart (distances are float32), "
                         f"got {lowest:.1e} to {highest:.1e}")
    least = -120 if dtype == torch.float32 else -1000  # beyond, the unit overflows
    return Scan(mean.view(x.shape[1:]), 1.0 if abs(exponent) <= 20 else 2.0 ** -max(least, exponent),
                torch.cat(factors) if cosine else None, torch.cat(norms))


def squares(x: Float[torch.Tensor, "n w"]) -> Values:
    """Squared norms of rows [n, w]: those of ``SUMMED`` coordinates at most in x's precision, added in float64."""
    pieces = x.unflatten(1, (-1, math.gcd(x.shape[1], SUMMED)))
    return torch.linalg.vector_norm(pieces, dim=2).double().square_().sum(1)


def _refuse_infinite(x, step):
    bad = torch.cat([(~part.flatten(1).isfinite()).sum(1) for part in x.split(step)])
    raise ValueError(f"expected finite features, got {int(bad.sum())} NaN or infinite values in {int((bad > 0).sum())} "
                     f"of {len(x)} rows, the first in row {int(bad.nonzero()[0])}")


def equal_rows(source: Source, norms: Values) -> Integers | None:
    """For each row the first row equal to it, [N]; None where all rows differ. ``norms``: as of :class:`Scan`."""
    ascending, order = norms.sort()
    shared = F.pad(ascending[1:] == ascending[:-1], (1, 1))
    suspects = order[shared[1:] | shared[:-1]].sort()[0]
    if not len(suspects):
        return None
    odd = torch.randint(2**31, (source.x[0].numel(),), generator=torch.Generator().manual_seed(0)).to(norms.device) | 1
    codes = []
    for part in suspects.split(max(1, piece(norms.device) // len(odd))):
        rows = source.rows(part).flatten(1) + 0.0  # -0.0 becomes 0.0
        bits = rows.view(torch.int32 if rows.dtype == torch.float32 else torch.int64)
        codes.append((bits * odd.to(bits.dtype)).sum(1, dtype=torch.int64))
    _, group = torch.unique(torch.cat(codes), return_inverse=True)
    first = suspects.new_full((len(suspects),), len(norms)).scatter_reduce_(0, group, suspects, "amin")[group]
    copies = torch.arange(len(norms), device=norms.device)
    for part, other in zip(*(index[first != suspects].split(max(1, piece(norms.device) // len(odd)))
                             for index in (suspects, first))):
        same = (source.rows(part) == source.rows(other)).flatten(1).all(1)
        copies[part[same]] = other[same]
    return copies if bool((copies != torch.arange(len(copies), device=norms.device)).any()) else None


def expand(indices: Neighbours, squared: Float64[torch.Tensor, "n k"], group: Integers,
           k: int) -> tuple[Neighbours, Float64[torch.Tensor, "n k"]]:
    """From neighbours among distinct rows [M, <= k] to those of all rows [N, k]; ``group`` [N] says who is a copy of
    whom."""
    order, counts = torch.argsort(group, stable=True), torch.bincount(group)
    place = torch.arange(min(int(counts.max()), k + 1), device=group.device)
    # the lowest of each group
    copies = order[(counts.cumsum(0) - counts)[:, None] + place.clamp(max=counts[:, None] - 1)]
    copies = copies.masked_fill(place >= counts[:, None], -1)
    own = torch.arange(len(counts), device=group.device)[:, None]
    nearest = torch.empty(len(counts), k + 1, dtype=torch.int64, device=group.device)
    distances = torch.empty(len(counts), k + 1, dtype=torch.float64, device=group.device)
    for part in own[:, 0].split(max(1, 2**22 // ((k + 1) * len(place)))):
        d = torch.cat([squared.new_zeros(len(part), 1), squared[part]], 1)
        everyone = copies[torch.cat([own[part], indices[part]], 1)].flatten(1)
        d = d.repeat_interleave(len(place), 1).masked_fill(everyone < 0, torch.inf)
        by_index = everyone.argsort(1)
        best = by_index.gather(1, d.gather(1, by_index).argsort(dim=1, stable=True))[:, :k + 1]
        nearest[part], distances[part] = everyone.gather(1, best), d.gather(1, best)
    keep = nearest[group] != torch.arange(len(group), device=group.device)[:, None]
    keep[keep.all(1), k] = False
    return nearest[group][keep].view(-1, k), distances[group][keep].view(-1, k)
