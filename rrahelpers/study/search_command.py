"""``python -m rrahelpers search``: what the prediction of idle layers saves a search, trained and stored."""

import argparse
import time

from rrahelpers.base.arguments import duration
from rrahelpers.study import search
from rrahelpers.training import Interrupted


def add_arguments(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("search", help="search architectures with the prediction of idle layers and without; "
                                                "goes on where it was broken off")
    parser.add_argument("--network", nargs="+", default=list(search.NETWORKS), choices=list(search.NETWORKS),
                        help="default: all")
    parser.add_argument("--data", default="cifar10", help="a data set's name (default: cifar10)")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each arm (default: 3)")
    for name, kind in (("limit", int), ("epochs", int), ("width", float)):
        parser.add_argument(f"--{name}", type=kind, default=search.SETTINGS[name],
                            help=f"of every training (default: {search.SETTINGS[name]})")
    parser.add_argument("--budget", type=duration, metavar="TIME",
                        help="begin no epoch that would end later than this, going by the last one, e.g. 9m")
    parser.add_argument("--device", help="as torch names it (default: cuda where there is one, else cpu)")
    parser.set_defaults(run=run_search)


def run_search(options: argparse.Namespace) -> int:
    deadline = None if options.budget is None else time.monotonic() + options.budget
    try:
        table = search.arms(options.network, options.data, options.seeds, compute=True, device=options.device,
                            deadline=deadline, limit=options.limit, epochs=options.epochs, width=options.width)
    except Interrupted as reason:
        print(f"{reason}. The same command goes on with the search")
        return 0
    print(search.summary(table).to_string(index=False, float_format="{:.3f}".format))
    return 0
