"""What a report costs beside the bare forward passes: ResNet50 at 224 pixels.

    python benchmarks/report.py [N] [--network NAME] [--side PIXELS]

A process for each kind of work, one after the other, all cores, with random weights and N images (default 2,000),
smooth ones with a little noise, about a prototype for each of ten classes: bare forward passes, in batches of 100, as
a loop of one's own has them; the report; ablation, on 20 of the images. Of each the seconds on the clock and of the
processor, how much of them the search for neighbours and the probes are, and the most memory that was the process'
own: pages of the mapped cache of features, which the system takes back when it needs them, are counted apart. Writes
``benchmarks/results/report.json`` and ``.md``; of another size or network than by default, into ``results/quick``.

Whether it gets on in 4 GB a control group tells: ``systemd-run --scope -p MemoryMax=4G python benchmarks/report.py``.
"""

import argparse
import contextlib
import functools
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

import torch
from neighbors import machine, memory, store
from torch.nn.functional import interpolate

from rrahelpers.features import analysed_layers
from rrahelpers.features.passes import forward
from rrahelpers.models import build
from rrahelpers.report import Preprocessing, ablation, analyse, layer, scales

HOW = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
BARE, ABLATED = "bare forward passes", 20
PARTS = {"neighbour graphs": [(layer, "pyramid_graphs")],  # where they are called
         "probes": [(layer, "fit_probe"), (scales, "pool")]}  # fitted, and in a pass pooled for


def pictures(count, side):
    """Images uint8 [count, 3, side, side] and their labels."""
    labels, images = torch.arange(count) % 10, torch.empty(count, 3, side, side, dtype=torch.uint8)
    prototypes = torch.rand(10, 3, 7, 7)
    for rows in torch.arange(count).split(100):
        coarse = (prototypes[labels[rows]] + torch.rand(len(rows), 3, 7, 7)) / 2
        smooth = interpolate(coarse, size=side, mode="bicubic")
        images[rows] = ((smooth + torch.randn_like(smooth) / 20).clamp(0, 1) * 255).byte()
    return images, labels


def bare(model, images, _labels):
    for batch in images.split(100):
        forward(model, HOW.normalise(batch))


def report(model, images, labels):
    analyse(model, images, labels, preprocessing=HOW, samples=None, progress=False)


def ablated(model, images, labels):
    some = HOW.normalise(images[:ABLATED])
    ablation.ablate(model, some, labels[:ABLATED], analysed_layers(model, some), progress=False)


WORK = {BARE: bare, "report": report, f"ablation on {ABLATED} images": ablated}


@contextlib.contextmanager
def clocks():
    """Within it, the seconds spent in each of :data:`PARTS` gather: yields {part: seconds}."""
    spent = dict.fromkeys(PARTS, 0.0)

    def counted(part, function):
        @functools.wraps(function)
        def call(*given, **options):
            start = time.perf_counter()
            try:
                return function(*given, **options)
            finally:
                spent[part] += time.perf_counter() - start
        return call

    for part, places in PARTS.items():
        for module, name in places:
            setattr(module, name, counted(part, getattr(module, name)))
    yield spent


@contextlib.contextmanager
def own_memory(every=0.05):
    """Within it, a thread looks how many bytes are the process' own: yields their list."""
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append(memory("RssAnon"))
            over.wait(every)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def measured(arguments):
    """What one kind of work takes in this process."""
    work, network, count, side = arguments
    torch.manual_seed(0)
    model = build(f"torchvision/{network}").eval()
    images, labels = pictures(count, side)
    start, processor = time.perf_counter(), time.process_time()
    with clocks() as parts, own_memory() as own:
        WORK[work](model, images, labels)
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - processor, "parts": parts,
            "own memory": max(own) / 1e9, "with mapped files": memory() / 1e9}


def markdown(found):
    lines = ["# A report beside the bare forward passes", "",
             f"{found['machine']['text']}. {found['network']} at {found['side']} pixels, {found['images']:,} images. "
             "One run.", "",
             "| what | seconds | neighbour graphs | probes | the rest, in bare passes | memory of its own (GB) | "
             "with mapped files (GB) |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    once = found["work"][BARE]["seconds"]
    for what, one in found["work"].items():
        rest = (one["seconds"] - sum(one["parts"].values())) / once
        lines.append(f"| {what} | {one['seconds']:.1f} | {one['parts']['neighbour graphs']:.1f} | "
                     f"{one['parts']['probes']:.1f} | {rest:.2f} | {one['own memory']:.2f} | "
                     f"{one['with mapped files']:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", type=int, default=2000, help="how many (default: 2000)")
    parser.add_argument("--network", default="resnet50", help="of torchvision (default: resnet50)")
    parser.add_argument("--side", type=int, default=224, help="of the images, in pixels (default: 224)")
    options = parser.parse_args()
    size = (options.network, options.images, options.side)
    folder = Path(__file__).parent / "results" / ("" if size == ("resnet50", 2000, 224) else "quick")
    folder.mkdir(parents=True, exist_ok=True)
    found = {"machine": machine(), "network": options.network, "images": options.images, "side": options.side,
             "work": {}}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["RRA_CACHE"] = cache
        for name in WORK:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process each: memory is counted apart
                found["work"][name] = pool.map(measured, [(name, *size)])[0]
            print(name, found["work"][name], flush=True)
            store(folder / "report.json", found, markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
