"""The networks of the notebooks on probes (dissertation, 4.3, 8.3) and on tail patterns (8.5, 9.1, 9.2, C to E).

Here a group of networks is a list [model, data set, options, image sizes], one network for each size; sizes may have
steps, as for :func:`rrahelpers.data.load`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rrahelpers.study.grids.recipes import STAC, Plan, distinct
from rrahelpers.training.config import RunConfig

Group = Sequence  # [model, data set, options, image sizes]

# Whose recipe a group is trained by; of figures 33 and 34 none is printed.
PROBED = {"sequential": "dissertation, table 11", "skipping": STAC, "small": "dissertation, table 6",
          "large": "dissertation, table 6"}
DETAIL = "dissertation, table 9"  # table 10
OTHERS = "dissertation, table 8"  # figures 48 to 51, 69, appendices D and E


def probes(plan: Plan, sequential: Group, skipping: Group, small: Group, large: Group, seeds: int) -> list[RunConfig]:
    """Figures 33, 34, 45 and 46, seed by seed: four groups."""
    groups = {"sequential": sequential, "skipping": skipping, "small": small, "large": large}
    return [config for seed in range(seeds) for name, group in groups.items()
            for config in sizes_of(plan, PROBED[name], group, seed=seed)]


def tails(plan: Plan, low: Sequence[Group], objects: Sequence[Group], resolutions: Sequence[Group],
          detail: Sequence[Group], pass_through: Group, skipped: Group, zigzag: Group, seeds: int,
          detail_epochs: int | None = None) -> list[RunConfig]:
    """Figures 49, 51, 50, table 10 and figure 69, then what else there is of them, appendices D and E; seed by seed.

    ``low``, ``objects``, ``resolutions`` and ``detail`` are lists of groups, the others groups. ``detail_epochs``:
    those of ``detail``'s networks, None: as the others'.
    """
    first = [*low, *objects[:1], *resolutions[:1], *detail, pass_through, skipped, zigzag]
    return distinct(config for seed in range(seeds) for group in (*first, *resolutions[1:], *objects[1:])
                    for config in tail_sizes(plan, group, detail, detail_epochs, seed=seed))


def tail_sizes(plan: Plan, group: Group, detail: Sequence[Group], detail_epochs: int | None = None,
               **fields: Any) -> list[RunConfig]:
    """The configurations of one of the groups of :func:`tails`, one for each of its image sizes."""
    if group not in detail:
        return sizes_of(plan, OTHERS, group, **fields)
    return sizes_of(replace(plan, epochs=detail_epochs or plan.epochs), DETAIL, group, **fields)


def sizes_of(plan: Plan, source: str, group: Group, **fields: Any) -> list[RunConfig]:
    """The configurations of a group, one for each of its image sizes, with ``fields`` of RunConfig."""
    model, data_set, options, sizes = group
    return [plan.of(source, data_set, size)(model, options=options, **fields) for size in sizes]
