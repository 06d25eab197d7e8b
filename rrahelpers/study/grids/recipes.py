"""Configurations by the sources' recipes, and tables of them: a row for each network, a configuration for each seed."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd

from rrahelpers import training
from rrahelpers.study.recipes import RECIPES, STAC, recipe as by_source
from rrahelpers.training import runs
from rrahelpers.training.config import RunConfig

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize

RecipeOf = Callable[..., RunConfig]  # of a model, with its options, a seed and other fields of RunConfig


def recipe(data: str, model: str = "resnet20", **fields: Any) -> RunConfig:
    """The STAC paper's recipe (sections 3.1 and 5) for a network on a data set, with ``fields`` of RunConfig
    changed."""
    return by_source(STAC, data, model, **fields)


@dataclass(frozen=True)
class Plan:
    """How a notebook's networks are trained: what all of its grid has in common.

    recipe: by which all are trained, one of :data:`rrahelpers.study.recipes.RECIPES`; None: each by its source's own.
    epochs: of each, or {recipe: epochs} of those whose networks are trained for less; None: the recipe's own.
    train_limit: training images; None for all.
    data_checksums: {data set: checksum} of the copies on which stored runs count; of others the copy found here.
    """

    recipe: str | None = None
    epochs: int | dict[str, int] | None = None
    train_limit: int | None = None
    data_checksums: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.epochs, dict) and (unknown := set(self.epochs) - set(RECIPES)):
            raise ValueError(f"epochs of unknown recipes {sorted(unknown)}; expected some of: {'; '.join(RECIPES)}")

    def of(self, source: str, data: str, image_size: ImageSize | None = None, **fields: Any) -> RecipeOf:
        """A function that makes a configuration, ``recipe_of(model, options=…, seed=…)``.

        ``source``: the name of the source's own recipe; ``fields`` of RunConfig that differ from the recipe's.
        """
        chosen = self.recipe or source
        epochs = self.epochs.get(chosen) if isinstance(self.epochs, dict) else self.epochs
        common: dict[str, Any] = {"epochs": epochs, "data_checksum": self.data_checksums.get(data)}
        common = {name: value for name, value in common.items() if value is not None}
        return partial(by_source, chosen, data, image_size=image_size, limit=self.train_limit, **common, **fields)

    def by_stac(self, data_sets: Sequence[str], image_sizes: Sequence[ImageSize | None],
                learning_rates: Sequence[float]) -> list[RecipeOf]:
        """One such function for each data set, by the STAC paper's recipe."""
        return [self.of(STAC, name, size, learning_rate=rate)
                for name, size, rate in for_each(data_sets, image_sizes=image_sizes, learning_rates=learning_rates)]


def for_each(data_sets: Sequence[str], **parameters: Sequence) -> list[tuple]:
    """A tuple for each data set: its name, and its value of each parameter.

    ``parameters``: lists with one value for each data set. Raises ``ValueError``, by name, for one that is none.
    """
    for name, values in parameters.items():
        if not isinstance(values, (list, tuple)) or len(values) != len(data_sets):
            raise ValueError(f"{name}: expected a list with one value for each of the data sets "
                             f"{', '.join(data_sets)}; got {values!r}")
    return list(zip(data_sets, *parameters.values()))


def seeded(recipe_of: RecipeOf, model: str, options: dict, seeds: int) -> list[RunConfig]:
    return [recipe_of(model, options=options, seed=seed) for seed in range(seeds)]


def seed_by_seed(table: pd.DataFrame) -> list[RunConfig]:
    """The configurations of a table of cells, a seed of every row before the next seed."""
    most = max(map(len, table.configs), default=0)
    return [row[seed] for seed in range(most) for row in table.configs if seed < len(row)]


def distinct(configs: Iterable[RunConfig]) -> list[RunConfig]:
    return list({json.dumps(config.as_dict(), sort_keys=True): config for config in configs}.values())


def trained(configs: Sequence[RunConfig], train_missing: bool = False, **options: Any) -> list[runs.Run | None]:
    """The run of each configuration: trained where the store lacks it (with ``options`` of
    :func:`rrahelpers.training.train`), or, without ``train_missing``, None there.

    None also for a run that diverged, with a warning: its layers can't be measured.
    """
    return [None if run and _left_out(run) else run for run in _found(configs, train_missing, **options)]


def with_runs(table: pd.DataFrame, train_missing: bool = False, *, diverged: bool = False) -> pd.DataFrame:
    """``table`` (with ``configs``) and a column ``runs``: what :func:`trained` finds for each row, by seed.

    ``diverged``: keep runs that diverged, for tables of accuracies, where they count as such.
    """
    find = _found if diverged else trained
    found = iter(find([config for row in table.configs for config in row], train_missing))
    return table.assign(runs=[[run for run in islice(found, len(row)) if run] for row in table.configs])


def _found(configs, train_missing, **options):
    return [training.train(config, **options) for config in configs] if train_missing else runs.finished(configs)


def _left_out(run):
    if run.diverged:
        warnings.warn(f"{run.name} diverged and is left out", stacklevel=4)
    return run.diverged
