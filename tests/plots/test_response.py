"""The plots draw the numbers of their tables."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from rrahelpers.neighbors import knn_graph
from rrahelpers.plots import response as response_plots
from rrahelpers.topology import births_and_deaths, nntp, nnts_matrix


@pytest.fixture
def graphs():
    x = torch.randn(30, 3)
    return [knn_graph(x + step * 0.3 * torch.randn(30, 3), 4) for step in range(4)]


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def test_heatmap_averages_seeds_and_names_layers(graphs, ax):
    first, second = nnts_matrix(graphs), nnts_matrix(graphs[::-1])
    response_plots.similarity_heatmap(pd.concat([first, second]), ax, layers={0: "input"})
    mean = (first.value.to_numpy() + second.value.to_numpy()) / 2
    np.testing.assert_allclose(ax.images[0].get_array(), mean.reshape(4, 4))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["input", "1", "2", "3"]


def test_heatmap_between_two_networks(graphs, ax):
    response_plots.similarity_heatmap(nnts_matrix(graphs, graphs[:2]), ax, other="seed 1")
    assert ax.images[0].get_array().shape == (4, 2) and ax.get_xlabel() == "layer of seed 1"


def test_persistence_curves(graphs, ax):
    table = nntp(graphs)
    response_plots.persistence_curves(table, ax)
    assert len(ax.lines) == 3
    for i, line in enumerate(ax.lines):
        np.testing.assert_allclose(line.get_ydata(), table[table.i == i].value)
        np.testing.assert_allclose(line.get_xdata(), range(i, 4))


@pytest.mark.parametrize("labels", [None, torch.arange(30) % 3])
def test_births_rise_above_zero_as_far_as_deaths_fall_below(graphs, ax, labels):
    table = births_and_deaths(graphs, labels)
    response_plots.neighbour_flow(table, ax)
    births = table[table.event == "birth"].groupby("j").share.sum().to_numpy()
    ends = np.array([[bar.get_y() + bar.get_height() for bar in bars] for bars in ax.containers])
    np.testing.assert_allclose(ends.max(0), births)
    np.testing.assert_allclose(ends.min(0), -births)
    assert len(ax.containers) == (2 if labels is None else 4)


def test_cohorts_fill_every_layer(graphs, ax):
    response_plots.neighbour_cohorts(nntp(graphs), ax)
    assert len(ax.collections) == 4
    top = ax.collections[-1].get_paths()[0].vertices
    assert top[:, 1].max() == pytest.approx(1)


def test_separation_beside_accuracy(ax):
    rows = [(i, measure, split, seed, 0.1 * i + 0.02 * seed) for i in range(3)
            for measure in ("separation index", "accuracy") for split in ("train", "test") for seed in (0, 1)]
    table = pd.DataFrame(rows, columns=["index", "measure", "split", "seed", "value"])
    response_plots.separation_beside_accuracy(table, ax)
    assert [line.get_label() for line in ax.lines] == ["separation index, train", "separation index, test",
                                                       "accuracy, train", "accuracy, test"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [0.01, 0.11, 0.21])
    assert ax.lines[0].get_color() == ax.lines[1].get_color() != ax.lines[2].get_color()
    assert ax.lines[0].get_linestyle() == "-" and ax.lines[1].get_linestyle() == "--"


def test_response_panels_draw_each_measure_with_its_mean_over_seeds():
    layers = pd.DataFrame([{"index": index, "measure": measure, "neighbours": near, "value": value + index + seed}
                           for index in (0, 1) for seed in (0, 0.5)
                           for measure, near, value in (("separation index", 1, 1), ("separation index", 3, 2),
                                                        ("separation index", 10, 3), ("class similarity", 10, 4),
                                                        ("intrinsic dimension", 2, 5), ("duplicates", 1, 99))])
    pairs = pd.DataFrame({"i": [0, 1], "j": [1, 2], "value": [0.25, 0.75]})
    figure = response_plots.response_panels(layers, {"NNTS": pairs, "CKA": pairs.assign(value=0.5)}, 10)
    left, middle, right = figure.axes
    np.testing.assert_allclose([line.get_ydata() for line in left.lines], [[v + 0.25, v + 1.25] for v in (1, 2, 3, 4)])
    assert left.lines[-1].get_label() == "class similarity, k = 10"
    np.testing.assert_allclose(middle.lines[0].get_ydata(), [5.25, 6.25])
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[1, 0.25], [2, 0.75]])
    assert [line.get_label() for line in right.lines] == ["NNTS with the layer before",
                                                          "linear CKA with the layer before"]
    plt.close(figure)


def test_settings_have_a_row_for_each_study_and_a_line_for_each_setting():
    settings = ("k", "k = 1", 0.1), ("k", "k = 5", 0.5), ("search", "exact", 1)
    table = pd.DataFrame([{"study": study, "setting": setting, "measure": measure, "index": index, "value": value}
                          for study, setting, value in settings
                          for measure in ("NNTS", "NNTP") for index in (0, 1)])
    figure = response_plots.settings_grid(table)
    assert [len(ax.lines) for ax in figure.axes] == [2, 2, 1, 1]
    np.testing.assert_allclose(figure.axes[1].lines[1].get_ydata(), [0.5, 0.5])
    assert figure.axes[0].get_title() == "NNTS" and figure.axes[2].get_ylabel() == "search"
    plt.close(figure)


def test_training_panels_leave_out_a_kind_that_is_not_there():
    rows = pd.DataFrame({"index": [0, 1, 0], "value": [0.1, 0.2, 0.3], "training": ["with", "with", "without"]})
    figure = response_plots.training_panels({"both": rows, "one": rows[:2]}, ("with", "without"))
    assert [len(ax.lines) for ax in figure.axes] == [2, 1]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0.1, 0.2])
    plt.close(figure)


def test_symmetry_panels():
    table = pd.DataFrame([(i, a, j, b, i / 10 + j / 20) for i in (0, 1) for j in (0, 1) for a in "12" for b in "12"],
                         columns=["i", "a", "j", "b", "value"])
    figure = response_plots.symmetry_panels(table, ["1", "2"])
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0, 0.05], [0.1, 0.15]])
    assert figure.axes[0].get_ylabel() == "scale 1" and figure.axes[0].get_xlabel() == "layer of scale 2"
    plt.close(figure)
