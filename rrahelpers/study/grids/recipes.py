"""Configurations by the sources' recipes, and tables of them: a row for each network, a configuration for each seed."""

import json
import warnings
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from rrahelpers import training
from rrahelpers.study.recipes import RECIPES, STAC, recipe as by_source
from rrahelpers.training import runs


def recipe(data, model="resnet20", **fields):
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
    epochs: int | dict | None = None
    train_limit: int | None = None
    data_checksums: dict = field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.epochs, dict) and (unknown := set(self.epochs) - set(RECIPES)):
            raise ValueError(f"epochs of unknown recipes {sorted(unknown)}; expected some of: {'; '.join(RECIPES)}")

    def of(self, source, data, image_size=None, **fields):
        """A function that makes a configuration, ``recipe_of(model, options=…, seed=…)``.

        ``source``: the name of the source's own recipe; ``fields`` of RunConfig that differ from the recipe's.
        """
        chosen = self.recipe or source
        epochs = self.epochs.get(chosen) if isinstance(self.epochs, dict) else self.epochs
        common = {"epochs": epochs, "data_checksum": self.data_checksums.get(data)}
        common = {name: value for name, value in common.items() if value is not None}
        return partial(by_source, chosen, data, image_size=image_size, limit=self.train_limit, **common, **fields)

    def by_stac(self, data_sets, image_sizes, learning_rates):
        """One such function for each data set, by the STAC paper's recipe."""
        return [self.of(STAC, name, size, learning_rate=rate)
                for name, size, rate in for_each(data_sets, image_sizes=image_sizes, learning_rates=learning_rates)]


def for_each(data_sets, **parameters):
    """A tuple for each data set: its name, and its value of each parameter.

    ``parameters``: lists with one value for each data set. Raises ``ValueError``, by name, for one that is none.
    """
    for name, values in parameters.items():
        if not isinstance(values, (list, tuple)) or len(values) != len(data_sets):
            raise ValueError(f"{name}: expected a list with one value for each of the data sets "
                             f"{', '.join(data_sets)}; got {values!r}")
    return list(zip(data_sets, *parameters.values()))


def seeded(recipe_of, model, options, seeds):
    return [recipe_of(model, options=options, seed=seed) for seed in range(seeds)]


def seed_by_seed(table):
    """The configurations of a table of cells, a seed of every row before the next seed."""
    most = max(map(len, table.configs), default=0)
    return [row[seed] for seed in range(most) for row in table.configs if seed < len(row)]


def distinct(configs):
    return list({json.dumps(config.as_dict(), sort_keys=True): config for config in configs}.values())


def trained(configs, train_missing=False, **options):
    """The run of each configuration: trained where the store lacks it (with ``options`` of
    :func:`rrahelpers.training.train`), or, without ``train_missing``, None there.

    None also for a run that diverged, with a warning: its layers can't be measured.
    """
    return [None if run and _left_out(run) else run for run in _found(configs, train_missing, **options)]


def with_runs(table, train_missing=False, *, diverged=False):
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
