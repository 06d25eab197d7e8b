"""The grids of the STAC paper's tables, made of cells.

A cell is a row of :func:`rrahelpers.study.published.table` with the configurations of its networks, one for each seed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from rrahelpers.attention import WINDOW
from rrahelpers.data.image_set import size_steps
from rrahelpers.study import published, results, strategies
from rrahelpers.study.grids.recipes import (
    Plan,
    RecipeOf,
    distinct,
    for_each,
    seed_by_seed,
    seeded,
    trained,
    with_runs,
)
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize, Window

# The column of the STAC paper's tables that a data set is held against.
COLUMNS = {"cifar10": "CIFAR10", "digits": "CIFAR10", "tiny-imagenet-50": "Img64-50"}
# The networks that everything else is compared with, by their options: base, STAC, SE, BAM in the standard placement.
MAIN: tuple[dict[str, str], ...] = ({}, {"attention": "stac"}, {"attention": "se"}, {"attention": "bam"})


def stac(plan: Plan, data_sets: Sequence[str], image_sizes: Sequence[ImageSize | None],
         learning_rates: Sequence[float], seeds: Sequence[int], main_seeds: Sequence[int],
         rows: Collection[str] | None) -> list[RunConfig]:
    """Table 1 of the STAC paper: for each data set the main networks, seed by seed, then the other rows.

    ``seeds``, ``main_seeds``: as for :func:`cells`, one for each data set, like ``image_sizes`` and ``learning_rates``.
    """
    every = plan.by_stac(data_sets, image_sizes, learning_rates)
    counted = for_each(data_sets, recipes=every, seeds=seeds, main_seeds=main_seeds)
    return distinct(config for _, recipe_of, few, many in counted
                    for config in _in_order(cells(1, recipe_of, few, many, rows)))


def stac_ablations(plan: Plan, data_sets: Sequence[str], image_sizes: Sequence[ImageSize | None],
                   learning_rates: Sequence[float], seeds: Sequence[int], main_seeds: Sequence[int],
                   rows: Collection[str] | None, stage_windows: Sequence[int] | None, samples: int | None,
                   k: int) -> list[RunConfig]:
    """Tables 2 to 5 of the STAC paper, one data set after the other; ``seeds`` and ``main_seeds`` as for :func:`stac`.

    First base and STAC, seed by seed; then the rows of tables 4, 3, 2 and 5; our own Max CS; the stage-by-window grid
    (section 6.4); our own greedy choice. The two choices rest on stored runs: they join the list when these are there.
    """
    configs: list[RunConfig] = []
    every = plan.by_stac(data_sets, image_sizes, learning_rates)
    for _, recipe_of, few, many in for_each(data_sets, recipes=every, seeds=seeds, main_seeds=main_seeds):
        configs += _in_order(pd.concat([cells(number, recipe_of, few, many, rows) for number in (4, 3, 2, 5)],
                                       ignore_index=True))
        configs += seed_by_seed(own_maximum_cs(recipe_of, few, many, samples, k, compute=False))
        configs += seed_by_seed(stage_grid(recipe_of, few, stage_windows))
        configs += seed_by_seed(own_greedy(recipe_of, few, many, stage_windows))
    return distinct(configs)


def cells(number: int, recipe_of: RecipeOf, seeds: int, main_seeds: int,
          rows: Collection[str] | None = None) -> pd.DataFrame:
    """The rows of one of the STAC paper's tables that a data set is held against, with their configurations.

    Parameters
    ----------
    number: of the table, 1 to 5.
    recipe_of: of :meth:`rrahelpers.study.grids.Plan.by_stac`.
    seeds: networks for each row; ``main_seeds`` for those of :data:`MAIN`.
    rows: labels (of any of the tables) of the networks that are measured, None for all. A network has several labels
        ("STAC - Standard", "P 8"), one is enough. The others have no configurations.

    Returns :func:`rrahelpers.study.published.table`'s columns and ``configs``, a list for each row, by seed. Raises
    ``ValueError`` for a data set without a column in the tables and for an unknown label.
    """
    name = recipe_of("").data
    if name not in COLUMNS:
        raise ValueError(f"the STAC paper's tables have no column for {name!r}; expected one of {', '.join(COLUMNS)}")
    table = published.table(number)
    table = table[table["data"] == COLUMNS[name]].reset_index(drop=True)
    wanted = table.options.tolist() if rows is None else _options_of(rows)
    counts = [0 if options not in wanted else main_seeds if options in MAIN else seeds for options in table.options]
    return table.assign(configs=[seeded(recipe_of, model, options, count)
                                 for model, options, count in zip(table.model, table.options, counts)])


def stage_grid(recipe_of: RecipeOf, seeds: int, windows: Sequence[int] | None = None) -> pd.DataFrame:
    """STAC in one stage of ResNet20 alone, for every window that fits (section 6.4): stage, window, options, configs.

    ``windows``: those to try, None for every power of two up to the stage's map.
    """
    rows = []
    for stage in (1, 2, 3):
        side = _image_side(recipe_of) // 2 ** (stage - 1)
        for window in [2**i for i in range(side.bit_length())] if windows is None else windows:
            if window <= side:
                options = stac_options([window if stage == s else None for s in (1, 2, 3)])
                rows.append({"stage": stage, "window": window, "options": options,
                             "configs": seeded(recipe_of, "resnet20", options, seeds)})
    return pd.DataFrame(rows, columns=["stage", "window", "options", "configs"])


def own_maximum_cs(recipe_of: RecipeOf, seeds: int, main_seeds: int, samples: int | None, k: int, *,
                   compute: bool) -> pd.DataFrame:
    """Table 5's Max CS with windows from our own ClassRepSim curves: a row like those of :func:`cells`, or no row.

    The curves are those of the base networks (all ``main_seeds`` of them). No row while one is not trained, or, without
    ``compute``, while its curves are not stored.
    """
    runs = trained(seeded(recipe_of, "resnet20", {}, main_seeds))
    tables = [results.class_similarity_table(run, samples, k, compute=compute) for run in runs if run]
    complete = len(tables) == main_seeds > 0 and all(table is not None for table in tables)
    windows = strategies.maximum_class_similarity(pd.concat(tables)) if complete else None
    return _own("Max CS", windows, recipe_of, seeds, main_seeds)


def own_greedy(recipe_of: RecipeOf, seeds: int, main_seeds: int, windows: Sequence[int] | None = None) -> pd.DataFrame:
    """Table 5's greedy windows from our own stage-by-window grid: a row like those of :func:`cells`, or no row.

    No row until every network of :func:`stage_grid` is trained: a choice among some windows would change later on. Nor
    where all networks of a stage diverged.
    """
    grid_runs = with_runs(stage_grid(recipe_of, seeds, windows), diverged=True)
    complete = len(grid_runs) and all(len(row.runs) == len(row.configs) > 0 for row in grid_runs.itertuples())
    accuracies = pd.DataFrame([{"stage": row.stage, "window": row.window, "accuracy": run.accuracy}
                               for row in grid_runs.itertuples() for run in row.runs])
    complete = complete and accuracies.groupby("stage").accuracy.count().all()
    return _own("Greedy", strategies.greedy(accuracies) if complete else None, recipe_of, seeds, main_seeds)


def stac_options(windows: Sequence[Window | None], kernels: Sequence[int] | None = None,
                 placement: str = "standard") -> dict[str, Any]:
    """Options of ``models.build`` for STAC with one window for each stage, None for a stage without.

    What is at its default is left out, so that one network has one name, in every table and explorer.
    """
    stages = [number for number, window in enumerate(windows, start=1) if window is not None]
    if not stages:
        return {}
    chosen = {windows[number - 1] for number in stages}
    window = chosen.pop() if len(chosen) == 1 else [WINDOW if w is None else w for w in windows]
    options = {"attention": "stac", "placement": placement, "window": window, "kernels": list(kernels or (3, 3)),
               "stages": stages}
    defaults = {"placement": "standard", "window": WINDOW, "kernels": [3, 3],
                "stages": list(range(1, len(windows) + 1))}
    return {name: value for name, value in options.items() if value != defaults.get(name)}


def _options_of(labels):
    """The options of the published rows with these labels."""
    every = pd.concat([published.table(number) for number in published.TABLES])
    if unknown := set(labels) - set(every.label):
        raise ValueError(f"no row of the STAC paper's tables is called {', '.join(sorted(unknown))}; "
                         f"expected some of: {'; '.join(every.label.unique())}")
    return every[every.label.isin(labels)].options.tolist()


def _in_order(table):
    """The main networks in the order of :data:`MAIN`, seed by seed, then the other rows."""
    rank = table.options.map(lambda options: MAIN.index(options) if options in MAIN else len(MAIN))
    main = table[rank < len(MAIN)].assign(rank=rank).sort_values("rank", kind="stable")
    return [*seed_by_seed(main), *seed_by_seed(table[rank == len(MAIN)])]


def _own(strategy, windows, recipe_of, seeds, main_seeds):
    """A row of :func:`cells` for windows of our own choice; without windows an empty table."""
    columns = ["label", "model", "options", "windows", "configs"]
    if windows is None:
        return pd.DataFrame(columns=columns)
    options = stac_options(windows)
    configs = seeded(recipe_of, "resnet20", options, main_seeds if options in MAIN else seeds)
    label = f"{strategy}, ours ({' '.join(map(str, windows))})"
    return pd.DataFrame([[label, "resnet20", options, windows, configs]], columns=columns)


def _image_side(recipe_of):
    """Pixels: as configured (after the last step), or those of the published column."""
    if (size := recipe_of("").image_size) is not None:
        last = size_steps(size)[-1]
        return last["canvas"] if isinstance(last, dict) else last
    return int(cells(4, recipe_of, 0, 0)["image_size"].iloc[0])
