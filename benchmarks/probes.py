"""Logistic regression probes side by side: rrahelpers and scikit-learn.

    python benchmarks/probes.py [--quick]

One probe on a layer of ResNet20 (stages.2.0, pooled to 4 x 4 places: 1,024 features) and one for each of the 64 places
of its 8 x 8 map, fitted on CIFAR-10's training images and scored on its test images, all methods taking turns, each in
a fresh process that uses all cores. scikit-learn's SAGA stops after 100 epochs, as the dissertation's does; its L-BFGS
and its Newton methods stop by their default tolerance, L-BFGS for the layer also by one near its optimum. (For the
layer Newton-Cholesky holds the square of 10 x 1,025 coefficients, 0.8 GB.) Then every layer of the network on all
50,000 images, its features computed anew: fitted one after the other, and several side by side. Writes
``benchmarks/results/probes.json`` and ``.md`` (``--quick``: fewer samples and places, one repetition, into
``results/quick``).
"""

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from neighbors import apart, machine, store

from rrahelpers import data, models
from rrahelpers.features import extract
from rrahelpers.features.pooled import pool
from rrahelpers.probes import fit_probe, probe_layers, probe_positions
from rrahelpers.training.runs import normalise, stored_runs

LAYER = "stages.2.0"
SOLVERS = {"scikit-learn SAGA, 100 epochs": {"solver": "saga", "max_iter": 100},
           "scikit-learn L-BFGS": {"solver": "lbfgs", "max_iter": 1000},
           "scikit-learn Newton-CG": {"solver": "newton-cg", "max_iter": 1000},
           "scikit-learn Newton-Cholesky": {"solver": "newton-cholesky", "max_iter": 1000},
           "scikit-learn L-BFGS, tol 1e-6": {"solver": "lbfgs", "max_iter": 20000, "tol": 1e-6}}
METHODS = {"One layer": ("rrahelpers", *SOLVERS), "Every place": ("rrahelpers", *list(SOLVERS)[:-1])}


def network(samples):
    """A stored run's ResNet20, else an untrained one; {split: (prepared images, labels)}, and whose network it is."""
    sets = {split: data.load("cifar10", split, limit=samples) for split in ("train", "test")}
    run = next((r for r in stored_runs() if r.config.model == "resnet20" and r.config.data == "cifar10"
                and any(path.exists() for path in r.weight_files())), None)
    if run:
        model, preprocess, origin = run.model(), run.preprocess, f"trained ({run.name})"
    else:
        torch.manual_seed(0)
        model, origin = models.build("resnet20"), "untrained"
        statistics = sets["train"].statistics()

        def preprocess(images):
            return normalise(images, *statistics)
    return model.eval(), {split: (preprocess(s.images), s.labels) for split, s in sets.items()}, origin


def features(samples):
    """{split: (maps float32 [N, 64, 8, 8], labels)} of the network, and whose it is."""
    model, sets, origin = network(samples)
    return {split: (extract(model, x, [LAYER])[LAYER], y) for split, (x, y) in sets.items()}, origin


def whole(samples):
    """Every layer's probe, features included: a row for each number of layers fitted side by side."""
    model, sets, _ = network(samples)
    rows = []
    for jobs in dict.fromkeys((1, os.cpu_count())):
        start = time.perf_counter()
        table = probe_layers(model, *sets["train"], *sets["test"], jobs=jobs, progress=False)
        rows.append({"jobs": jobs, "seconds": time.perf_counter() - start, "layers": len(table),
                     "fits": table["seconds"].sum(), "features": int(table["features"].max()),
                     "accuracy": table["value"].max(), "converged": bool(table["converged"].all())})
        print(f"  every layer, {jobs} side by side: {rows[-1]['seconds']:.1f} s", flush=True)
    return rows


def sklearn_fit(method, x, y):
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SAGA's that it hasn't converged: the table says so
        return LogisticRegression(**SOLVERS[method]).fit(x, y)


def one_layer(method, x, y, x_test, y_test):
    """Accuracy, coefficients and intercepts of one probe."""
    x, x_test = (pool(f, 4).flatten(1) for f in (x, x_test))
    if method == "rrahelpers":
        found = fit_probe(x, y, x_test, y_test)
        return found.accuracy, found.coefficients.numpy(), found.intercepts.numpy()
    found = sklearn_fit(method, x.numpy(), y.numpy())
    return found.score(x_test.numpy(), y_test.numpy()), found.coef_, found.intercept_


def every_place(method, x, y, x_test, y_test):
    """Accuracies [H W]."""
    if method == "rrahelpers":
        return probe_positions(x, y, x_test, y_test).value.to_numpy()
    x, x_test = (f.flatten(2).permute(2, 0, 1).contiguous().numpy() for f in (x, x_test))
    fits = (sklearn_fit(method, place, y.numpy()) for place in x)
    return np.array([found.score(place, y_test.numpy()) for found, place in zip(fits, x_test)])


