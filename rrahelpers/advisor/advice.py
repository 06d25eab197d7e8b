"""Which layers of a network do nothing at an image size, and what a change would save (dissertation, 9.5 and 11).

No algorithm decides: every proposal trades accuracy, parameters and arithmetic against each other (11.1). Depth comes
first, width after it (11.3).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn

from rrahelpers import complexity
from rrahelpers.advisor.places import stem as stem_of
from rrahelpers.base.modules import is_leaf, named_layers, own_parameters
from rrahelpers.models.surgery import duplicate, truncate, without_downsampling
from rrahelpers.receptive_field import beyond_border, border_layer, image_shape, receptive_fields
from rrahelpers.tails import LayerValues, in_tail, layer_values

if TYPE_CHECKING:
    from rrahelpers.base.shapes import InputSize

BEST_SATURATION = (0.2, 0.3)  # averages at which networks did best (section 11.3)


def advise(model: nn.Module, input_size: InputSize, saturations: LayerValues | None = None,
           probes: LayerValues | None = None, *, convention: str = "published") -> pd.DataFrame:
    """What is known of each layer at an image size, one row for each call of a layer.

    Parameters
    ----------
    model, input_size: as for :func:`rrahelpers.receptive_field.receptive_fields`.
    saturations, probes: measured saturations (fractions) and accuracies of probes, of some layers or all; each as for
        :func:`rrahelpers.tails.layer_values`. A probe on "input" counts for the gain of the first layer.
    convention: of :func:`rrahelpers.complexity.count`.

    Returns ``layer``, ``index``, ``conv``, ``type``, ``path``, ``r_min``, ``r_max``, ``r_min_in``, ``r_max_in`` of
    :func:`receptive_fields`; ``border`` ("b_max", "b_min", "b_max, b_min" or ""); ``productive`` (no convolution of
    :func:`rrahelpers.receptive_field.beyond_border`; other layers: as the one called before them);
    ``saturation``, ``in_tail`` (within one of :func:`find_tails`), ``probe``, ``probe_gain`` (over the measured layer
    before), missing where nothing was measured; ``params`` and ``flops``, which add up to the network's. Layers that
    aren't called, and modules with parameters beside submodules, come last, without receptive fields.

    Measured layers that run in training alone (auxiliary classifiers) are left out with a warning. Raises
    ``ValueError`` for others that the table lacks, and what the functions named raise.
    """
    table = receptive_fields(model, input_size)
    costs = complexity.per_layer(model, image_shape(model, input_size), convention)
    seen = ["layer", "index", "conv", "type", "path", "r_min", "r_max", "r_min_in", "r_max_in"]
    result = pd.merge(_numbered(table[seen]), _numbered(costs), on=["layer", "call"], how="outer")
    result = result.sort_values("index", kind="stable", ignore_index=True)
    result["type"] = result["type"].fillna(result["kind"])
    result = result.astype(dict.fromkeys([*seen[5:], "index", "params", "flops"], "Int64"))
    result = result.fillna({"params": 0, "flops": 0})
    found = borders(table, input_size)
    result["border"] = result["index"].map(found["border"]).fillna("")
    result["productive"] = result["index"].map(found["productive"]).astype("boolean")
    saturation = _measured(saturations, "saturations", table, model).drop("input", errors="ignore")
    probe = _measured(probes, "probes", table, model)
    inside = in_tail(saturation) if len(saturation) else saturation
    for name, values in (("saturation", saturation), ("in_tail", inside), ("probe", probe),
                         ("probe_gain", probe.diff())):
        result[name] = result["layer"].map(values)
    result["in_tail"] = result["in_tail"].astype("boolean")
    return result[[*seen, "border", "productive", "saturation", "in_tail", "probe", "probe_gain", "params", "flops"]]


def borders(table: pd.DataFrame, input_size: InputSize) -> pd.DataFrame:
    """The columns ``border`` and ``productive`` of :func:`advise`, by the index of a table of ``receptive_fields``."""
    beyond = {bound: beyond_border(table, input_size, bound) for bound in ("max", "min")}
    first = {bound: idle.idxmax() for bound, idle in beyond.items() if idle.any()}  # places of calls, not of layers
    border = [", ".join(f"b_{bound}" for bound, place in first.items() if place == index) for index in table.index]
    idle = beyond["min"].reindex(table.index).astype("boolean").ffill().fillna(False)
    return pd.DataFrame({"border": border, "productive": ~idle}, index=table.index)


def propose(model: nn.Module, input_size: InputSize, saturations: LayerValues | None = None, *,
            convention: str = "published") -> pd.DataFrame:
    """What could be changed, and what that costs or saves, from the receptive fields and, if given, saturations.

    - "truncate": the border layer b_min and all after it replaced by pooling and a linear layer (:func:`truncate`).
    - "drop the stem": the first two down-sampling layers no longer down-sample (:func:`without_downsampling`). Only
      layers before the first branch count as stem.
    - "enlarge the images", to the smallest size at which every convolution is productive; "shrink" them, to the
      largest receptive field of a convolution, where they are larger (9.4.2: both should be close).
    - "scale the width", for an average saturation of 25 % where it is outside 20 to 30 % (11.3). The source gives no
      formula: here the number of principal components is taken to stay as it is, so that saturation is inverse to
      width. FLOPs and parameters are those of the layers at that width, without rounding to whole channels.

    Parameters as for :func:`advise`.

    Returns a table with one row for each proposal, the network as it is first: ``proposal``, ``change``, ``reason``,
    ``input_size`` (H x W), ``params``, ``flops``, ``params_saved`` and ``flops_saved`` (shares of the network as it is;
    negative where it costs more), ``border`` (b_min afterwards). Where a change can't be made, ``reason`` says why, and
    the numbers are missing. Counts are made on the device "meta", without arithmetic.
    """
    complexity.check_convention(convention)  # what is raised for a single proposal is told in its row
    table, shape = receptive_fields(model, input_size), image_shape(model, input_size)
    model = _on_meta(model)
    border, convolutions = border_layer(table, shape), table[table["conv"].notna()]
    productive, side = convolutions[~beyond_border(table, shape)], min(shape[1:])
    rows = [_row("as it is", "", "", lambda: model, shape, convention)]
    if border:
        reason = (f"{len(convolutions) - len(productive)} of {len(convolutions)} convolutions get more than "
                  f"{shape[1]}x{shape[2]} pixels already")
        rows.append(_row("truncate", f"end before {border}", reason, lambda: truncate(model, border), shape, convention,
                         lambda stump: _lost(productive, stump)))
        if stem := stem_of(table):
            rows.append(_row("drop the stem", f"no down-sampling in {', '.join(stem)}", reason,
                             lambda: without_downsampling(model, stem), shape, convention))
        larger = int(convolutions[["r_border_in_h", "r_border_in_w"]].min(axis=1).max())
        rows.append(_row("enlarge the images", f"to {larger} pixels", reason, lambda: model,
                         (shape[0], larger, larger), convention))
    elif (smaller := int(convolutions["r_max"].max())) < side:
        reason = f"no convolution sees more than {smaller} of {side} pixels"
        rows.append(_row("shrink the images", f"to {smaller} pixels", reason, lambda: model,
                         (shape[0], smaller, smaller), convention))
    if saturations is not None:
        average = _measured(saturations, "saturations", table, model).drop("input", errors="ignore").mean()
        if average > 0 and not BEST_SATURATION[0] <= average <= BEST_SATURATION[1]:
            rows.append(_width_row(model, shape, average / (sum(BEST_SATURATION) / 2), average, convention))
    result = pd.DataFrame(rows).astype({"params": "Int64", "flops": "Int64"})
    for what in ("params", "flops"):
        result[f"{what}_saved"] = 1 - result[what] / result[what].iloc[0]
    return result[["proposal", "change", "reason", "input_size", "params", "flops", "params_saved", "flops_saved",
                   "border"]]


def _row(proposal, change, reason, build, shape, convention, remark=lambda changed: ""):
    row = {"proposal": proposal, "change": change, "reason": reason, "input_size": f"{shape[1]}x{shape[2]}"}
    try:
        with torch.device("meta"):  # where forward makes tensors
            changed = build()
            border = border_layer(receptive_fields(changed, shape), shape)
            counts = complexity.count(changed, shape, convention)._asdict()
        return row | counts | {"reason": reason + remark(changed), "border": border}
    except (ValueError, NotImplementedError) as error:
        return row | {"reason": f"can't be done: {error}", "params": None, "flops": None, "border": None}


def _on_meta(model):
    model = duplicate(model).to("meta")
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor):  # neither parameter nor buffer
                setattr(module, name, value.to("meta"))
    return model


def _lost(productive, stump):
    """What a cut takes away beside the tail: other paths that begin before it and end after it."""
    lost = set(productive["layer"]) - {name for name, _ in stump.named_modules()}
    return f"; {len(lost)} productive on paths beside it are cut off too" if lost else ""


def _width_row(model, shape, factor, average, convention):
    """Matrices cost the square of the factor; the factor itself where one side is fixed or channels are apart."""
    with torch.device("meta"):
        table = complexity.per_layer(model, shape, convention)
    matrices = {name: [p for p in own_parameters(layer) if p.ndim > 1 and min(p.shape[:2]) > 1]
                for name, layer in named_layers(model).items()}
    weighted = [name for name in table["layer"][table["output_shape"].notna()] if matrices[name]]
    grown = {name: found for name, found in matrices.items() if name not in (*weighted[:1], *weighted[-1:])}
    squared = {id(p) for found in grown.values() for p in found}
    flops = table["flops"] * [factor**2 if grown.get(name) else factor for name in table["layer"]]
    params = sum(p.numel() * (factor**2 if id(p) in squared else factor) for p in model.parameters())
    low, high = BEST_SATURATION
    return {"proposal": "scale the width", "change": f"by {factor:.2g}", "border": None,
            "reason": f"average saturation {average:.0%}, best were {low:.0%} to {high:.0%}",
            "input_size": f"{shape[1]}x{shape[2]}", "params": round(params), "flops": round(flops.sum())}


def _numbered(table):
    return table.assign(call=table.groupby("layer").cumcount())


def _measured(values, what, table, model):
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
