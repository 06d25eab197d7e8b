"""What PyTorch's operations do in several passes over the memory, compiled to be one: by numba, on a processor.

numba comes with pynndescent. What it compiles is kept beside this file, or in the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from rrahelpers.neighbors.rows import SUMMED
from rrahelpers.neighbors.selection import STEP

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int64

GROUP = STEP  # columns that are compared at once: of tiles a whole number of them


def compiled(function: Callable) -> Callable:
    """``function`` compiled at its first call, which runs without Python's lock; sums are taken in any order, and no
    value is NaN."""
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz", "nnan"}}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in
        return njit(**options)(function)


@compiled
def squared_distances(x: Float32[np.ndarray, "N w"], i: np.ndarray, j: Int64[np.ndarray, "n m"], unit: np.float32,
                      out: Float64[np.ndarray, "n m"]) -> None:
    """Into ``out``: squared distances of the rows ``i`` (int64 [n]) of x to some others each, times ``unit``².

    Squares of ``SUMMED`` differences at most are added in float32, those sums in float64.
    """
    for row in range(len(i)):
        for place in range(j.shape[1]):
            total = 0.0
            for start in range(0, x.shape[1], SUMMED):
                a = x[i[row], start:start + SUMMED]
                b = x[j[row, place], start:start + SUMMED]
                part = np.float32(0)
                for c in range(len(a)):
                    difference = (a[c] - b[c]) * unit
                    part += difference * difference
                total += part
            out[row, place] = total


@compiled
def keep_lowest(t: Float32[np.ndarray, "m n"], low: Float32[np.ndarray, "r width"], index: Int64[np.ndarray, "r width"],
                first_column: int, column_low: Float32[np.ndarray, "c width"],
                column_index: Int64[np.ndarray, "c width"], first_row: int) -> None:
    """Take what is small in ``t``, n a multiple of ``GROUP``, among the smallest so far.

    ``low``, ascending, and ``index``: of the first r rows of ``t`` the smallest, and in which column (counted from
    ``first_column``). ``column_low``, ``column_index``: likewise of the first c columns, if any. They are changed in
    place, and are finite where nothing was found yet. Groups of columns in which nothing is small are passed over.
    """
    last = low.shape[1] - 1
    bound = np.full(t.shape[1], -np.inf, dtype=np.float32)
    for c in range(len(column_low)):
        bound[c] = column_low[c, last]
    for r in range(len(low)):
        worst = low[r, last]
        for group in range(t.shape[1] // GROUP):
            start = group * GROUP
            gap = np.float32(np.inf)
            for c in range(GROUP):
                larger = max(bound[start + c], worst)
                gap = min(gap, t[r, start + c] - larger)
            if gap < 0:
                for c in range(start, start + GROUP):
                    value = t[r, c]
                    if value < worst:
                        insert(low, index, r, value, first_column + c)
                        worst = low[r, last]
                    if value < bound[c]:
                        insert(column_low, column_index, c, value, first_row + r)
                        bound[c] = column_low[c, last]


@compiled
def insert(low: Float32[np.ndarray, "r width"], index: Int64[np.ndarray, "r width"], row: int, value: np.float32,
           place: int) -> None:
    """Put ``value`` into its place in an ascending row, whose last one falls out."""
    at = low.shape[1] - 1
    while at > 0 and low[row, at - 1] > value:
        low[row, at], index[row, at] = low[row, at - 1], index[row, at - 1]
        at -= 1
    low[row, at], index[row, at] = value, place
