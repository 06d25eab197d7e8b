"""Figure 43 and the losses of tables 5 and 14 to 16: every curve is drawn, at its numbers."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from rrahelpers.plots import eigenspace as eigenspace_plots, saturation as saturation_plots


def test_subspace_panels_draw_each_network_and_the_mean_of_all():
    networks = {"VGG11": ("vgg11", {}), "VGG11, width 1/4": ("vgg11", {"width": 0.25}), "VGG13": ("vgg13", {})}
    table = pd.DataFrame([{"network": network, "subspace": subspace, "delta": delta, "relative": place / 10 + delta / 2}
                          for place, network in enumerate(networks) for subspace in ("eigenspace", "random")
                          for delta in (0.9, 0.99)])
    figure = eigenspace_plots.subspace_panels(table, networks, [0.9, 0.99], chance=0.125)
    left, _, right = figure.axes
    assert [line.get_label() for line in left.lines] == [*networks, "guessing"]
    np.testing.assert_allclose(left.lines[1].get_ydata(), [0.1 + 0.45, 0.1 + 0.495])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.1 + 0.45, 0.1 + 0.495])  # the mean of the three
    assert left.lines[0].get_color() == left.lines[2].get_color() != left.lines[1].get_color()  # one width
    assert left.lines[0].get_linestyle() == left.lines[1].get_linestyle() != left.lines[2].get_linestyle()
    assert list(left.get_xticks()) == [0.9, 0.95, 0.98, 0.99] and left.get_xscale() == "logit"
    plt.close(figure)


def test_accuracy_lost_is_drawn_published_and_measured():
    published = pd.DataFrame({"delta": [0.9, 1.0], "difference": [0.2, 0.0], "std": [0.05, 0.0]})
    measured = pd.DataFrame({"delta": [0.9, 0.99], "difference": [0.3, 0.1], "low": [0.2, 0.0], "high": [0.4, 0.2]})
    tables = {"one": (published, measured), "two": (published, measured[:0])}
    figure = eigenspace_plots.accuracy_lost(tables, [0.9, 0.99])
    one, two = figure.axes
    np.testing.assert_allclose(one.lines[0].get_xydata(), [[0.9, 0.2]])  # δ = 1 has no place on the axis
    np.testing.assert_allclose(one.lines[1].get_ydata(), [0.3, 0.1])
    assert two.texts[0].get_text() == "measured: not trained yet" and one.get_ylabel() == "accuracy lost"
    plt.close(figure)


def test_filters_to_keep_and_layers_to_remove():
    figure, ax = plt.subplots()
    table = pd.DataFrame({"layer": ["a", "b", "c"], "index": [0, 1, 2], "filters": [8, 8, 16], "keep": [3, 2, 9],
                          "remove": [False, True, False]})
    eigenspace_plots.filters_bars(table, ax)
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in ax.containers}
    assert heights == {"filters": [8, 8, 16], "keep": [3, 9], "layer to remove": [2]}
    plt.close(figure)


def test_tails_are_framed_epoch_by_epoch():
    figure, ax = plt.subplots()
    curves = {1: [0.5] * 6, 2: [0.6, 0.6, 0.6, 0.1, 0.1, 0.1]}
    table = pd.DataFrame([{"epoch": epoch, "split": "train", "layer": f"l{i}", "index": i, "saturation": value}
                          for epoch, curve in curves.items() for i, value in enumerate(curve)])
    eigenspace_plots.tails_over_epochs(table, ax)
    np.testing.assert_allclose(ax.images[0].get_array(), np.array(list(curves.values())).T)
    frame, = ax.patches
    assert frame.get_xy() == (1.5, 2.5) and (frame.get_width(), frame.get_height()) == (1, 3)
    plt.close(figure)


def test_saturation_against_delta_is_the_mean_over_layers_beside_the_printed_one():
    table = pd.DataFrame([(0.9, "a", 0.1), (0.9, "b", 0.3), (0.99, "a", 0.4), (0.99, "b", 0.6)],
                         columns=["delta", "layer", "saturation"])
    printed = pd.Series({1.0: 1.0, 0.99: 0.7, 0.9: 0.5})
    figure, (first, second) = plt.subplots(1, 2)
    ax = saturation_plots.against_delta(table, first, printed=printed)
    measured, published = ax.lines
    assert measured.get_xdata().tolist() == [0.9, 0.99] and measured.get_ydata() == pytest.approx([0.2, 0.5])
    assert published.get_ydata().tolist() == [0.5, 0.7], "δ = 1 has no place on the axis"
    assert len(saturation_plots.against_delta(table, second).lines) == 1
    plt.close(figure)
