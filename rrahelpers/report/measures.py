"""What layers answer to images, measured: from one pass for each group of layers that the memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers.eigenspace import covariances
from rrahelpers.features.maps import Reading
from rrahelpers.neighbors import KNNGraph
from rrahelpers.report.layer import MeasuredLayer, measure_layer
from rrahelpers.report.notes import Notes
from rrahelpers.report.scales import ScaleWindows, kept_of
from rrahelpers.report.source import Source, halves
from rrahelpers.report.stream import Kept, Stream
from rrahelpers.report.workers import each_measured

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes


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

    def add(self, own: MeasuredLayer) -> None:
        """What was told of one more layer."""
        self.rows[own.layer] |= own.row
        self.scales += own.scales
        if own.dimensions is not None:
            self.dimensions.append(own.dimensions)
        if own.graphs:
            self.graphs[own.layer] = own.graphs
        if own.gram is not None:
            self.grams[own.layer] = own.gram


def measure(model: nn.Module, source: Source, test: Source | None, maps: dict[str, Reading], *,
            windows: Mapping[str, ScaleWindows], k: int, probes: bool, digest: str, memory: float, disk: float,
            axis: FeatureAxes | None, notes: Notes, progress: bool, executor: Executor | None = None) -> Measured:
    """A :class:`Measured` of the layers in ``maps`` (their readings).

    ``windows``: of :func:`rrahelpers.report.scales.chosen_windows`; ``test``: a Source for the probes' scores, or None
    for one half of the images; ``probes``: whether to fit any; ``executor``: whose workers measure what the passes
    here keep of each layer.
    """
    found, layers = Measured({layer: {} for layer in maps}), list(maps)
    probes = probes and _can_probe(source, test, notes)
    watched = _watchable(model, source.images.sample, [name for name in layers if name != "input"], axis, notes)
    wanted = {layer: kept_of(windows.get(layer, {}), probes) for layer in layers}
    of_layer = partial(measure_layer, labels=_labels(source), test_labels=_labels(test), windows=windows, k=k,
                       memory=memory // 2)
    with tqdm(total=len(layers), desc="analysing layers", unit="layer", disable=not progress) as bar:
        stream = Stream(model, source, test, maps, wanted, digest=digest, watched=watched, memory=memory // 2,
                        disk=disk, axis=axis, notes=notes, say=bar.set_postfix_str)

        def kept_layers() -> Iterator[Kept]:
            for kept in stream:
                bar.set_postfix_str(kept.layer)
                x = kept.features.get("maps")
                if kept.layer == layers[-1] and x is not None and x.ndim == 2:
                    found.last = x
                yield kept

        for own in each_measured(of_layer, kept_layers(), executor, memory // 2):
            found.add(own)
            for text in own.notes:
                notes.add(text)
            bar.update()
    found.graphs = {layer: found.graphs[layer] for layer in layers if layer in found.graphs}
    found.scales.sort(key=lambda one: layers.index(one["layer"]))
    return found


def _labels(source):
    """As an array, which another process can be sent."""
    return None if source is None or source.labels is None else source.labels.numpy()


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