TASKS = {"One layer": one_layer, "Every place": every_place}


def child(task, method, path, answer):
    """One timed run in a process of its own, after a small one that imports and starts what there is to start."""
    try:
        x, y, x_test, y_test = (torch.from_numpy(a) for a in np.load(path).values())
        TASKS[task](method, x[:200, :, :2, :2], y[:200], x_test[:50, :, :2, :2], y_test[:50])
        start = time.perf_counter()
        found = TASKS[task](method, x, y, x_test, y_test)
        answer.put({"seconds": time.perf_counter() - start, "found": found})
    except Exception as error:  # the table says what a library did
        answer.put({"error": f"{type(error).__name__}: {error}"})


def timed(task, method, path):
    result = apart(child, task, method, path)
    if "error" in result:
        raise RuntimeError(f"{method}: {result['error']}")
    print(f"  {task}, {method}: {result['seconds']:.2f} s", flush=True)
    return result


def objective(x, y, coefficients, intercepts):
    """What all methods minimise at C = 1, in float64."""
    w, b = torch.from_numpy(coefficients).double(), torch.from_numpy(intercepts).double()
    return (F.cross_entropy(pool(x, 4).flatten(1).double() @ w.T + b, y, reduction="sum") + w.square().sum() / 2).item()


def compare(task, path, repetitions, train):
    results = {method: [] for method in METHODS[task]}
    for repetition in range(repetitions):
        for method, runs in results.items():
            if repetition == 0 or method == "rrahelpers" or runs[0]["seconds"] < 60:
                runs.append(timed(task, method, path))
    rows = []
    for method, runs in results.items():
        accuracy = runs[0]["found"][0] if task == "One layer" else runs[0]["found"].mean()
        rows.append({"method": method, "seconds": median(r["seconds"] for r in runs), "accuracy": float(accuracy),
                     "all_seconds": [round(r["seconds"], 3) for r in runs]})
        if task == "One layer":
            rows[-1]["objective"] = objective(*train, *runs[0]["found"][1:])
    if task == "One layer":
        least = min(row["objective"] for row in rows)
        for row in rows:
            row["above_least"] = row["objective"] / least - 1
    for row in rows:
        row["times_ours"] = row["seconds"] / rows[0]["seconds"]
    return rows


def markdown(report):
    lines = ["# Logistic regression probes side by side", "",
             f"{report['machine']['text']}. {report['features']}; C = 1. "
             "Medians of interleaved runs, each in a process of its own, warmed up.", ""]
    for task, rows in report["tables"].items():
        lines += [f"## {task}", "",
                  "| method | seconds | times rrahelpers' | test accuracy, % | objective above the least, share |",
                  "| --- | --- | --- | --- | --- |"]
        for row in rows:
            above = f"{row['above_least']:.1e}" if "above_least" in row else ""
            lines.append(f"| {row['method']} | {row['seconds']:.2f} | {row['times_ours']:.1f} "
                         f"| {100 * row['accuracy']:.2f} | {above} |")
        lines.append("")
    rows = report["whole"]
    lines += ["## Every layer of the network", "",
              f"{rows[0]['layers']} layers of at most {rows[0]['features']:,} features, {report['images']:,} images, "
              "features included. One run.", "",
              "| layers side by side | seconds | of them fits, summed over processes | all converged |",
              "| --- | --- | --- | --- |",
              *(f"| {row['jobs']} | {row['seconds']:.1f} | {row['fits']:.1f} | {'yes' if row['converged'] else 'no'} |"
                for row in rows), ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 samples, 4 places, one repetition")
    parser.add_argument("--samples", type=int, help="images of each split (10,000; quick: 1,000)")
    parser.add_argument("--repetitions", type=int, help="of each method (3; quick: 1); one of those over a minute")
    options = parser.parse_args()
    folder = Path(__file__).parent / "results" / ("quick" if options.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    samples = options.samples or (1000 if options.quick else 10000)

    about = machine()
    found, origin = features(samples)
    with tempfile.TemporaryDirectory() as scratch:
        tables = {}
        for task in TASKS:
            side = 2 if options.quick and task == "Every place" else 8
            path = Path(scratch) / "features.npz"
            np.savez(path, *(a for maps, labels in found.values() for a in (maps[:, :, :side, :side], labels)))
            tables[task] = compare(task, path, options.repetitions or (1 if options.quick else 3), found["train"])
    images = 1000 if options.quick else 50000
    report = {"machine": about, "tables": tables, "images": images, "whole": whole(images),
              "features": f"ResNet20's {LAYER}, {origin}, on {samples:,} + {samples:,} CIFAR-10 images"}
    store(folder / "probes.json", report, markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
