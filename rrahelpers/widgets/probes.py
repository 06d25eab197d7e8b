"""The explorers of probes and of tail patterns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import TYPE_CHECKING

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure

from rrahelpers import data
from rrahelpers.features import layer_names
from rrahelpers.features.pooled import POOLING, each_pooled_layer
from rrahelpers.plots import architecture as architecture_plots, probes as probe_plots
from rrahelpers.probes import ProbeResult, fit_probe
from rrahelpers.study.results import measured_advice, pictures_of
from rrahelpers.tails import find_tails
from rrahelpers.widgets.sliders import Explorer

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Integers
    from rrahelpers.training.runs import Run


@dataclass(frozen=True, eq=False)
class ProbeView:
    """Pooled features of every layer over some images, and what the explorer shows of probes on them."""

    features: dict[tuple[str, int, str], list[torch.Tensor]]  # (layer, size, pooling): training, test features
    labels: list[Integers]  # of the training images, of the test images
    classes: tuple[str, ...]
    fitted: dict[tuple[str, int, str], ProbeResult] = field(default_factory=dict)  # those that were asked for

    def probe(self, layer: str, size: int, pooling: str) -> ProbeResult:
        """The probe on (layer, size, pooling), fitted when it is first asked for."""
        if (key := (layer, size, pooling)) not in self.fitted:
            x, x_test = self.features[key]
            self.fitted[key] = fit_probe(x, self.labels[0], x_test, self.labels[1])
        return self.fitted[key]

    def draw(self, layer: str, size: int, pooling: str) -> list[Figure]:
        """Accuracy of the probes over all layers, and what the probe on one of them confuses, as one figure."""
        layers = list(dict.fromkeys(name for name, *_ in self.features))
        table = pd.DataFrame([{"layer": name, "index": index, "value": self.probe(name, size, pooling).accuracy}
                              for index, name in enumerate(layers)])
        chosen = self.probe(layer, size, pooling)
        x = self.features[layer, size, pooling][1].flatten(1).double()
        predicted = chosen.classes[(x @ chosen.coefficients.double().T + chosen.intercepts).argmax(1)]
        fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[1.4, 1])
        probe_plots.probe_curve(table, left)
        left.axvline(layers.index(layer), color="0.3", lw=1, ls=":")
        left.set(title=f"{layer}: {chosen.accuracy:.1%} of {len(x)} test images", ylim=(0, 1.02))
        probe_plots.confusion(self.labels[1], predicted, self.classes, right)
        return [fig]


def probe_view(run: Run, samples: int = 400, sizes: Sequence[int] = range(1, 8)) -> ProbeView:
    """Compute the explorer's features for the first ``samples`` images of either split."""
    sets = [pictures_of(run, split, samples) for split in data.SPLITS]
    model, images = run.model(), [run.preprocess(s.images) for s in sets]
    features = {(layer, size, pooling): pooled for pooling in POOLING
                for layer, found in each_pooled_layer(model, images, layer_names(model), list(sizes), pooling)
                for alike, pooled in found.items() for size in alike}
    return ProbeView(features, [s.labels for s in sets], sets[0].classes)


def probe_explorer(run: Run, samples: int = 400, sizes: Sequence[int] = range(1, 8)) -> Explorer:
    """Controls for the layer, the side that its map is pooled to, and the pooling; a first draw takes seconds."""
    view = probe_view(run, samples, sizes)
    layers = list(dict.fromkeys(layer for layer, *_ in view.features))
    return Explorer(view.draw, {
        "layer": ipywidgets.SelectionSlider(options=layers, value=layers[-1]),
        "size": ipywidgets.SelectionSlider(options=list(sizes), value=min(sizes, key=lambda size: abs(size - 4))),
        "pooling": ipywidgets.ToggleButtons(options=POOLING),
    }, note=f"probes fitted on {len(view.labels[0])} training images; the first figure of a size takes seconds")


@dataclass(frozen=True)
class TailView:
    """Networks trained at several image sizes: what was measured of them, and where their border layers lie at any."""

    networks: Mapping[str, Mapping[int, Sequence[Run]]]  # name: {side in pixels: runs of one configuration}
    samples: int | None  # as for measured_advice

    def draw(self, network: str, pixels: int) -> list[Figure]:
        """A network's layers at an image size, with saturation and probes as measured at the nearest size trained."""
        sides = self.networks[network]
        trained = min(sides, key=lambda side: abs(math.log(side / pixels)))
        config = sides[trained][0].config
        advice = measured_advice(config.model, config.options, pixels, sides[trained], self.samples)
        saturation = advice.set_index("layer")["saturation"].dropna()
        tails = [f"{tail.first} to {tail.last}" for tail in find_tails(saturation).itertuples()]
        border = next((layer for layer, bound in zip(advice.layer, advice.border) if "b_min" in bound), "none")
        fig, ax = plt.subplots(figsize=(9, 3.6))
        architecture_plots.saturation_and_probes(
            advice, ax, accuracy=mean(run.accuracy for run in sides[trained]), input_size=pixels)
        ax.set_title(f"{network} at {pixels} px, border layer b_min: {border}\n"
                     f"measured at {trained} px, tail: {', '.join(tails) or 'none'}", fontsize=9)
        return [fig]


def tail_explorer(networks: Mapping[str, Mapping[int, Sequence[Run]]], samples: int | None,
                  sizes: Sequence[int] = (32, 48, 64, 96, 128, 160, 224, 320, 448, 640, 1024)) -> Explorer:
    """Choose network and image size: the border layer moves at once, the tail with the sizes that were trained.

    ``networks``, ``samples``: as for :class:`TailView`. ``sizes``: those to choose from, beside the trained ones.
    """
    view = TailView(networks, samples)
    trained = [side for sides in networks.values() for side in sides]
    return Explorer(view.draw, {
        "network": ipywidgets.Dropdown(options=list(networks)),
        "pixels": ipywidgets.SelectionSlider(options=sorted({*sizes, *trained}), value=trained[0]),
    })
