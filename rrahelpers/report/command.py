"""``python -m rrahelpers analyse``: a report on a network from the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from rrahelpers.base.arguments import pairs
from rrahelpers.features import analysed_layers, as_batches, layer_names
from rrahelpers.features.passes import run
from rrahelpers.report import cache
from rrahelpers.report.analysis import analyse
from rrahelpers.report.networks import FORMS, build_network
from rrahelpers.report.preprocessing import Preprocessing, channels_of


def add_arguments(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("analyse", help="what each layer of a network contributes: a page and tables",
                                 description="Measure every layer of a network over images, and write a page, tables "
                                 "and JSON.")
    parser.add_argument("model", help=FORMS)
    parser.add_argument("--data", help="a folder of images, one subfolder for each class, or a data set's name")
    parser.add_argument("--weights", help="a file (safetensors or torch.save), 'pretrained' or 'random'")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where report.html, tables and JSON go")
    parser.add_argument("--name", help="what the report calls the network (default: MODEL)")
    parser.add_argument("--list-layers", action="store_true", help="show names and shapes, and compute nothing")
    parser.add_argument("--layers", nargs="+", metavar="NAME", help="default: those that --list-layers shows")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="an option of whatever builds the network, such as num_classes=10")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="side that images are brought to")
    parser.add_argument("--mean", type=float, nargs="+", help="of each channel, for images in [0, 1]")
    parser.add_argument("--std", type=float, nargs="+", help="likewise")
    parser.add_argument("--samples", type=int, default=2000, help="images at most (default: 2000)")
    parser.add_argument("--budget", metavar="TIME", help="look at fewer images and layers where it would take longer, "
                        "e.g. 5m")
    parser.add_argument("--neighbours", type=int, default=10, metavar="K", help="of each image (default: 10)")
    parser.add_argument("--no-probes", action="store_true", help="fit no linear probes")
    parser.add_argument("--ablation", action="store_true", help="also what accuracy is lost without each layer")
    parser.set_defaults(run=run_analyse)

    stored = commands.add_parser("cache", help="features that reports left on the disk")
    stored.add_argument("--empty", action="store_true", help="remove every entry")
    stored.set_defaults(run=run_cache)


def run_analyse(options: argparse.Namespace) -> int:
    """Print the summary and write the report; or list the layers."""
    weights = options.weights or ("random" if options.list_layers and ":" not in options.model else None)
    model, how = build_network(options.model, weights, pairs(options.set))
    how = how.told(options.image_size, options.mean, options.std)
    if options.list_layers:
        return list_layers(model, how, options.layers)
    if not options.data or not options.out:
        raise ValueError("analyse needs --data (a folder of images or a data set's name) and --out (a folder), or "
                         "--list-layers")
    report = analyse(model, options.data, layers=options.layers, k=options.neighbours, samples=options.samples,
                     budget=options.budget, probes=not options.no_probes, preprocessing=how,
                     name=options.name or options.model)
    if options.ablation:
        report.ablation()
    report.save(options.out)
    page = report.to_html(options.out / "report.html")
    print(report.summary())
    for note in report.notes:
        print(f"- {note}")
    print(f"page: {page}; tables: {options.out}")
    return 0


def run_cache(options: argparse.Namespace) -> int:
    """Tell what the cache of features holds, or empty it."""
    count, size = cache.empty() if options.empty else (
        len(cache.entries()), sum(size for _, size, _ in cache.entries()))
    print(f"{'removed ' if options.empty else ''}{count} entries, {size / 1e6:.1f} MB, in {cache.cache_folder()}")
    return 0


def list_layers(model: nn.Module, how: Preprocessing, layers: Sequence[str] | None) -> int:
    """Names and shapes of the layers, from one image of zeros, where the image's size is known; else names alone."""
    if how.size is None:
        print("\n".join(layers or layer_names(model)))
        print("the network doesn't tell the size of its images: --image-size shows the layers' shapes too")
        return 0
    sample, shapes = torch.zeros(2, channels_of(model) or 3, how.size, how.size), {}
    names = analysed_layers(model, sample, layers)
    run(model, as_batches(sample), names, lambda name, output, _place: shapes.update({name: output.shape[1:]}))
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {'x'.join(map(str, shapes[name]))}")
    return 0
