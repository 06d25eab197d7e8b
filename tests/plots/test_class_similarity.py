"""Figures 2 and 3 of the STAC paper: what is drawn is what was given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from rrahelpers.class_similarity import LayerGraph
from rrahelpers.neighbors import knn_graph
from rrahelpers.plots import class_similarity as class_similarity_plots


def test_two_classes_and_their_curve():
    points, labels = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0, 1])
    table = pd.DataFrame({"transition": [0, 0, 1, 1], "value": [1.0, 1.0, 0.9, 0.95]})
    figure = class_similarity_plots.approaching_classes({0: (points, labels), 1: (points, labels)}, table)
    first, _, last = figure.axes
    np.testing.assert_allclose(first.collections[1].get_offsets(), [[1, 1]])
    np.testing.assert_allclose(last.lines[0].get_xydata(), [[0, 1], [1, 0.925]])
    plt.close(figure)


def test_process_has_a_map_and_a_graph_at_each_scale():
    features = torch.randn(8, 3, 4, 4)
    graphs = {scale: LayerGraph("one", 0, scale, 4 // scale, knn_graph(features.flatten(1), 2)) for scale in (1, 2)}
    curves = pd.DataFrame({"index": [0, 1] * 2, "scale": ["1", "1", "2", "2"], "value": [0.1, 0.2, 0.3, 0.4]})
    figure = class_similarity_plots.process_figure(features, [0, 1] * 4, graphs, {1: 0.5, 2: 0.25}, curves, 1)
    *panels, right = [ax for part in figure.subfigs for ax in part.axes]
    assert len(panels) == 4 and [panels[1].get_title(), panels[3].get_title()] == ["CS = 0.50", "CS = 0.25"]
    np.testing.assert_allclose(panels[0].images[0].get_array(), features[0].mean(0))
    assert panels[2].images[0].get_array().shape == (2, 2)
    np.testing.assert_allclose(right.lines[-1].get_xdata(), [1, 1])  # marks the layer
    plt.close(figure)


def test_operations_and_gains():
    table = pd.DataFrame([{"operation": operation, "index": index, "layer": str(index), "scale": "1", "value": value}
                          for operation, values in {"average": (0.1, 0.5), "maximum": (0.2, 0.7)}.items()
                          for index, value in enumerate(values)])
    figure = class_similarity_plots.curve_panels(table, "operation")
    assert [ax.get_title() for ax in figure.axes] == ["average", "maximum"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0.2, 0.7])
    other, ax = plt.subplots()
    gains = pd.DataFrame({"index": [0, 0, 1], "scale": ["2"] * 3, "gain": [0.1, 0.3, -0.1]})
    class_similarity_plots.gain_curves(gains, ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0.2], [1, -0.1]])
    plt.close(figure), plt.close(other)
