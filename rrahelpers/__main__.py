"""The command line: ``python -m rrahelpers train|figures|claims|list``."""

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import sys
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path

import torch

from rrahelpers.base.devices import cores_each
from rrahelpers.base.files import atomic, project_root
from rrahelpers.study import batch, grids
from rrahelpers.training import Interrupted, train_all
from rrahelpers.training.config import RunConfig
from rrahelpers.training.runs import Run, RunError, run_folders, store_root

UNITS = {"s": 1, "m": 60, "h": 3600}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m rrahelpers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="train one network or a grid; finished runs are passed over")
    train.add_argument("model", nargs="?", help="a model's name, for one network")
    train.add_argument("--data", help="a data set's name (default: cifar10)")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                       help="a field of RunConfig, or an option of the model; VALUE is JSON or a plain word")
    train.add_argument("--grid", help=f"a grid instead of a model: {', '.join(grids.GRIDS)}")
    train.add_argument("--profile", help="the grid's size: a file's name in notebooks/profiles (default: study)")
    train.add_argument("--budget", type=duration, metavar="TIME",
                       help="begin no epoch that would end later than this, going by the last one, e.g. 9m")
    train.add_argument("--device", help="as torch names it (default: cuda where there is one, else cpu)")
    train.add_argument("--jobs", type=int, default=1, help="networks side by side; the cores are shared out")
    train.add_argument("--pack", type=Path, metavar="FILE.tar",
                       help="afterwards, pack records, weights and results of these runs")
    train.set_defaults(run=run_train)

    figures = commands.add_parser("figures", help="run the notebooks headless and write their figures")
    figures.add_argument("--profile", default="quick", help="a file's name in notebooks/profiles (default: quick)")
    figures.add_argument("--only", nargs="+", default=[], metavar="01", help="beginnings of notebook names")
    figures.add_argument("--force", action="store_true", help="also run notebooks whose figures are up to date")
    figures.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                         help="notebooks side by side, the cores being shared out (default: 2 where there are two "
                              "cores)")
    figures.add_argument("--cell-timeout", type=duration, metavar="TIME", default=batch.CELL_TIMEOUT,
                         help="fail a notebook with a cell that runs longer, 0: never (default: "
                              f"{batch.CELL_TIMEOUT // 3600}h)")
    figures.set_defaults(run=run_figures)

    ledger = commands.add_parser("claims", help="what of the sources' statements holds: counts, or one by one")
    ledger.add_argument("--source", help="the beginning of a source's name, e.g. STAC")
    ledger.add_argument("--verdict", help="agrees, partly, disagrees, 'not measured' or 'not possible here'")
    ledger.add_argument("--figure", help="claims about a figure (57) or a table ('table 5')")
    ledger.add_argument("--why", metavar="ID", help="all that is known of one claim, e.g. 003-116")
    ledger.add_argument("--readme", action="store_true", help="bring the tables in README.md up to date")
    ledger.set_defaults(run=run_claims)

    listing = commands.add_parser("list", help="the stored runs")
    listing.set_defaults(run=run_list)

    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, TypeError, FileNotFoundError) as error:  # what the user asked for does not exist
        parser.error(str(error))
    except (RunError, OSError) as error:  # what is stored cannot be used, or nothing can be stored
        print(error, file=sys.stderr)
        return 1


