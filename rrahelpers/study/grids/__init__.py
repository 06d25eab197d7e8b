"""Which networks the notebooks need, in the order in which they are worth training.

A grid is a function from a :class:`Plan` and a notebook's parameters to a list of
:class:`rrahelpers.training.config.RunConfig`. Notebook and command line call the same function with the same profile
(``notebooks/profiles/``), so that what ``train --grid`` trains is what the notebook finds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rrahelpers.study import notebooks, profiles
from rrahelpers.study.grids.architecture import (
    ATTENTION,
    CHAPTER_9,
    CHAPTER_10,
    CHAPTERS,
    ELSEWHERE,
    NARROW,
    NETWORKS,
    STEMLESS,
    VGG,
    advice,
    architecture_cells,
    chapter_cells,
    receptive_field,
    stemless_cells,
    truncation_cells,
    untrained,
    width_cells,
)
from rrahelpers.study.grids.eigenspaces import family, hardest, projection, saturation
from rrahelpers.study.grids.probes import PROBED, probes, sizes_of, tail_sizes, tails
from rrahelpers.study.grids.recipes import STAC, Plan, for_each, recipe, seeded, trained, with_runs
from rrahelpers.study.grids.response import augmentation, formation, separation
from rrahelpers.study.grids.stac import (
    MAIN,
    cells,
    own_greedy,
    own_maximum_cs,
    stac,
    stac_ablations,
    stac_options,
    stage_grid,
)
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize

__all__ = [
    "ATTENTION",
    "CHAPTERS",
    "CHAPTER_9",
    "CHAPTER_10",
    "ELSEWHERE",
    "GRIDS",
    "MAIN",
    "NARROW",
    "NETWORKS",
    "PROBED",
    "STAC",
    "STEMLESS",
    "VGG",
    "Plan",
    "advice",
    "architecture_cells",
    "augmentation",
    "cells",
    "chapter_cells",
    "classrepsim",
    "family",
    "for_each",
    "formation",
    "grid",
    "hardest",
    "own_greedy",
    "own_maximum_cs",
    "parameters_of",
    "probes",
    "projection",
    "receptive_field",
    "recipe",
    "saturation",
    "seeded",
    "separation",
    "sizes_of",
    "stac",
    "stac_ablations",
    "stac_options",
    "stage_grid",
    "stemless_cells",
    "tail_sizes",
    "tails",
    "trained",
    "truncation_cells",
    "untrained",
    "width_cells",
    "with_runs",
]


def classrepsim(plan: Plan, data_sets: Sequence[str], image_sizes: Sequence[ImageSize | None], seeds: Sequence[int],
                learning_rate: float) -> list[RunConfig]:
    """ResNet20 on each data set (STAC paper, section 3.1), so many ``seeds`` of each, seed by seed."""
    every = plan.by_stac(data_sets, image_sizes, [learning_rate] * len(data_sets))
    counted = for_each(data_sets, recipes=every, seeds=seeds)
    return [recipe_of("resnet20", seed=seed) for seed in range(max(seeds, default=0))
            for _, recipe_of, count in counted if seed < count]


GRIDS: dict[str, tuple[Callable[..., list[RunConfig]], str]] = {
         "classrepsim": (classrepsim, "01_classrepsim"), "stac": (stac, "02_stac_design"),
         "stac-ablations": (stac_ablations, "03_stac_ablations"),
         "augmentation": (augmentation, "10_representational_response"),
         "separation": (separation, "11_separation_index"),
         "probes": (probes, "06_probes"), "tails": (tails, "07_tail_patterns"),
         "projection": (projection, "04_pca_projection"), "saturation": (saturation, "05_saturation"),
         "receptive-field": (receptive_field, "08_receptive_field"), "advice": (advice, "09_architecture_advice"),
         "formation": (formation, "13_when_layers_form")}


def parameters_of(name: str, profile: str) -> dict[str, Any]:
    """The parameters of a grid's notebook under a profile: its defaults, changed by the profile."""
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}; expected one of {', '.join(GRIDS)}")
    notebook = GRIDS[name][1]
    return notebooks.parameters(notebook) | profiles.parameters(notebook, profile)


def grid(name: str, profile: str) -> list[RunConfig]:
    """The configurations of a grid under a profile."""
    parameters = parameters_of(name, profile)
    function = GRIDS[name][0]
    parameters["plan"] = Plan(**{f.name: parameters[f.name] for f in fields(Plan) if f.name in parameters})
    return function(**{key: parameters[key] for key in inspect.signature(function).parameters})
