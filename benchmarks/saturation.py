"""What saturation costs while a network trains: the plain step, rrahelpers' tracker (its eigenvalues at the end of an
epoch, or in a thread beside the next one), Delve's.

    python benchmarks/saturation.py [--quick]

VGG16-BN and ResNet18 (torchvision's) at 32x32 pixels in batches of 128, every convolutional and linear layer followed.
Copies of a network take turns step by step, so that a change of the machine's load meets them all; then the end of the
epoch (in the background: what the loop waits, until when the rows are there, and what steps take meanwhile), and how
exact each method's eigenvalues are for activations whose mean is large against their deviation.
Writes ``benchmarks/results/saturation.json`` and ``.md`` (``--quick``: ResNet18, few and small steps, into
``results/quick``). Delve is reported as not installed where it can't be imported (``pip install --no-deps delve``).
"""

import argparse
import copy
import importlib.metadata
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from neighbors import machine, store

from rrahelpers import data
from rrahelpers.base.torchvision import torchvision
from rrahelpers.eigenspace import Covariance, SaturationTracker, eigenvalues
from rrahelpers.training.runs import normalise

BACKGROUND = "rrahelpers, background"
METHODS = ("plain", "rrahelpers", BACKGROUND, "Delve")
MEANS = (0, 1e2, 1e4)  # of activations of deviation 1


def images(samples):
    """CIFAR-10 where it is at hand, else noise."""
    try:
        found = data.load("cifar10", "train", limit=samples)
    except data.DataError:
        return torch.randn(samples, 3, 32, 32), torch.arange(samples) % 10, "noise"
    return normalise(found.images, *found.statistics()), found.labels, "CIFAR-10"


def delve_version():
    try:
        return importlib.metadata.version("delve")
    except importlib.metadata.PackageNotFoundError:
        return None


def tracked(method, model, folder):
    """The function that closes an epoch, the method's hooks being in place."""
    if method in ("rrahelpers", BACKGROUND):
        return SaturationTracker(model, background=method == BACKGROUND).__enter__().end_epoch
    if method == "Delve":
        from delve import SaturationTracker as Delve

        return Delve(str(folder), "csv", model, device="cpu").add_saturations
    return lambda: None


def clocked(function):
    """Wall and processor seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(name, methods, x, y, steps, batch):
    """Rows of the table for one network."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, num_classes=10).to(memory_format=torch.channels_last).train()
    copies = {method: copy.deepcopy(model) for method in methods}
    optimisers = {method: torch.optim.SGD(copies[method].parameters(), 0.01) for method in methods}
    times, ends = {method: [] for method in methods}, {}

    def step(method, chosen):
        loss = F.cross_entropy(copies[method](x[chosen].contiguous(memory_format=torch.channels_last)), y[chosen])
        optimisers[method].zero_grad()
        loss.backward()
        optimisers[method].step()

    with tempfile.TemporaryDirectory() as folder:
        for method in methods:
            step(method, torch.arange(min(batch, len(x))))  # warm-up
        close = {method: tracked(method, copies[method], Path(folder) / method) for method in methods}
        for number in range(steps):
            chosen = torch.randint(len(x), (batch,), generator=torch.Generator().manual_seed(number))
            for method in methods:
                times[method].append(clocked(lambda: step(method, chosen)))
            latest = ", ".join(f"{method} {times[method][-1][0]:.2f} s" for method in methods)
            print(f"  {name}, step {number + 1}: {latest}", flush=True)
        for method in methods:
            if method != BACKGROUND:
                ends[method] = clocked(close[method])
        ends[BACKGROUND], meanwhile = beside(close[BACKGROUND], lambda: step("plain", torch.arange(batch)))
    rows = []
    for method in methods:
        # against the plain step of the same turn
        ratios = [[own[clock] / plain[clock] for own, plain in zip(times[method], times["plain"])] for clock in (0, 1)]
        rows.append({"network": name, "method": method, "steps": steps, "seconds": median(t[0] for t in times[method]),
                     "processor_seconds": median(t[1] for t in times[method]), "ratio": median(ratios[0]),
                     "processor_ratio": median(ratios[1]), "end_seconds": ends[method][0],
                     "end_processor_seconds": ends[method][1]})
        if method == BACKGROUND:
            rows[-1] |= {"rows_after": meanwhile[0], "steps_meanwhile": len(meanwhile[1]),
                         "ratio_meanwhile": median(meanwhile[1]) / median(t[0] for t in times["plain"])}
    return rows


