"""The explorers of receptive fields and of advice, as plain functions."""

import matplotlib

matplotlib.use("Agg")

import pytest

from rrahelpers import complexity, widgets
from rrahelpers.advisor import propose
from rrahelpers.study import grids


def borders(fig):
    """The numbers of the convolutions at the bars, by what the bars are called."""
    return {line.get_label().removeprefix("border layer "): line.get_xdata()[0] + 1
            for line in fig.axes[0].lines if line.get_label().startswith("border layer")}


@pytest.mark.parametrize("size, places", [
    (32, {"b_max": 5, "b_min": 11}),
    (64, {"b_max": 8, "b_min": 15}),  # inputs of 51 and 67 pixels at 7 and 8, 35 and 67 at 14 and 15
])
def test_the_border_layers_move_with_the_size_of_the_images(size, places):
    assert borders(widgets.receptive_field_figure("ResNet18", size)) == places


def test_the_title_tells_the_share_of_the_idle_layers():
    fig = widgets.receptive_field_figure("VGG16", 32)
    total, kept = (complexity.count(grids.untrained("VGG16", **options), (3, 32, 32))
                   for options in ({}, {"truncate_at": "features.24"}))
    share = 1 - (kept.params - 2570) / total.params  # less the new linear layer
    assert borders(fig) == {"b_min": 8}
    assert fig.axes[0].get_title().startswith("VGG16, 32x32 pixels: b_min is convolution 8 of 13; ")
    assert f"{share:.0%} of the parameters" in fig.axes[0].get_title()
    assert "no border layer b_min" in widgets.receptive_field_figure("VGG16", 256).axes[0].get_title()


def test_the_proposals_follow_the_sliders():
    fig = widgets.proposal_figure("VGG16", 32, 0.5)
    expected = propose(grids.untrained("VGG16"), 32, {"features.0": 0.5})
    assert [t.get_text().split("\n")[0] for t in fig.axes[0].get_yticklabels()] == expected.proposal.tolist()
    assert "scale the width" in expected.proposal.tolist() and "50%" in fig.get_suptitle()
    assert len(widgets.proposal_figure("VGG16", 32).axes[0].get_yticklabels()) == len(expected) - 1


def test_the_explorers_offer_every_network():
    for explorer in (widgets.receptive_field_explorer("VGG11"), widgets.proposal_explorer("VGG11")):
        network, size, *_ = explorer.controls.values()
        assert list(network.options) == list(grids.NETWORKS) and (size.min, size.max) == (32, 448)
