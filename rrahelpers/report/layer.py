"""What the features of one layer tell: its neighbours at all scales, and a probe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from rrahelpers.base.arrays import as_tensor
from rrahelpers.class_similarity import class_similarity
from rrahelpers.intrinsic_dimension import gride, two_nn
from rrahelpers.neighbors import KNNGraph, pyramid_graphs
from rrahelpers.probes import fit_probe
from rrahelpers.report.notes import Notes
from rrahelpers.report.scales import ScaleWindows, common_window
from rrahelpers.report.source import halves
from rrahelpers.report.stream import Kept
from rrahelpers.separation import separation_index
from rrahelpers.similarity import gram

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Array

GRAMS = 256  # images whose Gram matrix of each layer is kept, to compare networks
LEAST = 2**26  # bytes for the neighbour search, at least


@dataclass
class MeasuredLayer:
    """``row``: {column: number}; ``scales``, ``dimensions``, ``graphs``, ``gram``: the layer's part of those in
    :class:`rrahelpers.report.measures.Measured`; ``notes``: why something is missing."""

    layer: str
    row: dict[str, float | str]
    scales: list[dict[str, Any]] = field(default_factory=list)
    dimensions: pd.DataFrame | None = None
    graphs: dict[str, KNNGraph] = field(default_factory=dict)
    gram: torch.Tensor | None = None
    notes: Notes = field(default_factory=Notes)


def measure_layer(kept: Kept, *, labels: Array | None, test_labels: Array | None, windows: Mapping[str, ScaleWindows],
                  k: int, memory: float) -> MeasuredLayer:
    """A :class:`MeasuredLayer` of what was kept of a layer, tensors or arrays. What fails is a note.

    ``windows``: of all layers; ``memory``: bytes for the neighbour search.
    """
    found = MeasuredLayer(kept.layer, {**kept.numbers})
    with found.notes.attempt(f"neighbours, {kept.layer}"):
        if k > 0 and "maps" in kept.features:
            _neighbours(found, kept.features["maps"], windows[kept.layer], labels, k, memory)
    with found.notes.attempt(f"probe, {kept.layer}"):
        if "probe" in kept.features:
            found.row |= _probe(kept.features["probe"], kept.tested.get("probe"), labels, test_labels)
    return found


def _neighbours(found, x, windows, labels, k, memory):
    finest = common_window(windows)
    finest = 1 if finest == "global" else finest
    inner = {scale: "global" if window == "global" else window // finest for scale, window in windows.items()}
    graphs = pyramid_graphs(x, tuple(dict.fromkeys(inner.values())), k, memory=max(LEAST, int(memory)))
    found.graphs = {str(scale): graphs[window] for scale, window in inner.items()}
    found.gram = gram(x[:GRAMS])
    finest = min(inner, key=lambda scale: (inner[scale] == "global", inner[scale]))
    found.row["finest"], graph = str(finest), graphs[inner[finest]]
    if k > 1:
        found.row["intrinsic_dimension"] = two_nn(graph).dimension
        found.dimensions = gride(graph).assign(layer=found.layer)
    if labels is None:
        return
    found.row["separation_index"] = separation_index(graph, labels)
    for scale, own in found.graphs.items():
        found.scales.append({"layer": found.layer, "scale": scale, "value": class_similarity(own, labels)})
    best = max(found.scales, key=lambda one: one["value"])
    found.row |= {"class_similarity": best["value"], "best_scale": best["scale"]}


def _probe(x, tested, labels, test_labels):
    if tested is None:
        x, labels = as_tensor(x), as_tensor(labels)
        fit, score = halves(labels)
        result = fit_probe(x[fit], labels[fit], x[score], labels[score])
    else:
        result = fit_probe(x, labels, tested, test_labels)
    return {"probe": result.accuracy, "probe_train": result.train_accuracy}
