"""The explorer of separation: classes, orders and the radius within which a nearest-neighbour prediction holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from rrahelpers import data, plots, separation
from rrahelpers.features import extract, layer_names
from rrahelpers.neighbors import KNNGraph, knn_graph
from rrahelpers.study.results import pictures_of
from rrahelpers.widgets.sliders import Explorer

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Integers
    from rrahelpers.training.runs import Run


@dataclass(frozen=True)
class SeparationView:
    """Neighbour graphs of training images and margins of test images at every layer, and what the explorer shows of
    them."""

    graphs: dict[str, KNNGraph]  # by layer, of the training images
    margins: dict[str, separation.Margins]  # by layer, of the test images among them
    labels: Integers  # of the training images
    classes: tuple[str, ...]

    def draw(self, layer: str, order: int, gamma: float) -> list[Figure]:
        """SI of each class at a layer, and the radii of the test images, as one figure."""
        known = self.margins[layer]
        radius = (known.between - known.within) / 2
        table = separation.separation_by_class(self.graphs[layer], self.labels, order)
        fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
        left.bar([self.classes[c][:12] for c in table["class"]], table.value, color=plots.SAME)
        left.tick_params(axis="x", rotation=90)
        left.set(ylim=(0, 1.02), ylabel=f"SI of order {order}", title=f"{layer}: classes of the training images")
        right.hist(radius.numpy(), bins=40, color=plots.SAME)
        right.axvline(gamma * radius.max().item(), color=plots.OTHER, label=f"γ = {gamma * radius.max().item():.3g}")
        inside = (radius > gamma * radius.max()).double().mean().item()
        right.set(xlabel="radius of a test image", ylabel="images",
                  title=f"{inside:.0%} beyond γ; "
                  + ("guaranteed" if known.index == 1 else f"SI = {known.index:.3f}: nothing is guaranteed"))
        right.legend()
        return [fig]


def separation_view(run: Run, samples: int = 300, orders: int = 10) -> SeparationView:
    """Compute the explorer's graphs and margins for the first ``samples`` images of either split."""
    model, parts = run.model(), {}
    for split in data.SPLITS:
        images = pictures_of(run, split, samples)
        parts[split] = extract(model, run.preprocess(images.images), layer_names(model)), images
    (train, images), (test, _) = parts["train"], parts["test"]
    graphs = {layer: knn_graph(x, min(orders, len(x) - 1)) for layer, x in train.items()}
    margins = {layer: separation.margins_of(test[layer], x, images.labels) for layer, x in train.items()}
    return SeparationView(graphs, margins, images.labels, images.classes)


def separation_explorer(run: Run, samples: int = 300, orders: int = 10) -> Explorer:
    """Sliders for layer, order and γ (as a share of the largest radius)."""
    view = separation_view(run, samples, orders)
    layers = list(view.graphs)
    return Explorer(view.draw, {
        "layer": ipywidgets.SelectionSlider(options=layers, value=layers[-1]),
        "order": ipywidgets.IntSlider(1, 1, next(iter(view.graphs.values())).k),
        "gamma": ipywidgets.FloatSlider(0, min=0, max=1, step=0.05, description="γ / largest"),
    }, note=f"{len(view.labels)} training images")
