"""The notebooks' explorers: sliders over figures that plain functions draw.

Each explorer computes what it needs once, then hands the sliders' values to its ``draw`` function, which can be
called, and tested, without any widget.
"""

from rrahelpers.widgets.architecture import (
    proposal_explorer, proposal_figure, receptive_field_explorer, receptive_field_figure,
)
from rrahelpers.widgets.class_similarity import (
    ClassSimilarityView, class_similarity_explorer, class_similarity_view, prediction_explorer, prediction_figure,
)
from rrahelpers.widgets.eigenspace import (
    ProjectionView, SaturationView, projection_explorer, projection_view, saturation_explorer, saturation_view,
)
from rrahelpers.widgets.probes import ProbeView, TailView, probe_explorer, probe_view, tail_explorer
from rrahelpers.widgets.response import NeighbourChangeView, neighbour_change_explorer, neighbour_change_view
from rrahelpers.widgets.separation import SeparationView, separation_explorer, separation_view
from rrahelpers.widgets.sliders import explorer
from rrahelpers.widgets.stac import stac_costs, stac_explorer, stac_figure

__all__ = [
    "ClassSimilarityView", "NeighbourChangeView", "ProbeView", "ProjectionView", "SaturationView", "SeparationView",
    "TailView",
    "class_similarity_explorer", "class_similarity_view", "explorer", "neighbour_change_explorer",
    "neighbour_change_view", "prediction_explorer", "prediction_figure", "probe_explorer", "probe_view", "projection_explorer", "projection_view",
    "proposal_explorer", "proposal_figure", "receptive_field_explorer", "receptive_field_figure", "saturation_explorer",
    "saturation_view", "separation_explorer", "separation_view", "stac_costs", "stac_explorer", "stac_figure",
    "tail_explorer",
]
