"""The explorers of a network's predictions and of its class similarity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from rrahelpers import plots
from rrahelpers.class_similarity import LayerGraph, class_similarity, scale_graphs
from rrahelpers.data import ImageSet
from rrahelpers.widgets.sliders import Explorer

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Integers, Pixels
    from rrahelpers.study.results.pictures import Pictures
    from rrahelpers.training.runs import Run


@dataclass(frozen=True, eq=False)
class ClassSimilarityView:
    """Neighbour graphs of every layer and scale over some images, and what the explorer shows of them."""

    graphs: dict[tuple[str, str], LayerGraph]  # by layer and scale as text
    images: Pixels
    labels: Integers
    classes: tuple[str, ...]
    known: dict[int, pd.DataFrame] = field(default_factory=dict)  # k: the curves that were asked for

    def curves(self, k: int) -> pd.DataFrame:
        """Class similarity of each layer and scale for the first ``k`` neighbours: a table as of classrepsim."""
        if k not in self.known:
            self.known[k] = pd.DataFrame([
                {"layer": g.layer, "index": g.index, "scale": scale, "side": g.side,
                 "value": class_similarity(g.graph.first(k), self.labels)} for (_, scale), g in self.graphs.items()])
        return self.known[k]

    def draw(self, layer: str, scale: str, k: int, query: int) -> tuple[Figure, ...]:
        """Two figures: the curves of all scales, that of ``scale`` in front and the layer marked on it, and the query
        with its neighbours there.

        The curves alone where the scale doesn't divide the layer's map.
        """
        table = self.curves(k)
        curve, ax = plt.subplots(figsize=(6.8, 3.1))
        plots.class_similarity_curves(table, ax)
        for line in ax.lines:
            chosen = line.get_label() == plots.SCALE_NAMES[scale]
            line.set(alpha=1 if chosen else 0.35, linewidth=2.5 if chosen else 1, zorder=3 if chosen else 2)
        if (layer, scale) not in self.graphs:
            ax.set(ylim=(0, 1.02), title=f"{layer}: its map can't be pooled by {scale}")
            return (curve,)
        here = table[(table.layer == layer) & (table.scale == scale)].iloc[0]
        ax.plot(here["index"], here.value, "o", ms=9, mfc="none", mec="black", zorder=4)
        ax.set(ylim=(0, 1.02), title=f"{layer}, {plots.SCALE_NAMES[scale]} pooling, k = {k}: CS = {here.value:.3f}")
        neighbours = self.graphs[layer, scale].graph.indices[query, :k].tolist()
        return curve, plots.neighbour_gallery(self.images, self.labels, self.classes, query, neighbours, columns=8)

    def points(self, figure: Figure, k: int, **_: object) -> pd.DataFrame:
        """Where the points of the curves lie in their figure, as :class:`rrahelpers.widgets.sliders.Explorer` asks."""
        figure.draw_without_rendering()
        table = self.curves(k)
        places = figure.axes[0].transData.transform(table[["index", "value"]]) / figure.bbox.size
        return table[["layer", "scale"]].assign(x=places[:, 0], y=places[:, 1])


def class_similarity_view(run: Run, image_set: ImageSet | Pictures, samples: int = 500,
                          k: int = 30) -> ClassSimilarityView:
    """Compute the explorer's graphs for the first ``samples`` images, with up to ``k`` neighbours."""
    images, labels = image_set.images[:samples], image_set.labels[:samples]
    graphs = scale_graphs(run.model(), run.preprocess(images), k=min(k, len(images) - 1))
    return ClassSimilarityView({(g.layer, str(g.scale)): g for g in graphs}, images, labels, image_set.classes)


def class_similarity_explorer(run: Run, image_set: ImageSet | Pictures, samples: int = 500, k: int = 30) -> Explorer:
    """Controls for layer, pooling scale, neighbours and query image over a run's class similarity; a click on a point
    of a curve chooses its layer and scale."""
    view = class_similarity_view(run, image_set, samples, k)
    layers, scales = (list(dict.fromkeys(key[i] for key in view.graphs)) for i in (0, 1))
    deepest = next(iter(view.graphs.values())).graph.indices.shape[1]
    return Explorer(view.draw, {
        "layer": ipywidgets.SelectionSlider(options=layers, value=layers[len(layers) // 2]),
        "scale": ipywidgets.SelectionSlider(options=[(plots.SCALE_NAMES[s], s) for s in scales], description="pooling"),
        "k": ipywidgets.IntSlider(min(10, deepest), 1, deepest),
        "query": ipywidgets.IntSlider(0, 0, len(view.labels) - 1),
    }, note=f"among {len(view.labels)} images; a click on a point chooses it", points=view.points)


def prediction_explorer(run: Run, image_set: ImageSet | Pictures) -> Explorer:
    """A slider over images, each beside the class probabilities that a run's network gives it."""
    model = run.model()
    return Explorer(lambda image: [prediction_figure(model, run, image_set, image)],
                    {"image": ipywidgets.IntSlider(0, 0, len(image_set.labels) - 1)})


def prediction_figure(model: nn.Module, run: Run, image_set: ImageSet | Pictures, index: int) -> Figure:
    """One image beside the five highest class probabilities of a run's network."""
    probabilities = model(run.preprocess(image_set.images[index:index + 1])).softmax(1)[0].detach()
    best = probabilities.argsort(descending=True)[:5]
    fig, (left, right) = plt.subplots(1, 2, figsize=(6, 2.2), width_ratios=[1, 2])
    left.imshow(plots.image_of(image_set.images[index]), cmap="gray", vmin=0, vmax=255)
    left.set(title=image_set.classes[image_set.labels[index]][:20], xticks=[], yticks=[])
    left.grid(False)
    colours = [plots.SAME if c == image_set.labels[index] else plots.OTHER for c in best]
    right.barh([image_set.classes[c][:20] for c in best], probabilities[best].tolist(), color=colours)
    right.invert_yaxis()
    right.set(xlim=(0, 1), xlabel="probability")
    return fig