def duration(text):
    """Seconds from "90", "90s", "9m" or "1.5h"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected a time such as 90s, 9m or 1.5h, got {text!r}")
    return float(match[1]) * UNITS[match[2] or "s"]


def run_train(options):
    if bool(options.model) == bool(options.grid):
        raise ValueError("train takes a model's name or --grid, one of the two")
    if options.grid and (options.set or options.data):
        raise ValueError("--grid takes its data and settings from the profile; --data and --set go with a model's name")
    if options.model and options.profile:
        raise ValueError("--profile goes with --grid; one network has its settings from --set")
    if options.device:
        check_device(options.device)
    configs = grids.grid(options.grid, options.profile or "study") if options.grid else [single(options)]
    deadline = None if options.budget is None else time.monotonic() + options.budget
    finished, open_, failed = [], [], []
    with workers(options.jobs) as executor:
        outcomes = train_all(configs, executor=executor, device=options.device, deadline=deadline,
                             wait=not options.grid)
        for number, config in enumerate(configs, start=1):
            print(f"[{number}/{len(configs)}] {config.as_dict()}", flush=True)
            outcome = next(outcomes)
            if isinstance(outcome, Run):
                finished.append(outcome)
                print(f"  {outcome.folder}: top-1 {outcome.accuracy:.2%} ({outcome.record['status']})", flush=True)
            elif isinstance(outcome, Interrupted):
                open_.append(config)
                print(f"  {outcome}", flush=True)
            else:
                failed.append(config)
                print(f"  {outcome}", file=sys.stderr, flush=True)
    if options.pack:
        pack(finished, options.pack)
    print(f"{len(finished)} of {len(configs)} runs are finished"
          + (f", {len(open_)} open: the same command goes on with them" if open_ else "")
          + (f", {len(failed)} failed" if failed else ""))
    return 1 if failed else 0


def check_device(name):
    try:
        torch.empty(1, device=name).cpu()  # of "meta", which computes nothing, nothing comes back
    # unknown, or not of this torch or this machine
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"--device {name}: torch {torch.__version__} finds no such device "
                         f"({str(error).splitlines()[0]})") from error


def workers(jobs):
    """A context with an executor of so many processes that share out the cores; with None for a single job."""
    threads = cores_each(jobs)
    if jobs == 1:
        return contextlib.nullcontext()
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,))


def single(options):
    """The configuration of ``train MODEL --set ...``: fields of RunConfig first, what is left are model options."""
    given = {}
    for item in options.set:
        name, sign, value = item.partition("=")
        if not sign:
            raise ValueError(f"--set expects NAME=VALUE, got {item!r}")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    known = {f.name for f in fields(RunConfig)} - {"model", "data", "options"}
    return grids.recipe(options.data or "cifar10", options.model,
                        options={k: v for k, v in given.items() if k not in known},
                        **{k: v for k, v in given.items() if k in known})


def pack(runs, path):
    """Write the runs' folders into one tar archive, to be unpacked in ``data/runs``."""
    with atomic(path) as temporary, tarfile.open(temporary, "w") as archive:
        for run in runs:
            for file in sorted(run.folder.rglob("*")):
                if file.is_file() and file.name not in (".lock", "checkpoint.pt") and file.suffix != ".tmp":
                    archive.add(file, f"{run.name}/{file.relative_to(run.folder)}")
    print(f"{len(runs)} runs packed into {path}")


def run_figures(options):
    try:
        outcomes = batch.run_notebooks(options.profile, options.only, force=options.force, jobs=options.jobs,
                                       cell_timeout=options.cell_timeout)
    except KeyboardInterrupt:
        os._exit(130)  # without waiting for the notebooks that run: their kernels end with this process
    print(batch.summary(outcomes))
    return int(any(outcome.status == "failed" for outcome in outcomes))


def run_claims(options):
    from rrahelpers.study import claims  # some hundred checks, and what they call
    from rrahelpers.study.claims import board

    torch.set_num_threads(1)  # the networks that are counted are small
    tables = claims.Tables()
    if options.why:
        if not (found := [claim for claim in claims.CLAIMS if claim.id == options.why]):
            raise ValueError(f"no claim {options.why!r}; --source, --figure and --verdict list them with their ids")
        print(board.why(found[0], found[0].decide(tables), tables))
        return 0
    if options.verdict and options.verdict not in claims.VERDICTS:
        raise ValueError(f"unknown verdict {options.verdict!r}; expected one of: {', '.join(claims.VERDICTS)}")
    if options.readme:
        with atomic(project_root() / "README.md") as temporary:
            Path(temporary).write_text(board.readme(claims.decided(tables)), encoding="utf-8")
        return 0
    found = {claim: verdict for claim, verdict in claims.decided(
        tables, board.chosen(options.source, options.figure)).items() if options.verdict in (None, verdict.verdict)}
    if options.source or options.verdict or options.figure:
        for claim, verdict in found.items():
            print(board.line(claim, verdict))
    print(board.counts(found).to_string())
    return 0


def run_list(options):
    folders = run_folders()
    print(f"{len(folders)} finished runs in {store_root()}")
    damaged = 0
    for folder in folders:
        try:
            run = Run(folder)
            print(f"{run.name}  {run.accuracy:.2%}  {run.config.as_dict()}")
        except RunError as error:
            print(error, file=sys.stderr)
            damaged = 1
    return damaged


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks is shown as an escape
    sys.exit(main())
