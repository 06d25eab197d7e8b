"""Features, targets and labels as the measures want them, exact distances a block of rows at a time, tables of
pairs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

    from rrahelpers.base.shapes import Array, Features, Integers, Labels, Numbers, Targets

Item = TypeVar("Item")
BLOCK = 2**22  # distances held at a time: 32 MiB
EXACT = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)  # more digits than float32


def is_whole(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number from ``least`` on; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def plain(x: object) -> object:
    """A numpy array as torch can take it: in this machine's byte order, no axis backwards, objects' numbers taken out.

    A copy only where one is needed; what is no array stays as it is. Raises ``ValueError`` for ragged objects.
    """
    if not isinstance(x, np.ndarray):
        return x
    if x.dtype == object:
        x = np.array(x.tolist())
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    return x.copy() if any(stride < 0 for stride in x.strides) else x


def as_tensor(x: Array) -> Numbers:
    """``x``, a tensor or a numpy array (a memory map stays one), as a tensor without gradient; it is only to be read.

    Raises ``TypeError`` for anything else, for complex numbers and booleans, and for numbers that are masked, sparse or
    on the device "meta".
    """
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise TypeError("expected real numbers, got an array with masked ones; fill them, or leave their samples out")
    if isinstance(x, np.ndarray):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a read-only array: nobody writes to it
            try:
                x = torch.from_numpy(np.asarray(plain(x)))
            except (TypeError, ValueError) as error:
                raise TypeError(f"expected real numbers, got an array of {x.dtype}") from error
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"expected a tensor or a numpy array, got {type(x).__name__}")
    if x.is_meta or x.layout != torch.strided:
        raise TypeError(f"expected numbers at hand, got a tensor {'on meta' if x.is_meta else f'of {x.layout}'}")
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"expected real numbers, got {x.dtype}")
    return x.detach()


def as_values(y: Targets, expected: str) -> Numbers:
    """``y``, a list, array, tensor or pandas Series, as a tensor; ``TypeError`` that begins with ``expected`` for
    others."""
    try:
        y = y.to_numpy() if hasattr(y, "to_numpy") else y
        return torch.as_tensor(np.array(plain(y)) if isinstance(y, np.ndarray) else y).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{expected}, got {y!r:.60}") from error


def work_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32, or float64 where float32 would lose digits."""
    return torch.float64 if dtype in EXACT else torch.float32


def as_features(x: Features) -> Float[torch.Tensor, "n d"]:
    """``x`` [N, D], or [N, ...] which is flattened, as a float32 or float64 tensor [N, D] on its device.

    Raises ``TypeError`` for what is no array of real numbers, ``ValueError`` for no sample or feature, or for NaN and
    infinite values.
    """
    x = as_tensor(x)
    if x.ndim < 2 or x.numel() == 0:
        raise ValueError(f"expected features [N, D] of at least one sample and one feature, got shape {tuple(x.shape)}")
    x = x.flatten(1)
    x = x.to(work_dtype(x.dtype))
    if not torch.stack(x.aminmax()).isfinite().all():
        raise ValueError(f"expected finite features, got {int((~x.isfinite()).sum())} NaN or infinite values of "
                         f"{x.numel()}")
    return x


def as_targets(y: Targets, n: int) -> Float64[torch.Tensor, "n q"]:
    """Real-valued targets [N] or [N, Q] of ``n`` samples as float64 [n, Q]; ``TypeError``, ``ValueError`` as above."""
    y = as_values(y, "targets of a regression must be real numbers")
    if not y.is_floating_point():
        raise TypeError(f"targets of a regression must be real numbers (floating point), got {y.dtype}")
    if y.ndim not in (1, 2) or len(y) != n or y.numel() == 0:
        raise ValueError(f"expected targets [{n}] or [{n}, Q], one for each sample, got shape {tuple(y.shape)}")
    if bad := int((~y.isfinite()).sum()):
        raise ValueError(f"expected finite targets, got {bad} NaN or infinite values of {y.numel()}")
    return y.double().reshape(n, -1)


def check_labels(labels: Labels, n: int) -> Integers:
    """``labels`` as an int64 tensor of length ``n``, or a clear error."""
    labels = as_values(labels, "labels must be integers")
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"labels must be integers, got {labels.dtype}")
    if labels.shape != (n,):
        raise ValueError(f"expected one label for each of {n} samples, got labels of shape {tuple(labels.shape)}")
    return labels.long()


def place_in_class(labels: Integers) -> Integers:
    """How many samples of its class come before each, int64 [N]: what takes every n-th of a class, whatever the order
    in which classes come."""
    order = labels.argsort(stable=True)
    counts = labels.unique(return_counts=True)[1]
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) - starts.repeat_interleave(counts)
    return place


def distance_blocks(a: Float[torch.Tensor, "m d"],
                    b: Float[torch.Tensor, "n d"]) -> Iterator[tuple[slice, Float64[torch.Tensor, "rows n"]]]:
    """Yield (rows, distances): a slice of ``a`` [M, D] and its Euclidean distances float64 [rows, N] to ``b`` [N, D].

    By direct differences, so near points lose no digits: 2 s on one core for M = N = 10,000 and D = 32. Holds 32 MiB of
    distances (at least one row) and ``b`` in float64.
    """
    b = b.double()
    step = max(1, BLOCK // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        yield rows, torch.cdist(a[rows].double(), b, compute_mode="donot_use_mm_for_euclid_dist")


def symmetric_table(items: Sequence[Item], measure: Callable[[Item, Item], float]) -> pd.DataFrame:
    """A tidy table with i, j, value of every pair; ``measure`` doesn't depend on the order of the two."""
    upper = {(i, j): measure(items[i], items[j]) for i in range(len(items)) for j in range(i, len(items))}
    return pd.DataFrame([(i, j, upper[min(i, j), max(i, j)]) for i in range(len(items)) for j in range(len(items))],
                        columns=["i", "j", "value"])
