"""Panels, heatmaps, costs and diagrams draw the numbers of their tables."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.advisor import advise, propose
from rrahelpers.plots import OTHER, SAME, advice as advice_plots, architecture as architecture_plots, diagrams
from rrahelpers.receptive_field import receptive_fields


@pytest.fixture
def model():
    with torch.device("meta"):
        convolutions = (nn.Conv2d(1, 1, 5, stride=2, padding=2) for _ in range(5))
        return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(1, 2))


def test_panels_show_what_is_measured_and_say_what_is_not(model):
    measured = advise(model, 32, {"0": 0.5, "6": 0.2}, {"0": 0.3, "6": 0.6})
    panels = {"a": (measured, 0.55), "b": (advise(model, 32), None), "c": (measured, None)}
    fig = architecture_plots.network_panels(panels, 32)
    first, second = (next(ax for ax in fig.axes if ax.get_title() == title) for title in "ab")
    lines = {line.get_label(): line for line in first.lines}
    assert lines["saturation"].get_ydata().tolist() == [0.5, 0.2]
    assert lines["accuracy of the network"].get_ydata()[0] == 0.55
    assert [text.get_text() for text in second.texts] == ["not trained"] and not first.texts
    assert [t.get_text() for t in second.get_xticklabels()][0] == "1"
    (legend,) = [ax.get_legend() for ax in fig.axes if ax.get_legend()]
    told = [text.get_text() for text in legend.texts]
    assert len(told) == len(set(told))
    assert {"saturation", "probe accuracy", "receptive field", "image, 32 pixels"} <= set(told)


def test_long_networks_have_fewer_labels_and_linear_layers_short_ones():
    layers = pd.DataFrame({"layer": [f"l{i}" for i in range(65)], "conv": [*range(1, 65), None],
                           "type": [*["Conv2d"] * 64, "Linear"], "r_min": 1, "r_max": 1, "border": ""})
    layers = layers.astype({"conv": "Int64"})
    _, ax = plt.subplots()
    architecture_plots.receptive_field_curve(layers, ax)
    assert [t.get_text() for t in ax.get_xticklabels()][:2] == ["1", "4"] and list(ax.get_xticks())[-1] == 63
    ax.clear()
    architecture_plots.receptive_field_curve(layers[60:], ax)
    assert [t.get_text() for t in ax.get_xticklabels()][-2:] == ["64", "fc"]


def test_heatmaps_are_shares_of_the_accuracy():
    places = [(layer, row, column, 0.1 * row + 0.2 * column + 0.05 * seed)
              for layer in "ab" for row in range(2) for column in range(3) for seed in (0, 1)]
    table = pd.DataFrame(places, columns=["layer", "row", "column", "value"])
    fig = architecture_plots.position_heatmaps(table, 0.5, {"b": "second", "a": "first"})
    np.testing.assert_allclose(fig.axes[0].images[0].get_array(), [[0.05, 0.45, 0.85], [0.25, 0.65, 1.05]])
    assert [ax.get_title() for ax in fig.axes[:2]] == ["second\n0.05 to 1.05", "first\n0.05 to 1.05"]


def test_costs_are_percent_of_the_network_as_it_is(model):
    table = propose(model, 32)
    fig = architecture_plots.proposal_costs(table)
    params, flops, memory = ([text.get_text().strip() for text in ax.texts] for ax in fig.axes)
    cut = table.set_index("proposal").loc["truncate"]
    assert params[0] == flops[0] == "100 %"
    assert flops[1] == f"{100 * (1 - cut.flops_saved):.0f} %"
    assert memory[1] == f"{100 * (1 - cut.memory_saved):.0f} %"
    assert params[-1] == "can't be done"  # enlarging images that a linear layer would refuse


@pytest.mark.parametrize("layers", [[(3, 1)] * 3, [(3, 2), (3, 1), (3, 1)], [(5, 1), (2, 2), (3, 1)]])
def test_expansion_colours_the_receptive_field(layers):
    _, ax = plt.subplots()
    seen = diagrams.expansion(layers, ax, places=21)
    model = nn.Sequential(*(nn.Conv2d(1, 1, (1, kernel), (1, stride)) for kernel, stride in layers))
    assert seen[0] == receptive_fields(model, (1, 1, 21)).r_max.iloc[-1]
    maps = [c for c in ax.collections if isinstance(c, matplotlib.collections.PathCollection)]
    for level, (squares, count) in enumerate(zip(maps, seen, strict=True)):
        colours = matplotlib.colors.to_rgba_array(squares.get_facecolors())
        assert (colours == matplotlib.colors.to_rgba(OTHER if level else SAME)).all(1).sum() == count
    assert len(seen) == 4 and seen[-1] == 1
    with pytest.raises(ValueError, match="a kernel of 3 doesn't fit 1 places; give more than 5 places"):
        diagrams.expansion([(5, 1), (3, 1)], ax, places=5)


def test_a_path_is_drawn_through_the_chosen_branches():
    _, ax = plt.subplots()
    diagrams.paths([[[3]], [[1], [3, 5]], [[3]]], [0, 1, 0], ax)
    coloured = [text.get_text() for text in ax.texts if text.get_color() == "white"]
    assert coloured == ["image", "3x3", "3x3", "5x5", "3x3"]
    on = [line for line in ax.lines if line.get_color() == diagrams.PATH]
    assert len(on) == 4 and len(ax.lines) == 6


def test_three_ways_to_get_rid_of_a_tail_are_points_of_each_network():
    table = pd.DataFrame([("a", "whole", 0, 0.8), ("a", "whole", 1, 0.7), ("a", "fitted", 0, 0.6),
                          ("b", "whole", 0, 0.5)], columns=["network", "way", "seed", "accuracy"])
    figure, ax = plt.subplots()
    advice_plots.stump_points(table, ax)
    drawn = {line.get_label(): list(zip(line.get_xdata(), line.get_ydata())) for line in ax.lines}
    assert drawn["whole"] == [(80, 0), (70, 0), (50, 1)] and drawn["fitted"] == [(60, 0)]
    assert drawn["retrained: not trained yet"] == []
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    plt.close(figure)
