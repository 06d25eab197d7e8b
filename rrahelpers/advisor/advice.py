"""What is known of each layer of a network at an image size, and which of them do nothing (dissertation, 9.5)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pandas as pd
from torch import nn

from rrahelpers import complexity
from rrahelpers.base.arrays import is_whole
from rrahelpers.base.modules import is_leaf, named_layers
from rrahelpers.receptive_field import beyond_border, image_shape, receptive_fields
from rrahelpers.tails import LayerValues, in_tail, layer_values

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize


def advise(model: nn.Module, input_size: InputSize, saturations: LayerValues | None = None,
           probes: LayerValues | None = None, *, object_size: int | None = None,
           convention: str = "published") -> pd.DataFrame:
    """What is known of each layer at an image size, one row for each call of a layer.

    Parameters
    ----------
    model, input_size: as for :func:`rrahelpers.receptive_field.receptive_fields`.
    saturations, probes: measured saturations (fractions) and accuracies of probes, of some layers or all; each as for
        :func:`rrahelpers.tails.layer_values`. A probe on "input" counts for the gain of the first layer.
    object_size: side in pixels of what is to be seen, where it is smaller than the image, for which it stands in
        (9.2).
    convention: of :func:`rrahelpers.complexity.count`.

    Returns ``layer``, ``index``, ``conv``, ``type``, ``path``, ``r_min``, ``r_max``, ``r_min_in``, ``r_max_in`` of
    :func:`receptive_fields`; ``border`` ("b_max", "b_min", "b_max, b_min" or ""); ``productive`` (no convolution of
    :func:`rrahelpers.receptive_field.beyond_border`; other layers: as the one called before them);
    ``saturation``, ``in_tail`` (within one of :func:`find_tails`), ``probe``, ``probe_gain`` (over the measured layer
    before), missing where nothing was measured; ``params``, ``flops`` and ``memory``, which add up to the network's.
    Layers that aren't called, and modules with parameters beside submodules, come last, without receptive fields.

    Measured layers that run in training alone (auxiliary classifiers) are left out with a warning. Raises
    ``ValueError`` for others that the table lacks, and what the functions named raise.
    """
    table = receptive_fields(model, input_size)
    shape = image_shape(model, input_size)
    costs = complexity.per_layer(model, shape, convention)
    seen = ["layer", "index", "conv", "type", "path", "r_min", "r_max", "r_min_in", "r_max_in"]
    result = pd.merge(_numbered(table[seen]), _numbered(costs), on=["layer", "call"], how="outer")
    result = result.sort_values("index", kind="stable", ignore_index=True)
    result["type"] = result["type"].fillna(result["kind"])
    result = result.astype(dict.fromkeys([*seen[5:], "index", "params", "flops", "memory"], "Int64"))
    result = result.fillna({"params": 0, "flops": 0, "memory": 0})
    found = borders(table, object_sides(shape, object_size))
    result["border"] = result["index"].map(found["border"]).fillna("")
    result["productive"] = result["index"].map(found["productive"]).astype("boolean")
    saturation = measured(saturations, "saturations", table, model).drop("input", errors="ignore")
    probe = measured(probes, "probes", table, model)
    inside = in_tail(saturation) if len(saturation) else saturation
    for name, values in (("saturation", saturation), ("in_tail", inside), ("probe", probe),
                         ("probe_gain", probe.diff())):
        result[name] = result["layer"].map(values)
    result["in_tail"] = result["in_tail"].astype("boolean")
    return result[[*seen, "border", "productive", "saturation", "in_tail", "probe", "probe_gain", "params", "flops",
                   "memory"]]


def borders(table: pd.DataFrame, input_size: InputSize) -> pd.DataFrame:
    """The columns ``border`` and ``productive`` of :func:`advise`, by the index of a table of ``receptive_fields``."""
    beyond = {bound: beyond_border(table, input_size, bound) for bound in ("max", "min")}
    first = {bound: idle.idxmax() for bound, idle in beyond.items() if idle.any()}  # places of calls, not of layers
    border = [", ".join(f"b_{bound}" for bound, place in first.items() if place == index) for index in table.index]
    idle = beyond["min"].reindex(table.index).astype("boolean").ffill().fillna(False)
    return pd.DataFrame({"border": border, "productive": ~idle}, index=table.index)


def object_sides(shape: tuple[int, int, int], object_size: int | None) -> tuple[int, int]:
    """(h, w) in pixels of what is to be seen on an image [C, H, W]: the image's own, or ``object_size`` (9.2).

    Raises ``ValueError`` for an object that isn't in whole pixels, or is larger than the image.
    """
    if object_size is None:
        return shape[1], shape[2]
    if not is_whole(object_size) or object_size > max(shape[1:]):
        raise ValueError(f"expected object_size in whole pixels, at most the image's {max(shape[1:])}, got "
                         f"{object_size!r}")
    return min(object_size, shape[1]), min(object_size, shape[2])


def _numbered(table):
    return table.assign(call=table.groupby("layer").cumcount())


def measured(values: LayerValues | None, what: str, table: pd.DataFrame, model: nn.Module) -> pd.Series:
    """Measured values in the order of the table's layers; nothing where nothing was measured.

    Layers that run in training alone (auxiliary classifiers), which the table can't have, are left out with a warning.
    """
    if values is None:
        return pd.Series(dtype=float)
    series, order = layer_values(values, what), list(dict.fromkeys(["input", *table["layer"]]))
    missing = [layer for layer in series.index if layer not in order]
    known = named_layers(model)
    if idle := [layer for layer in missing if layer in known and is_leaf(known[layer])]:
        warnings.warn(f"{what}: left out, for images don't pass them in evaluation: {', '.join(idle)}", stacklevel=3)
    if unknown := [layer for layer in missing if layer not in idle]:
        raise ValueError(f"{what}: unknown layers {unknown}; expected layers without submodules: {', '.join(order)}")
    return series.reindex([layer for layer in order if layer in series.index])
