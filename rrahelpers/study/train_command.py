"""``python -m rrahelpers train``, ``experiment`` and ``measure``: networks of the study, and of one's own grids."""

import argparse
import contextlib
import multiprocessing
import sys
import tarfile
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from rrahelpers.base.arguments import duration, pairs
from rrahelpers.base.devices import cores_each
from rrahelpers.base.files import atomic
from rrahelpers.study import experiments, grids, measures, recipes
from rrahelpers.training import Interrupted, train_all
from rrahelpers.training.config import RunConfig
from rrahelpers.training.runs import Run

Outcome = Run | Exception  # of a training: see rrahelpers.training.train_all


def add_arguments(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train one network or a grid; finished runs are passed over")
    train.add_argument("model", nargs="?", help="a model's name, for one network")
    train.add_argument("--data", help="a data set's name (default: cifar10)")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                       help="a field of RunConfig, or an option of the model; VALUE is JSON or a plain word")
    train.add_argument("--recipe", help=f"one network's, by its source: {'; '.join(recipes.RECIPES)} (default: "
                       f"{grids.STAC})")
    train.add_argument("--grid", help=f"a grid instead of a model: {', '.join(grids.GRIDS)}")
    train.add_argument("--profile", help="the grid's size: a file's name in notebooks/profiles (default: study)")
    train.add_argument("--keep-every", type=int, metavar="N", help="keep the weights of every N-th epoch too (default: "
                       "of a grid what its notebook wants, else none)")
    _add_common(train)
    train.add_argument("--pack", type=Path, metavar="FILE.tar",
                       help="afterwards, pack records, weights and results of these runs")
    train.set_defaults(run=run_train)

    experiment = commands.add_parser("experiment", help="train and measure every combination that a YAML file asks for")
    experiment.add_argument("file", type=Path, help="see rrahelpers.study.experiments")
    experiment.add_argument("--out", type=Path, metavar="DIR", help="for the tables (default: beside the file, by its "
                            "name)")
    _add_common(experiment)
    experiment.set_defaults(run=run_experiment)

    measure = commands.add_parser("measure", help="compute and store what the notebooks need of a grid's runs")
    measure.add_argument("--grid", required=True, help=", ".join(grids.GRIDS))
    measure.add_argument("--profile", default="study", help="the grid's size (default: study)")
    measure.add_argument("--jobs", type=int, default=1, help="tables side by side; the cores are shared out")
    measure.set_defaults(run=run_measure)


def _add_common(parser):
    parser.add_argument("--budget", type=duration, metavar="TIME",
                        help="begin no epoch that would end later than this, going by the last one, e.g. 9m")
    parser.add_argument("--device", help="as torch names it (default: cuda where there is one, else cpu)")
    parser.add_argument("--jobs", type=int, default=1, help="networks side by side; the cores are shared out")


def run_train(options: argparse.Namespace) -> int:
    if bool(options.model) == bool(options.grid):
        raise ValueError("train takes a model's name or --grid, one of the two")
    if options.grid and (options.set or options.data or options.recipe):
        raise ValueError("--grid takes its data and settings from the profile; --data, --recipe and --set go with a "
                         "model's name")
    if options.model and options.profile:
        raise ValueError("--profile goes with --grid; one network has its settings from --set")
    configs = grids.grid(options.grid, options.profile or "study") if options.grid else [single(options)]
    keep_every = options.keep_every
    if keep_every is None and options.grid:
        keep_every = grids.parameters_of(options.grid, options.profile or "study").get("keep_every")
    outcomes = trained(configs, options, wait=not options.grid, keep_every=keep_every)
    if options.pack:
        pack([run for run in outcomes if isinstance(run, Run)], options.pack)
    return told(outcomes)


def run_experiment(options: argparse.Namespace) -> int:
    experiment = experiments.read(options.file)
    folder = options.out or options.file.with_suffix("")
    experiments.store_resolved(experiment, folder)
    print(f"{len(experiment.cells)} networks; what is asked for, and then the tables: {folder}")
    outcomes = trained([config for _, config in experiment.cells], options, wait=True)
    experiments.measure(experiment, [run if isinstance(run, Run) else None for run in outcomes], folder)
    return told(outcomes)


