"""What a report costs beside the bare forward pass: ResNet50 at 224 pixels on 2,000 images.

    python benchmarks/report.py [--quick]

Four processes, one after the other, all cores, with random weights and images of noise (the time doesn't depend on
them): a bare forward pass over all images; the report without probes; the same again, its features in the cache; with
probes. Of each the seconds and the largest memory that the process held. Writes ``benchmarks/results/report.json`` and
``.md`` (``--quick``: ResNet18 at 64 pixels on 100 images, into ``results/quick``).
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

import torch
from neighbors import machine

from rrahelpers.features.passes import forward
from rrahelpers.models import build
from rrahelpers.report import Preprocessing, analyse

HOW = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
WORK = {
    "a bare forward pass": lambda model, images, labels: [
        forward(model, HOW.normalise(batch)) for batch in images.split(100)],
    "report without probes": lambda model, images, labels: analyse(model, images, labels, preprocessing=HOW,
                                                                   samples=None, probes=False, progress=False),
    "the same again": lambda model, images, labels: analyse(model, images, labels, preprocessing=HOW, samples=None,
                                                            probes=False, progress=False),
    "report with probes": lambda model, images, labels: analyse(model, images, labels, preprocessing=HOW, samples=None,
                                                                progress=False),
}


def measured(arguments):
    """(seconds, GB at most) of one kind of work in this process."""
    work, network, count, side = arguments
    torch.manual_seed(0)
    model = build(f"torchvision/{network}").eval()
    images, labels = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8), torch.arange(count) % 10
    start = time.perf_counter()
    WORK[work](model, images, labels)
    return time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def markdown(report):
    lines = ["# A report beside the bare forward pass", "",
             f"{report['machine']['text']}. {report['network']} at {report['side']} pixels, "
             f"{report['images']:,} images. One run.", "",
             "| what | seconds | of the bare pass | memory at most (GB) |", "| --- | --- | --- | --- |"]
    bare = report["work"]["a bare forward pass"][0]
    lines += [f"| {what} | {clock:.1f} | {clock / bare:.2f} | {held:.2f} |"
              for what, (clock, held) in report["work"].items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ResNet18 at 64 pixels on 100 images")
    options = parser.parse_args()
    network, count, side = ("resnet18", 100, 64) if options.quick else ("resnet50", 2000, 224)
    folder = Path(__file__).parent / "results" / ("quick" if options.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    work = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["RRA_CACHE"] = cache
        for name in WORK:
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process each: memory is counted apart
                work[name] = pool.map(measured, [(name, network, count, side)])[0]
            print(name, work[name], flush=True)
    report = {"machine": machine(), "network": network, "images": count, "side": side, "work": work}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))


if __name__ == "__main__":
    main()
