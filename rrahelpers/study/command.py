"""``python -m rrahelpers figures``, ``claims`` and ``list``: what the collection shows, says and stores."""

import argparse
import os
import sys
from pathlib import Path

import torch

from rrahelpers.base.arguments import duration
from rrahelpers.base.files import atomic, project_root
from rrahelpers.study import batch
from rrahelpers.training.runs import Run, RunError, run_folders, store_root


def add_arguments(commands: argparse._SubParsersAction) -> None:
    figures = commands.add_parser("figures", help="run the notebooks headless and write their figures")
    figures.add_argument("--profile", default="study", help="a file's name in notebooks/profiles (default: study)")
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
    ledger.add_argument("--readme", action="store_true",
                        help="bring the tables in README.md and figures/README.md up to date")
    ledger.set_defaults(run=run_claims)

    listing = commands.add_parser("list", help="the stored runs")
    listing.set_defaults(run=run_list)


def run_figures(options: argparse.Namespace) -> int:
    try:
        outcomes = batch.run_notebooks(options.profile, options.only, force=options.force, jobs=options.jobs,
                                       cell_timeout=options.cell_timeout)
    except KeyboardInterrupt:
        os._exit(130)  # without waiting for the notebooks that run: their kernels end with this process
    print(batch.summary(outcomes))
    return int(any(outcome.status == "failed" for outcome in outcomes))


def run_claims(options: argparse.Namespace) -> int:
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
        verdicts = claims.decided(tables)
        for path in map(project_root().joinpath, board.PAGES):
            text = board.renewed(path.read_text(encoding="utf-8"), verdicts)
            with atomic(path) as temporary:
                Path(temporary).write_text(text, encoding="utf-8")
        return 0
    found = {claim: verdict for claim, verdict in claims.decided(
        tables, board.chosen(options.source, options.figure)).items() if options.verdict in (None, verdict.verdict)}
    if options.source or options.verdict or options.figure:
        for claim, verdict in found.items():
            print(board.line(claim, verdict))
    print(board.counts(found).to_string())
    return 0


def run_list(options: argparse.Namespace) -> int:
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