def trained(configs: Sequence[RunConfig], options: argparse.Namespace, *, wait: bool, **more: Any) -> list[Outcome]:
    """What :func:`rrahelpers.training.train_all` gives for each configuration, told as it comes; ``more``: its other
    options."""
    if options.device:
        check_device(options.device)
    deadline = None if options.budget is None else time.monotonic() + options.budget
    found: list[Outcome] = []
    with workers(options.jobs) as executor:
        outcomes = train_all(configs, executor=executor, device=options.device, deadline=deadline, wait=wait,
                             **more)
        for number, config in enumerate(configs, start=1):
            print(f"[{number}/{len(configs)}] {config.as_dict()}", flush=True)
            found.append(outcome := next(outcomes))
            if isinstance(outcome, Run):
                print(f"  {outcome.folder}: top-1 {outcome.accuracy:.2%} ({outcome.record['status']})", flush=True)
            else:
                print(f"  {outcome}", file=sys.stdout if isinstance(outcome, Interrupted) else sys.stderr, flush=True)
    return found


def told(outcomes: Sequence[Outcome]) -> int:
    """Say how many runs are finished, open and failed. Returns the exit status."""
    finished, unfinished = (sum(isinstance(outcome, kind) for outcome in outcomes) for kind in (Run, Interrupted))
    failed = len(outcomes) - finished - unfinished
    print(f"{finished} of {len(outcomes)} runs are finished"
          + (f", {unfinished} open: the same command goes on with them" if unfinished else "")
          + (f", {failed} failed" if failed else ""))
    return int(failed > 0)


def run_measure(options: argparse.Namespace) -> int:
    todo = measures.jobs(options.grid, options.profile)
    failed = 0
    with workers(options.jobs) as executor:
        outcomes = (executor.map if executor else map)(measures.attempt, todo)
        for job, reason in zip(todo, tqdm(outcomes, total=len(todo), desc=f"measuring {options.grid}", unit="table")):
            failed += reason is not None
            tqdm.write(f"{job.run.folder}: {job.name}" + (f": {reason}" if reason else ""))
    print(f"{len(todo) - failed} of {len(todo)} tables are stored" + (f", {failed} failed" if failed else ""))
    return int(failed > 0)


def check_device(name: str) -> None:
    try:
        torch.empty(1, device=name).cpu()  # of "meta", which computes nothing, nothing comes back
    # unknown, or not of this torch or this machine
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device {name}: torch {torch.__version__} finds no such device "
                         f"({str(error).splitlines()[0]})") from error


def workers(jobs: int) -> contextlib.AbstractContextManager[Executor | None]:
    """A context with an executor of so many processes that share out the cores; with None for a single job."""
    threads = cores_each(jobs)
    if jobs == 1:
        return contextlib.nullcontext()
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,))


def single(options: argparse.Namespace) -> RunConfig:
    """The configuration of ``train MODEL --set ...``: fields of RunConfig first, what is left are model options."""
    given = pairs(options.set)
    known = {f.name for f in fields(RunConfig)} - {"model", "data", "options"}
    return recipes.recipe(options.recipe or grids.STAC, options.data or "cifar10", options.model,
                          options={k: v for k, v in given.items() if k not in known},
                          **{k: v for k, v in given.items() if k in known})


def pack(runs: Sequence[Run], path: Path) -> None:
    """Write the runs' folders into one tar archive, to be unpacked in ``data/runs``."""
    with atomic(path) as temporary, tarfile.open(temporary, "w") as archive:
        for run in runs:
            for file in sorted(run.folder.rglob("*")):
                if file.is_file() and file.name not in (".lock", "checkpoint.pt") and file.suffix != ".tmp":
                    archive.add(file, f"{run.name}/{file.relative_to(run.folder)}")
    print(f"{len(runs)} runs packed into {path}")
