"""Which networks the notebooks need, in the order in which they are worth training.

A grid is a function from a notebook's parameters to a list of :class:`rrahelpers.training.config.RunConfig`. Notebook
and command line call the same function with the same profile (``notebooks/profiles/``), so that what ``train --grid``
trains is what the notebook finds.
"""

import inspect

from rrahelpers.study import notebooks, profiles
from rrahelpers.study.grids.architecture import (
    ATTENTION,
    ELSEWHERE,
    NARROW,
    NETWORKS,
    STEMLESS,
    VGG,
    advice,
    architecture_cells,
    receptive_field,
    truncation_cells,
    untrained,
    width_cells,
)
from rrahelpers.study.grids.eigenspaces import family, projection, saturation
from rrahelpers.study.grids.probes import probes, sizes_of, tails
from rrahelpers.study.grids.recipes import for_each, recipe, recipes, seeded, trained, with_runs
from rrahelpers.study.grids.response import augmentation, separation
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

__all__ = [
    "ATTENTION", "ELSEWHERE", "GRIDS", "MAIN", "NARROW", "NETWORKS", "STEMLESS", "VGG", "advice", "architecture_cells",
    "augmentation", "cells", "classrepsim", "family", "for_each", "grid", "own_greedy", "own_maximum_cs", "probes",
    "projection",
    "receptive_field", "recipe", "recipes", "saturation", "seeded", "separation", "sizes_of", "stac", "stac_ablations",
    "stac_options", "stage_grid", "tails", "trained", "truncation_cells", "untrained", "width_cells", "with_runs",
]


def classrepsim(data_sets, image_sizes, epochs, seeds, learning_rate, train_limit):
    """ResNet20 on each data set (STAC paper, section 3.1), so many ``seeds`` of each, seed by seed."""
    counted = for_each(data_sets, image_sizes=image_sizes, seeds=seeds)
    return [recipe(data, epochs=epochs, seed=seed, learning_rate=learning_rate, image_size=image_size,
                   limit=train_limit)
            for seed in range(max(seeds, default=0)) for data, image_size, count in counted if seed < count]


GRIDS = {"classrepsim": (classrepsim, "01_classrepsim"), "stac": (stac, "02_stac_design"),
         "stac-ablations": (stac_ablations, "03_stac_ablations"),
         "augmentation": (augmentation, "10_representational_response"),
         "separation": (separation, "11_separation_index"),
         "probes": (probes, "06_probes"), "tails": (tails, "07_tail_patterns"),
         "projection": (projection, "04_pca_projection"), "saturation": (saturation, "05_saturation"),
         "receptive-field": (receptive_field, "08_receptive_field"), "advice": (advice, "09_architecture_advice")}


def grid(name, profile):
    """The configurations of a grid under a profile: its notebook's defaults, changed by the profile."""
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}; expected one of {', '.join(GRIDS)}")
    function, notebook = GRIDS[name]
    parameters = notebooks.parameters(notebook) | profiles.parameters(notebook, profile)
    return function(**{key: parameters[key] for key in inspect.signature(function).parameters})
