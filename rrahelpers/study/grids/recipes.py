"""Configurations by the sources' recipes, and tables of them: a row for each network, a configuration for each seed."""

import json
import warnings
from functools import partial
from itertools import islice

from rrahelpers import training
from rrahelpers.study.recipes import recipe as by_source
from rrahelpers.training import runs


def recipe(data, model="resnet20", **fields):
    """The STAC paper's recipe (sections 3.1 and 5) for a network on a data set, with ``fields`` of RunConfig
    changed."""
    return by_source("STAC paper, section 5", data, model, **fields)


def recipes(data_sets, image_sizes, learning_rates, epochs, train_limit):
    """One function for each data set that makes a configuration: ``recipe_of(model, options=…, seed=…)``."""
    return [partial(recipe, name, image_size=size, learning_rate=rate, epochs=epochs, limit=train_limit)
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


def trained(configs, train_missing=False):
    """The run of each configuration: trained where the store lacks it, or, without ``train_missing``, None there.

    None also for a run that diverged, with a warning: its layers can't be measured.
    """
    return [None if run and _left_out(run) else run for run in _found(configs, train_missing)]


def with_runs(table, train_missing=False, *, diverged=False):
    """``table`` (with ``configs``) and a column ``runs``: what :func:`trained` finds for each row, by seed.

    ``diverged``: keep runs that diverged, for tables of accuracies, where they count as such.
    """
    find = _found if diverged else trained
    found = iter(find([config for row in table.configs for config in row], train_missing))
    return table.assign(runs=[[run for run in islice(found, len(row)) if run] for row in table.configs])


def _found(configs, train_missing):
    return [training.train(config) for config in configs] if train_missing else runs.finished(configs)


def _left_out(run):
    if run.diverged:
        warnings.warn(f"{run.name} diverged and is left out", stacklevel=4)
    return run.diverged
