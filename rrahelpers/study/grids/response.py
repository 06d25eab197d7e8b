"""The networks of the notebooks on representational response, separation, and when layers form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rrahelpers.study.grids.recipes import STAC, Plan
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize


def augmentation(plan: Plan, data_set: str, image_size: ImageSize | None, learning_rate: float,
                 seeds: int) -> list[RunConfig]:
    """ResNet20 trained with the recipe's augmentations and without any (thesis' abstract), seed by seed."""
    recipe_of = plan.of(STAC, data_set, image_size, learning_rate=learning_rate)
    return [recipe_of("resnet20", seed=seed, **plain) for seed in range(seeds)
            for plain in ({}, {"augmentation": ()})]


def separation(plan: Plan, networks: Sequence[Sequence], image_size: ImageSize | None, learning_rate: float,
               seeds: int) -> list[RunConfig]:
    """The networks that the separation index is followed through, seed by seed.

    ``networks``: a list of [model, data set, options, epochs].
    """
    return [plan.of(STAC, data_set, image_size, learning_rate=learning_rate)(model, options=options, seed=seed,
                                                                             epochs=epochs)
            for seed in range(seeds) for model, data_set, options, epochs in networks]


def formation(plan: Plan, data_set: str, image_size: ImageSize | None, learning_rate: float,
              seed: int) -> list[RunConfig]:
    """The ResNet20 that is followed through its training: of a seed that no other notebook has, since its epochs are
    kept."""
    return [plan.of(STAC, data_set, image_size, learning_rate=learning_rate)("resnet20", seed=seed)]
