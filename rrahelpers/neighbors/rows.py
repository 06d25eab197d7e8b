"""Feature rows as the search reads them: in parts, from a tensor or a memory map, equal ones once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from rrahelpers.base.arrays import work_dtype

if TYPE_CHECKING:
    from jaxtyping import Float64

    from rrahelpers.base.shapes import Integers, MapTensor, Neighbours, Values


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
        rows = self.x[index]
        if self.factor is not None:
            return rows.double() * self.factor[index].view(-1, 1, 1, 1)
        return rows if rows.dtype in (torch.float32, torch.float64) else rows.to(work_dtype(self.x.dtype))

    def plain(self) -> bool:
        """Whether ``rows`` are just rows of a float32 ``x``."""
        return self.x.dtype == torch.float32 and self.factor is None and self.chosen is None

    def part(self, start: int, stop: int) -> Source:
        """Rows ``start`` to ``stop`` as a source of their own (cheap to send to another process)."""
        return Source(self.rows(slice(start, stop)))


@dataclass
class Scan:
    """What one pass over the features tells."""

    mean: torch.Tensor  # [C, H, W], of the centring
    unit: float  # a power of two that brings all values to about 1
    factor: Values | None  # cosine: 1 / norm
    codes: Integers  # equal for equal rows


def scan(x: MapTensor, cosine: bool = False) -> Scan:
    values = x[0].numel()
    odd = torch.randint(2**31, (values,), generator=torch.Generator().manual_seed(0)).to(x.device) | 1
    total = torch.zeros(x.shape[1:], dtype=torch.float64, device=x.device)
    lowest, highest, codes, factor = torch.inf, -torch.inf, [], []
    bad: dict[int, int] = {}  # values of each row
    step = max(1, 2**22 // (4 * values))
    for start in range(0, len(x), step):
        rows = x[start:start + step].to(work_dtype(x.dtype))
        flat = rows.flatten(1) + 0.0  # -0.0 becomes 0.0
        low, high = flat.aminmax()
        if not (low.isfinite() and high.isfinite()):
            bad |= {start + r: int(count) for r, count in enumerate((~flat.isfinite()).sum(1).tolist()) if count}
            continue
        if cosine:
            scale = flat.double().abs().amax(1, keepdim=True)
            if (zero := (scale[:, 0] == 0).nonzero()).numel():
                raise ValueError("cosine distance needs samples that aren't zero; "
                                 f"got a zero sample in row {start + int(zero[0])}")
            factor.append(1 / ((flat.double() / scale).norm(dim=1) * scale[:, 0]))
            flat = flat.double() * factor[-1][:, None]
            low, high = flat.aminmax()
        total += flat.sum(0, dtype=torch.float64).view(total.shape) / len(x)
        lowest, highest = min(lowest, low.item()), max(highest, high.item())
        bits = flat.view(torch.int32 if flat.dtype == torch.float32 else torch.int64)
        codes.append((bits * odd.to(bits.dtype)).sum(1, dtype=torch.int64))
    if bad:
        raise ValueError(f"expected finite features, got {sum(bad.values())} NaN or infinite values "
                         f"in {len(bad)} of {len(x)} rows, the first in row {min(bad)}")
    spread = highest / 2 - lowest / 2
    # beyond, the unit overflows
    exponent, least = int(np.frexp(spread)[1]), -120 if bits.dtype == torch.int32 else -1000
    if exponent > 127:
        raise ValueError(f"expected features that lie at most {2.0**128:.1e} apart (distances are float32), "
                         f"got {lowest:.1e} to {highest:.1e}")
    return Scan(total, 2.0 ** -max(least, exponent), torch.cat(factor) if cosine else None, torch.cat(codes))


def equal_rows(source: Source, codes: Integers) -> Integers | None:
    """For each row the first row equal to it, [N]; None where all rows differ. ``codes``: as of :class:`Scan`."""
    _, group = torch.unique(codes, return_inverse=True)
    number = torch.arange(len(codes), device=codes.device)
    first = torch.full_like(number[:int(group.max()) + 1], len(codes)).scatter_reduce_(0, group, number, "amin")[group]
    guess = (first != torch.arange(len(first), device=first.device)).nonzero()[:, 0]
    copies = torch.arange(len(first), device=first.device)
    for part in guess.split(max(1, 2**20 // source.x[0].numel())):
        same = (source.rows(part) == source.rows(first[part])).flatten(1).all(1)
        copies[part[same]] = first[part[same]]
    return copies if bool((copies != torch.arange(len(first), device=first.device)).any()) else None


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
