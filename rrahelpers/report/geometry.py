"""What a layer is, before it sees an image: its kind, costs, receptive field and place behind the border layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn

from rrahelpers import complexity
from rrahelpers.advisor import borders
from rrahelpers.base.modules import kind
from rrahelpers.features.batches import as_batches
from rrahelpers.features.passes import run
from rrahelpers.receptive_field import receptive_fields
from rrahelpers.report.notes import Notes

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor

COLUMNS = ("layer", "type", "shape", "params", "flops", "activation", "path", "r_min", "r_max", "border", "productive")
KINDS = {"type": str, "shape": str, "params": "Int64", "flops": "Int64", "activation": "Int64", "path": str,
         "r_min": "Int64", "r_max": "Int64", "border": str, "productive": "boolean"}


def geometry(model: nn.Module, sample: ImageTensor, layers: Sequence[str], notes: Notes) -> pd.DataFrame:
    """One row for each layer, in order: :data:`COLUMNS`.

    A layer with others inside has their parameters and FLOPs together; it is productive where a convolution inside is.
    ``activation``: bytes of its answer to one image. What can't be followed is missing, and ``notes`` say why.
    """
    modules, answers = dict(model.named_modules()), {}
    run(model, as_batches(sample), layers, lambda name, output, _place: answers.update({name: output[0]}))
    table = pd.DataFrame([
        {"layer": name, "type": "" if name == "input" else kind(modules[name]),
         "shape": "x".join(map(str, answers[name].shape)), "activation": answers[name].nbytes} for name in layers])
    table = table.reindex(columns=COLUMNS).astype(object).set_index("layer")
    named = [name for name in layers if name != "input"]
    shape = tuple(sample.shape[1:])
    with notes.attempt("FLOPs"):
        costs = complexity.per_layer(model, shape)
        for name in named:
            table.loc[name, ["params", "flops"]] = costs[_inside(costs, name)][["params", "flops"]].sum()
    if table.loc[named, "params"].isna().all():
        table.loc[named, "params"] = [sum(p.numel() for p in modules[name].parameters()) for name in named]
    with notes.attempt("receptive fields"):
        _reaches(model, shape, named, table)
    table = table.fillna({"border": "", "path": ""})
    return table.astype(KINDS).reset_index()


def _reaches(model, shape, layers, table):
    with torch.no_grad():
        fields = receptive_fields(model, shape)
    seen = fields.drop_duplicates("layer").set_index("layer")
    if containers := [name for name in layers if name not in seen.index]:
        rows = receptive_fields(model, shape, layers=containers).drop_duplicates("layer").set_index("layer")
        seen = pd.concat([seen, rows])
    table.loc[layers, ["path", "r_min", "r_max"]] = seen.loc[layers, ["path", "r_min", "r_max"]]
    found = fields[["layer", "conv"]].join(borders(fields, shape))
    for name in layers:
        inside = found[_inside(found, name)]
        convolutions = inside[inside["conv"].notna()]
        decisive = inside if convolutions.empty else convolutions
        table.loc[name, "border"] = ", ".join(filter(None, inside["border"]))
        if len(decisive):
            table.loc[name, "productive"] = bool(decisive["productive"].any())


def _inside(table, name):
    return (table["layer"] == name) | table["layer"].str.startswith(f"{name}.")
