"""The networks of the notebooks on eigenspaces: projections (dissertation, chapter 7) and saturation (8.2, 8.4, 8.5).

A network is written as [model, options]. What is common to both notebooks has one configuration and is trained once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rrahelpers.study.grids.recipes import Plan, distinct
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize

Network = Sequence  # [model, options]


def projection(plan: Plan, data_set: str, image_size: ImageSize | None, depths: Sequence[str], widths: Iterable[float],
               seeds: int, tested: Sequence[Network], tested_seeds: int) -> list[RunConfig]:
    """VGG networks of every depth and width (figure 43), then those that are tested (tables 5, 14 to 16).

    ``depths``: models' names; ``widths``: factors; ``tested``: networks.
    """
    recipe_of = plan.of("dissertation 7.1", data_set, image_size)
    return distinct([*_seed_by_seed(recipe_of, family(depths, widths), seeds),
                     *_seed_by_seed(recipe_of, tested, tested_seeds)])


def saturation(plan: Plan, data_set: str, image_size: ImageSize | None, depths: Sequence[str], widths: Iterable[float],
               seeds: int, stable: Sequence[Network], stable_seeds: int,
               difficulty: Iterable[Sequence], difficult: Network) -> list[RunConfig]:
    """VGG networks of every depth and width (figure 47), one network on several data sets (48), several seeds (44).

    ``depths``: models' names; ``widths``: factors; ``stable``: networks with more seeds; ``difficulty``: a list of
    [data set, image size] on which the network ``difficult`` is trained.
    """
    recipe_of = plan.of("dissertation, table 7", data_set, image_size)
    return distinct([*_seed_by_seed(recipe_of, family(depths, widths), seeds),
                     *hardest(plan, difficulty, difficult),
                     *_seed_by_seed(recipe_of, stable, stable_seeds)])


def hardest(plan: Plan, difficulty: Iterable[Sequence], difficult: Network) -> list[RunConfig]:
    """One network on data sets of rising difficulty (figure 48); ``difficulty``, ``difficult``: as above."""
    model, options = difficult
    return [plan.of("dissertation, table 8", data, size)(model, options=options) for data, size in difficulty]


def family(depths: Sequence[str], widths: Iterable[float]) -> list[Network]:
    """The networks of every width and depth; the full width is the default, which has no option."""
    return [[model, {} if width == 1 else {"width": width}] for width in widths for model in depths]


def _seed_by_seed(recipe_of, networks, seeds):
    return [recipe_of(model, options=options, seed=seed) for seed in range(seeds) for model, options in networks]
