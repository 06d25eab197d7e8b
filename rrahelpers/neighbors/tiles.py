"""The candidates of two blocks of rows: their products tile by tile, of which each row keeps the smallest bounds."""

from __future__ import annotations

import contextlib
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

import torch

from rrahelpers.neighbors.bands import Block, Plan, lower_bounds
from rrahelpers.neighbors.cores import slices
from rrahelpers.neighbors.selection import lowest, lowest_of_columns, lowest_of_rows

if TYPE_CHECKING:
    from jaxtyping import Float32

    from rrahelpers.base.shapes import Bounds, Each

SHORT = 256  # candidates of a row up to which taking them one by one is the fastest
Sums: TypeAlias = dict[tuple[int, int], list[torch.Tensor]]  # of lower bounds: {a tile's first row and column: scales}


class Kept:
    """The ``width`` smallest lower bounds of n rows so far, float32 [n, width], and whose they are, int64 [n,
    width]."""

    def __init__(self, n: int, width: int, device: torch.device) -> None:
        self.low = torch.full((n, width), torch.finfo(torch.float32).max, device=device)
        self.index = torch.full((n, width), -1, device=device)
        self.begun: set[int] = set()

    def take(self, t: Float32[torch.Tensor, "m n"], rows: slice, columns: slice, other: Kept | None) -> None:
        """The smallest bounds of ``t``, of these rows and columns (filled up to multiples of ``STEP``); ``other`` keeps
        those of the columns, unless it is None."""
        width = self.low.shape[1]
        if t.device.type != "cpu" or width > SHORT:
            self.add(rows.start, *lowest_of_rows(t, width), columns.start)
            if other:
                other.add(columns.start, *lowest_of_columns(t, width), rows.start)
            return
        if other is None and rows.start not in self.begun and width <= t.shape[1]:
            low, index = lowest_of_rows(t, width)
            low, order = low.sort(dim=1)
            self.add(rows.start, low, index.gather(1, order), columns.start)
            return
        from rrahelpers.neighbors.kernels import keep_lowest  # numba, which takes a while to import

        own, others = ((kept.low.numpy()[part], kept.index.numpy()[part])
                       for kept, part in ((self, rows), (other or self, columns if other else slice(0))))
        keep_lowest(t.numpy(), *own, columns.start, *others, rows.start)
        self.begun.add(rows.start)
        if other:
            other.begun.add(columns.start)

    def add(self, first: int, low: torch.Tensor, index: torch.Tensor, shift: int = 0) -> None:
        """More bounds, of the rows from ``first`` on (those beyond the last are left out), and whose they are, less
        ``shift``."""
        low, index = (part[:len(self.low) - first] for part in (low, index + shift))
        rows, width = slice(first, first + len(low)), self.low.shape[1]
        if first in self.begun or low.shape[1] < width:
            low, places = lowest(torch.cat([self.low[rows], low], 1), width)
            index = torch.cat([self.index[rows], index], 1).gather(1, places)
        self.low[rows], self.index[rows] = low, index
        self.begun.add(first)


def pair_candidates(a: Block, b: Block, plan: Plan, each: Each = map, sums: Sums | None = None) -> list[list[Bounds]]:
    """For each scale, for a's rows and for b's: (lower bounds, columns), the ``plan.width`` best of each row.

    Where a is b, half of the products are computed, the sample itself is left out, and the second part is missing.
    ``each``: a ``map`` over the tiles of the products (:func:`rrahelpers.neighbors.cores.on_cores`).
    ``sums``: of the same rows' other channels (:func:`add_bounds`), used up.
    """
    sides = [a] if a is b else [a, b]
    kept = [[Kept(len(block), plan.width, block.keys.device) for block in sides] for _ in plan.windows]
    of_a, of_b = (slices(block.keys.shape[1], plan.tile) for block in (a, b))
    locks = [{part.start: Lock() for part in parts} for parts in (of_a, of_b)][:len(sides)]  # one writes at a time

    def work(tile):
        rows, columns = tile
        diagonal = a is b and rows == columns
        others = sums.pop((rows.start, columns.start)) if sums else [None] * len(kept)
        for t, of_scale, other in zip(lower_bounds(a, b, rows, columns), kept, others):
            t = t if other is None else other.add_(t)
            if diagonal:
                t.fill_diagonal_(torch.inf)
            with locks[-1][columns.start], contextlib.nullcontext() if diagonal else locks[0][rows.start]:
                of_scale[0].take(t, rows, columns, None if diagonal else of_scale[-1])

    def turn(tile):
        """The diagonal, behind which the others are quick to look through; then tiles that have no side in common."""
        (rows, columns), count = tile, max(len(of_a), len(of_b))
        return a is b and rows != columns, (rows.start + columns.start) // plan.tile % count

    list(each(work, sorted(tiles(of_a, of_b, a is b), key=turn)))
    return [[(side.low, side.index) for side in of_scale] for of_scale in kept]


def tiles(of_a: list[slice], of_b: list[slice], same: bool) -> list[tuple[slice, slice]]:
    """Rows and columns of the products; where both are of the ``same`` block those on and below the diagonal."""
    return [(rows, columns) for rows in of_a for columns in of_b if not same or columns.start <= rows.start]


def add_bounds(block: Block, plan: Plan, sums: Sums, each: Each = map) -> None:
    """Add the lower bounds among a block's rows to ``sums``: of some channels after those of others."""
    def work(tile):
        place, found = tuple(side.start for side in tile), lower_bounds(block, block, *tile)
        sums[place] = ([before.add_(t) for before, t in zip(sums[place], found)] if place in sums
                       else [t.clone() for t in found])

    parts = slices(block.keys.shape[1], plan.tile)
    list(each(work, tiles(parts, parts, True)))
