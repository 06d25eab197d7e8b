"""Exact nearest neighbours at nested pooling scales in one pass: the mathematics, and the encoding of feature rows.

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
bfloat16), and of adding up. By 2ab ≤ ρa² + b²/ρ their sum is at most e_i + e_j with e = Σ ε_b c_b + δ²/ρ + ρc + δ², for
any ρ > 0 (the same for all rows). So

    L_ij = (c_i - e_i) + (c_j - e_j) + T_ij

is a lower bound of the squared distance, as cheap as D itself: T starts as the sum of the rows' parts, and grows by
their differences from scale to scale. Each row keeps its ``width`` smallest lower bounds.

**Settling.** The first k candidates are measured by direct differences (float32, summed in float64); the largest, τ,
bounds the k-th distance from above, so every candidate with a lower bound up to τ is measured too. Where the intervals
of two contenders overlap, both are measured in float64 from the original features. A row whose last candidate
has a lower bound up to τ could miss somebody outside: it is *open*, and looked at again in float32 against all
samples. Only sums in float64 (relative error about 1e-15) decide the final order.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from rrahelpers.neighbors.cores import piece
from rrahelpers.neighbors.rows import SUMMED, Source, squares
from rrahelpers.neighbors.selection import STEP

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

    from rrahelpers.base.shapes import Each, MapTensor

UNIT = 2.0**-24  # of float32: the relative error of one rounding
PANEL = {"cpu": 1024, "cuda": 4096}  # coordinates in one matrix product; the error bound grows with it
WIDE = 1024  # coordinates from which a band is worth bfloat16


@dataclass
class Plan:
    """What every block needs to know: windows coarsest first, centring, scaling, precision, candidates to keep, the
    rows and columns of the products that are worked on at a time, and groups of channels whose bounds are added up."""

    windows: list[tuple[int, int]]
    mean: torch.Tensor  # [C, H, W]
    unit: float  # a power of two
    bfloat16: bool
    width: int
    tile: int
    groups: int = 1

    def centred(self, rows: MapTensor, out: torch.Tensor | None = None) -> MapTensor:
        z = torch.sub(rows, self.mean.to(rows.dtype), out=out)
        return z if self.unit == 1 else z.mul_(self.unit)

    def transform_error(self) -> float:
        """Rounding of the transform relative to a row's norm: 5 (R + 4) u for each step that merges R values."""
        areas = [h * w for h, w in [*self.windows, (1, 1)]]
        return UNIT * (4 + sum(5 * (a // b + 4) for a, b in zip(areas, areas[1:]) if a > b))


class Block:
    """Consecutive rows, encoded: the bands, and for each scale the squared norms c and error bounds e.

    ``bands`` and ``keys`` (c - e, and how it grows from scale to scale) are filled up to a multiple of ``STEP`` rows
    by some that lie infinitely far away.
    ``each``: a ``map`` over the rows' parts (:func:`rrahelpers.neighbors.cores.on_cores`).
    """

    def __init__(self, source: Source, plan: Plan, each: Each = map) -> None:
        n, values, device = len(source), source.x[0].numel(), source.x.device
        sizes = [values // (h * w) for h, w in plan.windows]
        widths = [fine - coarse for coarse, fine in zip([0, *sizes], sizes)]
        low = [plan.bfloat16 and width >= WIDE for width in widths]
        filled = -(-n // STEP) * STEP
        self.bands = [torch.empty(filled, width, dtype=torch.bfloat16 if b else torch.float32, device=device)
                      for width, b in zip(widths, low)]
        for band in self.bands:
            band[n:] = 0
        in_place = source.single() and plan.windows == [(1, 1)] and not low[0]

        def encode(start):
            rows = source.rows(slice(start, start + step))
            z = plan.centred(rows, self.bands[0][start:start + len(rows)].view_as(rows) if in_place else None).float()
            norms, rounding = [], []
            for out, band, b in zip(self.bands, decompose(z, plan.windows)[1], low):
                kept = out[start:start + len(z)].copy_(band).float()
                norms.append(squares(kept))
                if b:
                    rounding.append(squares(band.sub_(kept)))
            return torch.stack(norms + rounding)

        step = max(1, 4 * piece(device) // values)
        self.c, self.e, keys = self.linear(plan, widths, low, torch.cat(list(each(encode, range(0, n, step))), 1))
        self.keys = F.pad(keys.float(), (0, filled - n))
        self.keys[0, n:] = torch.inf

    def __len__(self) -> int:
        return self.c.shape[1]

    def linear(self, plan: Plan, widths: list[int], low: list[bool],
               squared: Float64[torch.Tensor, "sums n"]) -> Iterator[Float64[torch.Tensor, "scales n"]]:
        """c, e, and how c - e grows from scale to scale: sums of the bands' squared norms and squared roundings.

        Where there are roundings r beside the transform's error t, (r + t)² <= 1.02 r² + 101 t².
        """
        panel, transform = PANEL.get(squared.device.type, PANEL["cuda"]), 1.01 * plan.transform_error()
        tiny = 2.0**-100 * widths[-1]  # what denormal numbers flushed to zero can hide
        products = [2 * (min(width, panel) + 1) * UNIT + (2**-8 * 1.01 if returns_bfloat16(band) else 0)
                    for width, band in zip(widths, self.bands)]
        c, e = [], []
        for scale in range(len(widths)):
            rounded = any(low[:scale + 1])
            rho = 2.0**-10 if rounded else transform  # one for all blocks; near δ / ‖x‖
            delta = transform**2 * (1 + 1 / rho) * (101 if rounded else 1)
            sums = 7 + plan.groups + 4 * scale + sum(-(-width // panel) for width in widths[:scale + 1])
            adding = rho + sums * 2 * UNIT + (min(SUMMED, sum(widths)) + 4) * UNIT
            so_far = [float(band <= scale) for band in range(len(widths))]
            c.append([*so_far, *[0.0] * sum(low)])
            e.append([delta + (adding + product) * counts for product, counts in zip(products, so_far)]
                     + [1.02 * (1 + 1 / rho) * counts for counts, b in zip(so_far, low) if b])
        grown = [[p - q - (p0 - q0) for p, q, p0, q0 in zip(*rows)]
                 for rows in zip(c, e, [[0.0] * len(squared), *c], [[0.0] * len(squared), *e])]
        shift = [[0.0]] * len(c) + [[tiny]] * len(c) + [[-tiny]] + [[0.0]] * (len(c) - 1)
        both = torch.tensor([[*row, *last] for row, last in zip(c + e + grown, shift)], dtype=torch.float64)
        both = both.to(squared.device)
        return iter(torch.addmm(both[:, -1:], both[:, :-1], squared).split(len(c)))


def returns_bfloat16(band: torch.Tensor) -> bool:
    return band.dtype == torch.bfloat16 and band.device.type != "cuda"


def decompose(z: MapTensor, windows: Sequence[tuple[int, int]], details: bool = True,
              ) -> tuple[list[Float[torch.Tensor, "n w"]], list[Float[torch.Tensor, "n w"]]]:
    """z [m, C, H, W] to (maps, bands), coarsest first: orthonormal maps [m, …] of each window, and the bands
    between."""
    maps: list[torch.Tensor] = []
    bands, size = [], (1, 1)
    for window in reversed(windows):
        h, w = window[0] // size[0], window[1] // size[1]
        if h * w > 1:
            # [m, R, C, H / h, W / w]: one operation, however many values are merged
            pieces = z.unflatten(3, (-1, w)).unflatten(2, (-1, h)).permute(0, 3, 5, 1, 2, 4).flatten(1, 2)
            coarse = pieces.sum(1).div_(math.sqrt(h * w))
            if details and maps:
                shift = (coarse - pieces[:, 0]).div_(math.sqrt(h * w) - 1)
                bands.append((pieces[:, 1:] - shift[:, None]).flatten(1))
            z = coarse
        maps.append(z.flatten(1))
        size = window
    return maps[::-1], [maps[-1], *bands[::-1]]


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """float32 products in float32 and bfloat16 products summed in float32, whatever the user's settings."""
    cuda = torch.backends.cuda.matmul
    cpu = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # it is made when torch is imported
    before = cuda.fp32_precision, cpu.fp32_precision, cuda.allow_bf16_reduced_precision_reduction
    cuda.fp32_precision = cpu.fp32_precision = "ieee"
    cuda.allow_bf16_reduced_precision_reduction = False
    try:
        with torch.no_grad():
            yield
    finally:
        cuda.fp32_precision, cpu.fp32_precision, cuda.allow_bf16_reduced_precision_reduction = before


def lower_bounds(a: Block, b: Block, rows: slice, columns: slice) -> Iterator[Float[torch.Tensor, "m n"]]:
    """Yield L of some of a's rows and b's, scale after scale, coarsest first: the same matrix, as it grows."""
    t = a.keys[0, rows, None] + b.keys[0, columns]
    for scale, (p, q) in enumerate(zip(a.bands, b.bands)):
        if scale:
            t.add_(a.keys[scale, rows, None]).add_(b.keys[scale, columns])
        subtract_twice_product(t, p[rows], q[columns], first=scale == 0)
        yield t


def subtract_twice_product(t: Float[torch.Tensor, "m n"], a: Float[torch.Tensor, "m w"],
                           b: Float[torch.Tensor, "n w"], first: bool = False) -> None:
    """t -= 2 a bᵀ, in place, a panel of coordinates at a time.

    A panel is summed apart and added once, whatever the order of summation; the ``first`` may begin with t itself.
    """
    panel = PANEL.get(t.device.type, PANEL["cuda"])
    for start, (p, q) in enumerate(zip(a.split(panel, 1), b.split(panel, 1))):
        if first and not start and a.dtype == torch.float32:
            t.addmm_(p, q.T, alpha=-2)
        elif a.dtype == torch.bfloat16 and a.is_cuda:
            t.sub_(torch.mm(p, q.T, out_dtype=torch.float32), alpha=2)
        else:
            t.sub_(p @ q.T, alpha=2)
