"""Experiments of one's own (dissertation, 6.2.3, listing 1): a YAML file whose lists are the dimensions of a grid.

::

    recipe: dissertation, table 7    # one of study.recipes, or a list of some
    model: [vgg11, vgg16]
    options: {width: [0.25, 0.5]}    # of the model
    data: cifar10
    epochs: 10                       # and any other field of RunConfig
    seed: [0, 1, 2]
    samples: 5000                    # images that saturation and probes see; left out: all
    probes: true                     # whether to fit probes too, which takes longest

A model of one's own is "module:function" (:mod:`rrahelpers.models.own`), data of one's own are a folder
(:mod:`rrahelpers.data.photographs`). Every combination is trained, or found in the run store, and measured: saturation,
probes, receptive fields and costs, layer by layer. A list that is a value itself (windows, augmentations) is written as
the only member of a list.
"""

import json
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from rrahelpers import complexity
from rrahelpers.advisor import advise
from rrahelpers.base.files import atomic, write_json
from rrahelpers.eigenspace import weighted_layers
from rrahelpers.study.recipes import STAC, recipe
from rrahelpers.study.results import probe_table, saturation_table
from rrahelpers.training import RunConfig
from rrahelpers.training.runs import Run

OWN: dict[str, Any] = {"recipe": STAC, "options": {}, "samples": None, "probes": True}  # keys beside RunConfig's


@dataclass(frozen=True)
class Experiment:
    """What a file asks for: ``cells``, a :class:`RunConfig` for each combination beside the values that make it, and
    how to measure them."""

    cells: list[tuple[dict, RunConfig]]
    samples: int | None
    probes: bool


def read(path: Path) -> Experiment:
    """The experiment of a YAML file.

    Raises ``FileNotFoundError`` where there is none, ``ValueError`` where it isn't of the form above, with what is
    wrong, and what :class:`RunConfig` and :func:`recipe` raise, before anything is trained.
    """
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(given, dict) or not {"model", "data"} <= set(given):
        raise ValueError(f"{path}: expected at least 'model: …' and 'data: …', got {given!r}")
    known = {f.name for f in fields(RunConfig)}
    if unknown := set(given) - known - set(OWN):
        raise ValueError(f"{path}: unknown {', '.join(sorted(map(str, unknown)))}; expected some of: "
                         f"{', '.join([*OWN, *sorted(known - set(OWN))])}")
    given = OWN | given
    if not isinstance(given["options"], dict) or not isinstance(given["probes"], bool):
        raise ValueError(f"{path}: expected options: {{name: value or list of values}} and probes: true or false, got "
                         f"{given['options']!r} and {given['probes']!r}")
    dimensions: dict[tuple[str, ...], Any] = {(name,): value for name, value in given.items()
                                              if name not in ("options", "samples", "probes")}
    dimensions |= {("options", name): value for name, value in given["options"].items()}
    if empty := [name for *_, name in (key for key, value in dimensions.items() if value == [])]:
        raise ValueError(f"{path}: expected at least one value for {', '.join(empty)}, got an empty list")
    choices = [value if isinstance(value, list) else [value] for value in dimensions.values()]
    cells = [_cell(dict(zip(dimensions, values))) for values in product(*choices)]
    return Experiment(cells, given["samples"], given["probes"])


def _cell(chosen):
    """The values of a combination by name, and its configuration."""
    options = {key[1]: value for key, value in chosen.items() if len(key) == 2}
    settings = {key[0]: value for key, value in chosen.items() if len(key) == 1}
    named = settings | options
    name, data, model = (settings.pop(key) for key in ("recipe", "data", "model"))
    return named, recipe(name, data, model, options=options, **settings)


def store_resolved(experiment: Experiment, folder: Path) -> None:
    """Write what will be trained, before it is: ``experiment.json``, every configuration with all that it differs
    in."""
    write_json(folder / "experiment.json", {"samples": experiment.samples, "probes": experiment.probes, "networks": [
        {"chosen": chosen, "config": config.as_dict()} for chosen, config in experiment.cells]})


def measure(experiment: Experiment, runs: list[Run | None], folder: Path) -> pd.DataFrame:
    """Measure the finished ``runs`` of an experiment's cells (None: not finished), and write ``layers.csv`` and
    ``networks.csv``.

    Returns the former: for each run the columns of :func:`rrahelpers.advisor.advise`, one row for each layer, behind
    those of the combination; of the layers that have weights. ``networks.csv`` has a row for each run: the
    combination, its name, test accuracy, parameters, multiply-accumulates, and the mean saturation of its layers.
    """
    layers, networks = [], []
    for (chosen, _), run in zip(experiment.cells, runs):
        if run is None or run.diverged:
            continue
        chosen = {name: json.dumps(value) if isinstance(value, (list, dict)) else value
                  for name, value in chosen.items()}
        shape = tuple(run.images("test", 1).images.shape[1:])
        with torch.device("meta"):  # receptive fields and costs need no weights
            network = run.untrained()
        table = _layers(run, network, shape, experiment)
        layers.append(table.assign(**chosen, run=run.name)[[*chosen, "run", *table]])
        costs = complexity.count(network, shape, "macs")
        networks.append({**chosen, "run": run.name, "test_accuracy": run.accuracy, "params": costs.params,
                         "macs": costs.flops, "saturation": table["saturation"].mean()})
    found = pd.concat(layers, ignore_index=True) if layers else pd.DataFrame(columns=["run", "layer"])
    for name, written in (("layers", found), ("networks", pd.DataFrame(networks))):
        with atomic(folder / f"{name}.csv") as temporary:
            written.to_csv(temporary, index=False, float_format="%.8g")
    return found


def _layers(run, network, shape, experiment):
    """What is known of each weighted layer of a run's ``network``, for images of a shape [C, H, W]."""
    weighted = weighted_layers(network)
    saturations = saturation_table(run, experiment.samples).set_index("layer").saturation
    probes = probe_table(run, experiment.samples, layers=weighted) if experiment.probes else None
    table = advise(network, shape, saturations, probes, convention="macs")
    return table[table["layer"].isin(weighted)].reset_index(drop=True)
