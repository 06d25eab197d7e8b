"""The notebooks' explorers: sliders over figures that plain functions draw.

Each explorer computes what it needs once, then hands the sliders' values to its ``draw`` function, which can be
called, and tested, without any widget. The modules are imported on first use, so that a notebook hangs on its own
alone.
"""

import importlib
from typing import Any

HOMES = {name: module for module, names in {
    "architecture": "proposal_explorer proposal_figure receptive_field_explorer receptive_field_figure",
    "class_similarity": "ClassSimilarityView class_similarity_explorer class_similarity_view prediction_explorer "
                        "prediction_figure",
    "eigenspace": "ProjectionView SaturationView projection_explorer projection_view saturation_explorer",
    "formation": "formation_explorer",
    "probes": "ProbeView TailView probe_explorer probe_view tail_explorer",
    "response": "NeighbourChangeView neighbour_change_explorer neighbour_change_view",
    "separation": "SeparationView separation_explorer separation_view",
    "sliders": "Explorer",
    "stac": "stac_costs stac_explorer stac_figure",
}.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"rrahelpers.widgets has no {name!r}; expected one of {', '.join(HOMES)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *HOMES])
