"""The notebooks' explorers: sliders over figures that plain functions draw.

Each explorer computes what it needs once, then hands the sliders' values to its ``draw`` function, which can be
called, and tested, without any widget.
"""

from rrahelpers.widgets.class_similarity import (
    ClassSimilarityView, class_similarity_explorer, class_similarity_view, prediction_explorer, prediction_figure,
)
from rrahelpers.widgets.response import NeighbourChangeView, neighbour_change_explorer, neighbour_change_view
from rrahelpers.widgets.separation import SeparationView, separation_explorer, separation_view
from rrahelpers.widgets.sliders import explorer
from rrahelpers.widgets.stac import stac_costs, stac_explorer, stac_figure

__all__ = [
    "ClassSimilarityView", "NeighbourChangeView", "SeparationView", "class_similarity_explorer", "class_similarity_view",
    "explorer", "neighbour_change_explorer", "neighbour_change_view", "prediction_explorer", "prediction_figure",
    "separation_explorer", "separation_view", "stac_costs", "stac_explorer", "stac_figure",
]
