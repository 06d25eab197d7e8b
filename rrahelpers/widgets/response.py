"""The explorer of neighbours that change between two layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ipywidgets
from matplotlib.figure import Figure

from rrahelpers.data import ImageSet
from rrahelpers.features import each_layer, layer_names
from rrahelpers.neighbors import KNNGraph, knn_graph
from rrahelpers.plots import response as response_plots
from rrahelpers.topology import nnts, nnts_per_sample
from rrahelpers.widgets.sliders import Explorer

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Integers, Pixels
    from rrahelpers.study.results.pictures import Pictures
    from rrahelpers.training.runs import Run

METRICS = ("euclidean", "cosine")


@dataclass(frozen=True)
class NeighbourChangeView:
    """Neighbour graphs of every layer under each metric over some images, and what the explorer shows of them."""

    graphs: dict[tuple[str, str], KNNGraph]  # by layer and metric
    images: Pixels
    labels: Integers
    classes: tuple[str, ...]

    def draw(self, first: str, second: str, k: int, metric: str, rows: int = 5) -> list[Figure]:
        """The images whose ``k`` neighbours change most from one layer to another, with their neighbours at both."""
        a, b = (self.graphs[layer, metric].first(k) for layer in (first, second))
        chosen = nnts_per_sample(a, b).argsort(stable=True)[:rows]
        return [response_plots.change_gallery(
            self.images, self.labels, chosen.tolist(), {first: a, second: b},
            title=f"NNTS of {first} and {second}, {metric}, k = {k}: {nnts(a, b):.3f}; images that keep the fewest "
                  "neighbours")]


def neighbour_change_view(run: Run, image_set: ImageSet | Pictures, samples: int = 300,
                          k: int = 30) -> NeighbourChangeView:
    """Compute the explorer's graphs for the first ``samples`` images, with up to ``k`` neighbours."""
    images, labels = image_set.images[:samples], image_set.labels[:samples]
    model, most = run.model(), min(k, len(images) - 1)
    graphs = {(layer, metric): knn_graph(features, most, metric=metric)
              for layer, features in each_layer(model, run.preprocess(images), layer_names(model))
              for metric in METRICS}
    return NeighbourChangeView(graphs, images, labels, image_set.classes)


def neighbour_change_explorer(run: Run, image_set: ImageSet | Pictures, samples: int = 300, k: int = 30) -> Explorer:
    """Sliders for two layers, neighbours and metric over the images whose neighbours change most between the layers."""
    view = neighbour_change_view(run, image_set, samples, k)
    layers = list(dict.fromkeys(layer for layer, _ in view.graphs))
    deepest = next(iter(view.graphs.values())).k
    return Explorer(view.draw, {
        "first": ipywidgets.SelectionSlider(options=layers, value=layers[len(layers) // 2]),
        "second": ipywidgets.SelectionSlider(options=layers, value=layers[-1]),
        "k": ipywidgets.IntSlider(min(10, deepest), 1, deepest),
        "metric": ipywidgets.ToggleButtons(options=METRICS),
    }, note=f"among {len(view.labels)} images")
