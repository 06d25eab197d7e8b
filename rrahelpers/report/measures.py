"""What layers answer to images, measured: from one pass for each group of layers that the memory allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers.class_similarity import class_similarity
from rrahelpers.eigenspace import covariances
from rrahelpers.features.maps import Reading
from rrahelpers.intrinsic_dimension import gride, two_nn
from rrahelpers.neighbors import KNNGraph, pyramid_graphs
from rrahelpers.probes import fit_probe
from rrahelpers.report.notes import Notes
from rrahelpers.report.scales import ScaleWindows, common_window, kept_of
from rrahelpers.report.source import Source, halves
from rrahelpers.report.stream import Stream
from rrahelpers.separation import separation_index
from rrahelpers.similarity import gram

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes

GRAMS = 256  # images whose Gram matrix of each layer is kept, to compare networks
LEAST = 2**26  # bytes for the neighbour search, at least


@dataclass
class Measured:
    """``rows``: {layer: {column: number}}; ``scales``: class similarity of each layer and scale, tidy;
    ``dimensions``: of each layer the table of :func:`rrahelpers.intrinsic_dimension.gride`; ``graphs``: {layer: {scale
    as text: KNNGraph}}; ``grams``: {layer: [M, M]} of the first images; ``last``: the last layer's answers [N, D] where
    they have no places."""

    rows: dict[str, dict[str, float | str]] = field(default_factory=dict)
    scales: list[dict[str, Any]] = field(default_factory=list)
    dimensions: list[pd.DataFrame] = field(default_factory=list)
    graphs: dict[str, dict[str, KNNGraph]] = field(default_factory=dict)
    grams: dict[str, torch.Tensor] = field(default_factory=dict)
    last: torch.Tensor | None = None


def measure(model: nn.Module, source: Source, test: Source | None, maps: dict[str, Reading], *,
            windows: Mapping[str, ScaleWindows], k: int, probes: bool, digest: str, memory: float, disk: float,
            axis: FeatureAxes | None, notes: Notes, progress: bool) -> Measured:
    """A :class:`Measured` of the layers in ``maps`` (their readings).

    ``windows``: of :func:`rrahelpers.report.scales.chosen_windows`; ``test``: a Source for the probes' scores, or None
    for one half of the images; ``probes``: whether to fit any.
    """
    found, layers = Measured({layer: {} for layer in maps}), list(maps)
    probes = probes and _can_probe(source, test, notes)
    watched = _watchable(model, source.images.sample, [name for name in layers if name != "input"], axis, notes)
    wanted = {layer: kept_of(windows.get(layer, {}), probes) for layer in layers}
    with tqdm(total=len(layers), desc="analysing layers", unit="layer", disable=not progress) as bar:
        for kept in Stream(model, source, test, maps, wanted, digest=digest, watched=watched, memory=memory // 2,
                           disk=disk, axis=axis, notes=notes, say=bar.set_postfix_str):
            layer, x = kept.layer, kept.features.get("maps")
            bar.set_postfix_str(layer)
            found.rows[layer] |= kept.numbers
            with notes.attempt(f"neighbours, {layer}"):
                _neighbours(found, layer, x, windows.get(layer, {}), source.labels, k, memory // 2)
            with notes.attempt(f"probe, {layer}"):
                if probes:
                    found.rows[layer] |= _probe(kept.features["probe"], kept.tested, source.labels, test)
            if layer == layers[-1] and x is not None and x.ndim == 2:
                found.last = x
            bar.update()
    found.graphs = {layer: found.graphs[layer] for layer in layers if layer in found.graphs}
    found.scales.sort(key=lambda one: layers.index(one["layer"]))
    return found


def _neighbours(found, layer, x, windows, labels, k, memory):
    if k < 1 or not windows:
        return
    finest = common_window(windows)
    finest = 1 if finest == "global" else finest
    inner = {scale: "global" if window == "global" else window // finest for scale, window in windows.items()}
    graphs = pyramid_graphs(x, tuple(dict.fromkeys(inner.values())), k, memory=max(LEAST, int(memory)))
    row = found.rows[layer]
    found.graphs[layer] = {str(scale): graphs[window] for scale, window in inner.items()}
    found.grams[layer] = gram(x[:GRAMS])
    finest = min(inner, key=lambda scale: (inner[scale] == "global", inner[scale]))
    row["finest"], graph = str(finest), graphs[inner[finest]]
    if k > 1:
        row["intrinsic_dimension"] = two_nn(graph).dimension
        found.dimensions.append(gride(graph).assign(layer=layer))
    if labels is None:
        return
    row["separation_index"] = separation_index(graph, labels)
    for scale, own in found.graphs[layer].items():
        found.scales.append({"layer": layer, "scale": scale, "value": class_similarity(own, labels)})
    best = max((one for one in found.scales if one["layer"] == layer), key=lambda one: one["value"])
    row |= {"class_similarity": best["value"], "best_scale": best["scale"]}


def _probe(x, tested, labels, test):
    if test is None:
        fit, score = halves(labels)
        result = fit_probe(x[fit], labels[fit], x[score], labels[score])
    else:
        result = fit_probe(x, labels, tested["probe"], test.labels)
    return {"probe": result.accuracy, "probe_train": result.train_accuracy}


def _can_probe(source, test, notes):
    labels = source.labels
    if labels is None:
        return False
    fit = labels if test is not None else labels[halves(labels)[0]]
    few = len(labels.unique()) < 2 or test is None and int(labels.unique(return_counts=True)[1].min()) < 2
    if len(fit.unique()) < 2 or few:
        notes.add("probes: they need two classes or more, with two images or more of each (one to fit, one to score); "
                  f"got {len(labels)} images of {len(labels.unique())} classes")
        return False
    return True


def _watchable(model, sample, layers, axis, notes):
    """The layers whose covariance can be taken."""
    try:
        covariances(model, sample, layers, axis={name: one for name, one in (axis or {}).items() if name in layers})
        return set(layers)
    except (ValueError, TypeError):
        good = set()
        for layer in layers:
            with notes.attempt(f"saturation, {layer}"):
                covariances(model, sample, [layer], axis={layer: axis[layer]} if layer in (axis or {}) else None)
                good.add(layer)
        return good


def scale_table(measured: Measured, layers: Sequence[str]) -> pd.DataFrame:
    """Class similarity as :func:`rrahelpers.class_similarity.classrepsim` has it: layer, index, scale, value."""
    table = pd.DataFrame(measured.scales, columns=["layer", "scale", "value"])
    table.insert(1, "index", table["layer"].map({layer: place for place, layer in enumerate(layers)}))
    return table


def dimension_table(measured: Measured, layers: Sequence[str]) -> pd.DataFrame | None:
    """Intrinsic dimension over distances: layer, index, and the columns of
    :func:`rrahelpers.intrinsic_dimension.gride`."""
    if not measured.dimensions:
        return None
    table = pd.concat(measured.dimensions, ignore_index=True)
    table.insert(0, "index", table["layer"].map({layer: place for place, layer in enumerate(layers)}))
    table.insert(0, "layer", table.pop("layer"))
    return table.sort_values("index", kind="stable", ignore_index=True)
