"""The STAC paper's figures: circles, gates and windows at their numbers; drawings with every step."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from rrahelpers.data import ImageSet
from rrahelpers.plots import module_drawings, stac as stac_plots
from rrahelpers.study.significance import Sample


def test_trade_off_names_every_network_and_those_that_are_not_trained():
    table = pd.DataFrame({"panel": ["one"] * 3 + ["two"] * 2,
                          "label": ["Base", "BAM - Standard", "STAC - Standard", "Base", "BAM - Standard"],
                          "top1": [90.0, 91.0, np.nan, 80.0, 81.0], "std": [0.1, 0.2, np.nan, np.nan, 0.1],
                          "flops": [40e6, 60e6, 41e6, 2e9, 3e9], "params": [100, 400, 200, 100, 100]})
    figure = stac_plots.trade_off(table)
    one, two = figure.axes
    assert [text.get_text().strip() for text in one.texts] == ["not trained: STAC", "BAM", "base"]
    np.testing.assert_allclose(sorted(one.collections[0].get_sizes()), [150, 600])  # areas as the parameters
    np.testing.assert_allclose(one.get_xlim(), [35, 65])  # a quarter of the range on either side
    assert two.get_xlabel() == "FLOPs (B)" and one.get_xlabel() == "FLOPs (M)"
    plt.close(figure)


def test_gates_lie_over_their_images():
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    maps = {1: torch.rand(3, 4, 8, 8) * torch.tensor([1.0, 0.1, 0.1, 0.1])[:, None, None], 2: torch.rand(3, 2, 4, 4)}
    figure = stac_plots.attention_figure(ImageSet(images, torch.tensor([0, 1, 0]), ("a", "b"), "", ""), maps, count=3)
    assert [ax.get_title().replace("\n", " ") for ax in figure.axes[:4]] == [
        "image", "stage 1, mean of 4 channels", "stage 2, mean of 2 channels", "stage 1, channel 0"]
    np.testing.assert_allclose(figure.axes[3].images[1].get_array(), maps[1][0, 0])
    assert figure.axes[1].images[1].get_clim() == figure.axes[2].images[1].get_clim()  # the means share a scale
    plt.close(figure)


def test_stage_grid_has_means_networks_and_chosen_windows():
    figure, (ax, empty) = plt.subplots(1, 2)
    points = pd.DataFrame({"stage": [1, 1, 1, 2], "window": [1, 1, 4, 1], "top1": [80.0, 82.0, 79.0, 85.0]})
    stac_plots.stage_grid_panel(ax, points, Sample(81.0, 0.5, 2), (1, 1), [1, 4])
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 81], [4, 79]])
    np.testing.assert_allclose(ax.lines[2].get_xydata(), [[1, 81]])  # the ring
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "4"]
    stac_plots.stage_grid_panel(empty, points[:0], Sample(np.nan, np.nan, 0), (), [1, 4])
    assert empty.texts[0].get_text() == "not trained yet"
    plt.close(figure)


def test_the_best_window_of_each_stage_is_marked():
    table = pd.DataFrame([[0.2, 0.4, 0.3], [0.5, 0.1, np.nan]], index=[1, 2], columns=[1, 2, 4])
    figure = stac_plots.stage_windows(table, (2, 1))
    first, second = figure.axes
    np.testing.assert_allclose(first.lines[0].get_ydata(), [0.2, 0.4, 0.3])
    np.testing.assert_allclose([first.lines[1].get_ydata()[0], second.lines[1].get_ydata()[0]], [0.4, 0.5])
    assert second.get_title() == "stage 2: 2 x 2 map"
    plt.close(figure)


@pytest.mark.parametrize("draw, texts", [(module_drawings.stac_module, ["average\npooling P", "condense", "×", "T"]),
                                         (module_drawings.stac_placements, ["post", "STAC", "+"])])
def test_drawings_have_every_step(draw, texts):
    figure, table = draw()
    assert set(texts) <= {text.get_text() for text in figure.axes[0].texts} and len(table)
    plt.close(figure)
