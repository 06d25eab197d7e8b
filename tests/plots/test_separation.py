"""Ranks and guarantees are drawn at their numbers."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from rrahelpers.plots import separation as separation_plots


def test_each_network_is_a_point_with_its_rank():
    figure, ax = plt.subplots()
    table = pd.DataFrame({"model": ["A, seed 0", "A, untrained", "B, seed 0"], "rank": [1, 3, 2],
                          "value": [0.9, 0.4, 0.8], "accuracy": [0.95, 0.5, 0.7]})
    separation_plots.ranking_points(table, ax)
    trained, untrained = ax.collections
    np.testing.assert_allclose(trained.get_offsets(), [[0.9, 0.95], [0.8, 0.7]])
    np.testing.assert_allclose(untrained.get_offsets(), [[0.4, 0.5]])
    assert [text.get_text() for text in ax.texts] == ["1", "2", "3"]
    plt.close(figure)


def test_guarantees_have_a_panel_for_each_network():
    table = pd.DataFrame({"network": ["A", "A", "B"], "SI of the training images": [1.0, 1.0, 0.5], "gamma": [0, 1, 0],
                          "share": [1, 0.5, 0.7], "right": [0.6, 0.9, 0.8]})
    figure = separation_plots.guarantee_panels(table)
    first, second = figure.axes
    np.testing.assert_allclose(first.lines[0].get_xydata(), [[0, 1], [1, 0.5]])
    np.testing.assert_allclose(first.lines[1].get_ydata(), [0.6, 0.9])
    assert second.get_title() == "B: SI = 0.500"
    plt.close(figure)


def test_attacks_and_orders_are_drawn_at_their_numbers():
    figure, (ax, other) = plt.subplots(1, 2)
    separation_plots.attack_curve(pd.DataFrame({"factor": [0.5, 2], "flipped": [0, 0.9], "samples": 7, "SI": 1.0}), ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0.5, 0], [2, 0.9]])
    assert ax.get_title() == "7 samples, SI = 1"
    table = pd.DataFrame({"network": ["A", "A", "B"], "order": [1, 2, 1], "gamma": [0.1, 0.3, 0.2]})
    separation_plots.gamma_curve(table, other)
    np.testing.assert_allclose(other.lines[0].get_xydata(), [[1, 0.1], [2, 0.3]])
    panels = separation_plots.order_panels(table, table.assign(bound=[1, 2, 3], error=[0, 0, 1]))
    left, right = panels.axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.1, 0.3, 0.2])
    np.testing.assert_allclose([line.get_ydata() for line in right.lines], [[1, 2, 3], [0, 0, 1]])
    plt.close(figure), plt.close(panels)
