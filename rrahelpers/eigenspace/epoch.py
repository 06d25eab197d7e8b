"""What is known of an epoch when it has ended: what a tracker hands to its writers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.eigenspace.processes import Splits
from rrahelpers.eigenspace.spectrum import describe

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Numbers

NAMES = ("epoch", "split", "layer", "index")
COLUMNS = (*NAMES, "features", "observations", "intrinsic_dimension", "saturation", "trace")
EXTENDED = ("diagonal_trace", "log_determinant")


@dataclass(frozen=True, eq=False)
class Epoch:
    """An epoch that has ended.

    ``number``: from 1. ``rows``: its rows of the tracker's table. ``metrics``: {name: number} of the user's, and
    ``seconds``. ``table``: the rows of all epochs so far, each with its epoch's metrics. ``covariances``: {split:
    {layer: :class:`Covariance`}}. ``samples``: {split: {layer: [n, D]}}, some observations of the last batch, where a
    writer asks for them by an attribute ``observations``, their number.
    """

    number: int
    rows: pd.DataFrame
    metrics: Mapping[str, float]
    table: pd.DataFrame
    covariances: Mapping[str, Mapping[str, Covariance]]
    samples: Mapping[str, Mapping[str, Numbers]]


def check_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as floats. Raises ``TypeError`` for what are no numbers, ``ValueError`` for the name of a column."""
    if bad := {name: value for name, value in metrics.items() if not isinstance(value, (Real, torch.Tensor))}:
        raise TypeError(f"expected metrics as {{name: number}}, got {bad}")
    if taken := sorted({*COLUMNS, *EXTENDED} & set(metrics)):
        raise ValueError(f"the tracker's own columns can't be metrics: {taken}")
    return {name: float(value) for name, value in metrics.items()}


def described(covariances: Splits, delta: float,
              extended: bool) -> dict[tuple[str, str], dict[str, float] | ValueError]:
    """What :func:`describe` says of each split's layers, or the error with which it refuses: {(split, layer): ...}."""
    found: dict[tuple[str, str], dict[str, float] | ValueError] = {}
    for split, layers in covariances.items():
        for layer, covariance in layers.items():
            try:
                found[split, layer] = describe(covariance, delta, extended)
            except ValueError as error:
                found[split, layer] = error
    return found


def rows_of(number: int, covariances: Splits, found: Mapping[tuple[str, str], dict[str, float] | ValueError],
            order: dict[str, int]) -> list[dict[str, object]]:
    """An epoch's rows of the tracker's table, from what :func:`described` found; a layer without saturation gets a
    warning. ``order``: the layers' numbers; one that is missing is added."""
    rows: list[dict[str, object]] = []
    for split, layers in covariances.items():
        for layer in sorted(layers, key=lambda name: order.setdefault(name, len(order))):
            said = found[split, layer]
            if isinstance(said, ValueError):
                warnings.warn(f"layer {layer!r}, epoch {number}, {split}: {said}; no saturation there", stacklevel=4)
                said = {"features": layers[layer].dim, "observations": layers[layer].observations}
            rows.append({"epoch": number, "split": split, "layer": layer, "index": order[layer], **said})
    return rows
