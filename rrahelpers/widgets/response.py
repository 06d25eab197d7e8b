"""The explorer of neighbours that change between two layers."""

from dataclasses import dataclass

import ipywidgets

from rrahelpers.features import each_layer, layer_names
from rrahelpers.neighbors import knn_graph
from rrahelpers.plots import response as response_plots
from rrahelpers.topology import nnts, nnts_per_sample
from rrahelpers.widgets.sliders import Explorer

METRICS = ("euclidean", "cosine")


@dataclass(frozen=True)
class NeighbourChangeView:
    """Neighbour graphs of every layer under each metric over some images, and what the explorer shows of them."""

    graphs: dict  # (layer, metric): KNNGraph
    images: object  # uint8 [N, C, H, W]
    labels: object  # int64 [N]
    classes: tuple

    def draw(self, first, second, k, metric, rows=5):
        """The images whose ``k`` neighbours change most from one layer to another, with their neighbours at both."""
        a, b = (self.graphs[layer, metric].first(k) for layer in (first, second))
        chosen = nnts_per_sample(a, b).argsort(stable=True)[:rows]
        return [response_plots.change_gallery(
            self.images, self.labels, chosen.tolist(), {first: a, second: b},
            title=f"NNTS of {first} and {second}, {metric}, k = {k}: {nnts(a, b):.3f}; images that keep the fewest "
                  "neighbours")]


def neighbour_change_view(run, image_set, samples=300, k=30):
    """Compute the explorer's graphs for the first ``samples`` images, with up to ``k`` neighbours."""
    images, labels = image_set.images[:samples], image_set.labels[:samples]
    model, most = run.model(), min(k, len(images) - 1)
    graphs = {(layer, metric): knn_graph(features, most, metric=metric)
              for layer, features in each_layer(model, run.preprocess(images), layer_names(model))
              for metric in METRICS}
    return NeighbourChangeView(graphs, images, labels, image_set.classes)


def neighbour_change_explorer(run, image_set, samples=300, k=30):
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
