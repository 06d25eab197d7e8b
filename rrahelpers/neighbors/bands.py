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

    c_i - e_i + (c_j - e_j) + T_ij

is a lower bound of the squared distance, as cheap as D itself. Each row keeps its ``width`` smallest lower bounds.

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

from rrahelpers.neighbors.rows import Source

if TYPE_CHECKING:
    from jaxtyping import Float

    from rrahelpers.base.shapes import Each, MapTensor, Values

UNIT = 2.0**-24  # of float32: the relative error of one rounding
PANEL = 4096  # coordinates in one matrix product; the error bound grows with it
SUMMED = 128  # squares of float32 added in float32
WIDE = 1024  # coordinates from which a band is worth bfloat16


@dataclass
class Plan:
    """What every block needs to know: windows coarsest first, centring, scaling, precision, candidates to keep."""

    windows: list[tuple[int, int]]
    mean: torch.Tensor  # [C, H, W]
    unit: float  # a power of two
    bfloat16: bool
    width: int

    def centred(self, rows: MapTensor) -> MapTensor:
        return (rows - self.mean.to(rows.dtype)).mul_(self.unit)

    def transform_error(self) -> float:
        """Rounding of the transform relative to a row's norm: 5 (R + 4) u for each step that merges R values."""
        areas = [h * w for h, w in [*self.windows, (1, 1)]]
        return UNIT * (4 + sum(5 * (a // b + 4) for a, b in zip(areas, areas[1:]) if a > b))


class Block:
    """Consecutive rows, encoded: the bands, and for each scale the squared norms c and error bounds e.

    ``each``: a ``map`` over the rows' parts (:func:`rrahelpers.neighbors.cores.on_cores`).
    """

    def __init__(self, source: Source, plan: Plan, each: Each = map, chunk_bytes: int = 2**22) -> None:
        n, values, device = len(source), source.x[0].numel(), source.x.device
        sizes = [values // (h * w) for h, w in plan.windows]
        widths = [fine - coarse for coarse, fine in zip([0, *sizes], sizes)]
        low = [plan.bfloat16 and width >= WIDE for width in widths]
        self.bands = [torch.empty(n, width, dtype=torch.bfloat16 if b else torch.float32, device=device)
                      for width, b in zip(widths, low)]

        def encode(start):
            z = plan.centred(source.rows(slice(start, start + rows))).float()
            norms, rounding = [], []
            for out, band, b in zip(self.bands, decompose(z, plan.windows)[1], low):
                kept = out[start:start + len(z)].copy_(band).float()
                norms.append(squares(kept))
                rounding.append(squares(band.sub_(kept)) if b else torch.zeros_like(norms[0]))
            return torch.stack(norms), torch.stack(rounding), squares(z.flatten(1))

        rows = max(1, chunk_bytes // (4 * values))
        norms, rounding, total = (torch.cat(parts, -1) for parts in zip(*each(encode, range(0, n, rows))))
        delta = rounding.cumsum(0).sqrt() * 1.001 + plan.transform_error() * total.sqrt() * 1.001  # [scales, n]
        product = torch.tensor([2 * min(width, PANEL) * UNIT + (2**-8 * 1.01 if returns_bfloat16(band) else 0)
                                for width, band in zip(widths, self.bands)], dtype=torch.float64, device=device)
        sums = [8 + i + sum(-(-width // PANEL) for width in widths[:i + 1]) for i in range(len(widths))]
        sums = torch.tensor(sums, dtype=torch.float64, device=device)[:, None] * 2 * UNIT + (SUMMED + 4) * UNIT
        self.c = norms.cumsum(0)
        rounded = torch.tensor(low, device=device).cumsum(0)[:, None] > 0
        rho = torch.where(rounded, 2.0**-10, plan.transform_error()).double()  # one for all blocks; near δ / ‖x‖
        tiny = 2.0**-100 * widths[-1]  # what denormal numbers flushed to zero can hide
        self.e = (product[:, None] * norms).cumsum(0) + delta**2 * (1 + 1 / rho) + (rho + sums) * self.c + tiny
        self.key = (self.c - self.e).float()

    def __len__(self) -> int:
        return self.c.shape[1]


def squares(x: Float[torch.Tensor, "n w"]) -> Values:
    """Squared norms of rows [n, w]: those of ``SUMMED`` coordinates at most in x's precision, added in float64."""
    pieces = x.unflatten(1, (-1, math.gcd(x.shape[1], SUMMED)))
    return torch.linalg.vector_norm(pieces, dim=2).double().square_().sum(1)


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


def subtract_twice_product(t: Float[torch.Tensor, "m n"], a: Float[torch.Tensor, "m w"],
                           b: Float[torch.Tensor, "n w"]) -> None:
    """t -= 2 a bᵀ, in place, a panel of coordinates at a time."""
    for p, q in zip(a.split(PANEL, 1), b.split(PANEL, 1)):
        if a.dtype == torch.float32:
            t.addmm_(p, q.T, alpha=-2)
        elif a.device.type == "cuda":
            t.sub_(torch.mm(p, q.T, out_dtype=torch.float32), alpha=2)
        else:
            t.sub_(p @ q.T, alpha=2)