def beside(close, step):
    """Close an epoch in the background and go on with steps until its rows are there: wall and processor seconds of the
    call; seconds until then, and those of each step."""
    end, start, seconds = clocked(close), time.perf_counter(), []
    while any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate()):
        seconds.append(clocked(step)[0])
    return end, (time.perf_counter() - start, seconds)


def exactness(methods, features=64, observations=20000):
    """The largest error of an eigenvalue, as a share of the trace, against a two-pass computation in long double."""
    generator, rows = np.random.default_rng(0), []
    spread = generator.standard_normal((observations, features)) * 0.9 ** np.arange(features)
    for mean in MEANS:
        x = torch.from_numpy((spread + mean).astype(np.float32))
        exact = x.numpy().astype(np.longdouble)
        exact = exact - exact.mean(0)
        true = eigenvalues(torch.from_numpy((exact.T @ exact / observations).astype(np.float64)))
        for method in methods:
            if method == "rrahelpers":
                covariance = Covariance(features)
                for part in x.split(500):
                    covariance.update(part)
                found = covariance.matrix()
            elif method == "Delve":
                from delve.torch_utils import TorchCovarianceMatrix

                covariance = TorchCovarianceMatrix(device="cpu")
                for part in x.split(500):
                    covariance.update(part, False)
                found = covariance.fix()
            else:
                continue
            error = np.abs(eigenvalues(found) - true).max() / true.sum()
            rows.append({"mean": mean, "method": method, "error": float(error)})
    return rows


def markdown(report):
    lines = ["# Saturation while training", "",
             f"{report['machine']['text']}. Batches of {report['batch']} images ({report['images']}) of 32x32 pixels, "
             f"float32, channels last, SGD. Medians of {report['steps']} interleaved steps. "
             f"Delve: {report['delve'] or 'not installed'}.", "",
             "| network | method | step, s | of plain | of plain, processor time | end of epoch, s |",
             "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {r['network']} | {r['method']} | {r['seconds']:.3f} | {r['ratio']:.2f} | {r['processor_ratio']:.2f} "
              f"| {r['end_seconds']:.2f} |" for r in report["rows"]]
    lines += [""] + [f"{r['network']}, in the background: the rows are there {r['rows_after']:.1f} s later; "
                     f"{r['steps_meanwhile']} plain steps meanwhile take {r['ratio_meanwhile']:.2f} of one alone."
                     for r in report["rows"] if "rows_after" in r]
    lines += ["", "## Largest error of an eigenvalue, as a share of the trace", "",
              "| mean / deviation | method | error |", "| --- | --- | --- |"]
    lines += [f"| {r['mean']:g} | {r['method']} | {r['error']:.1e} |" for r in report["exactness"]]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ResNet18 alone, 3 steps of 32 images")
    parser.add_argument("--steps", type=int, help="of each method (40: more images than VGG16 has features; quick: 3)")
    parser.add_argument("--networks", nargs="+", help="torchvision's names (vgg16_bn resnet18; quick: resnet18)")
    options = parser.parse_args()
    folder = Path(__file__).parent / "results" / ("quick" if options.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    steps, batch = options.steps or (3 if options.quick else 40), 32 if options.quick else 128
    methods = [method for method in METHODS if method != "Delve" or delve_version()]

    about = machine()
    x, y, source = images(20 * batch)
    rows = []
    for name in options.networks or (["resnet18"] if options.quick else ["vgg16_bn", "resnet18"]):
        rows += compare(name, methods, x, y, steps, batch)
    report = {"machine": about, "batch": batch, "images": source, "steps": steps,
              "delve": delve_version(), "rows": rows, "exactness": exactness(methods)}
    store(folder / "saturation.json", report, markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
