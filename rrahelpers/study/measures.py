"""Computing and storing what notebooks need of a grid's runs, apart from drawing: on several cores, or on a GPU.

Full-width networks can be measured where they were trained, and leave nothing but their results.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from rrahelpers.data import DataError
from rrahelpers.study import grids, results
from rrahelpers.training import runs
from rrahelpers.training.tables import RunError


class Measure(NamedTuple):
    """A table of :mod:`rrahelpers.study.results`, the notebook's parameters that it takes, and the runs it is of."""

    table: Callable[..., Any]
    parameters: tuple[str, ...]
    of: Callable[[runs.Run], bool] = lambda run: True  # whether the notebook measures it


def _base(run):
    return run.config.options == grids.MAIN[0]


SIMILARITY = (results.class_similarity_table, ("samples", "k"))
ARCHITECTURE = (Measure(results.saturation_table, ("samples",)), Measure(results.probe_table, ("samples",)))
NEEDED = {
    "classrepsim": (Measure(*SIMILARITY),),
    "stac": (Measure(*SIMILARITY, _base),),
    "stac-ablations": (Measure(*SIMILARITY, _base),),
    "augmentation": (Measure(results.response, ("samples", "k")),),
    "separation": (Measure(results.separation_table, ("samples", "orders")),),
    "probes": (Measure(results.probe_table, ("samples",)),),
    "tails": ARCHITECTURE,
    "projection": (Measure(results.projected_accuracy_table, ("samples", "deltas", "test_samples")),),
    "saturation": (Measure(results.saturation_table, ("samples", "delta")),),
    "receptive-field": ARCHITECTURE,
    "advice": ARCHITECTURE,
    "formation": (Measure(results.formation_table, ("samples", "k", "keep_every")),),
}


class Job(NamedTuple):
    """A table that is to be computed and stored; fit for another process."""

    run: runs.Run
    table: Callable[..., Any]
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        return self.table.__name__.removesuffix("_table").replace("_", " ")


def jobs(grid: str, profile: str) -> list[Job]:
    """The :class:`Job` s of a grid under a profile: of its finished runs, but for those that diverged."""
    configs = grids.grid(grid, profile)
    parameters = grids.parameters_of(grid, profile)
    found = {run.name: run for run in runs.finished(configs) if run and not run.diverged}
    return [Job(run, measure.table, {name: parameters[name] for name in measure.parameters})
            for run in found.values() for measure in NEEDED[grid] if measure.of(run)]


def attempt(job: Job) -> Exception | None:
    """Compute and store a job's table, where the store lacks it. Returns None, or what kept it from being computed:
    the others are still worth measuring."""
    try:
        job.table(job.run, **job.parameters)
    except (RunError, DataError, OSError, ValueError, torch.OutOfMemoryError) as reason:
        return reason
    return None
