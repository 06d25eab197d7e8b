"""The exact search among many samples: its time, which grows with their square, and its memory.

    python benchmarks/neighbors_large.py [--samples 50000 100000 200000] [--features 512]

Clustered random features, k = 10; each number of samples in a fresh process, one run. FAISS flat beside it answers a
slice of the queries, multiplied. Recall is measured against float64 on 200 queries. Writes
``benchmarks/results/neighbors_large.json`` and ``.md``, where each processor has a table.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from neighbors import FAISS, apart, installed, machine, recall, store, stored, timed, truth
from neighbors_grid import SLICE, features, turn

RESULTS = Path(__file__).parent / "results" / "neighbors_large.json"


def slice_of_faiss(n, dimension, answer):
    """Seconds of all queries, judged by a slice of them."""
    turn("FAISS flat", features(300, 16), 300)  # starts the threads
    answer.put(turn("FAISS flat", features(n, dimension), SLICE)[0])


def row(n, dimension):
    x = features(n, dimension)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.npy"
        np.save(path, x.numpy())
        result = timed("rrahelpers", path, n, (1,))
    found = {"seconds": result["seconds"], "memory": result["peak"], "samples": n, "features": dimension,
             "recall": recall(result["found"], truth(x, (1,)))}
    if installed("FAISS flat"):
        found["FAISS flat"] = apart(slice_of_faiss, n, dimension)
    return found


def markdown(results):
    lines = ["# The exact search among many samples", "",
             "k = 10, one run each. Memory: the most that the process held, features and libraries included. Recall: "
             f"of the neighbours by float64, on 200 queries. FAISS flat: {SLICE:,} of the queries, multiplied.", ""]
    for processor, result in results.items():
        lines += [f"## {processor}", "", result["machine"] + ".", "",
                  "| samples | features | seconds | ns for each pair of samples | memory (GB) | features alone (GB) | "
                  "recall | FAISS flat, s |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
        for cell in sorted(result["cells"].values(), key=lambda cell: (cell["features"], cell["samples"])):
            n, dimension = cell["samples"], cell["features"]
            lines.append(f"| {n:,} | {dimension:,} | {cell['seconds']:.1f} | {2e9 * cell['seconds'] / n**2:.2f} | "
                         f"{cell['memory'] / 1e9:.2f} | {4e-9 * n * dimension:.2f} | {cell['recall']:.4f} | "
                         + (f"{cell['FAISS flat']:.0f} |" if "FAISS flat" in cell else "|"))
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=(50_000, 100_000, 200_000))
    parser.add_argument("--features", type=int, nargs="+", default=(512,))
    options = parser.parse_args()
    results, about = stored(RESULTS), machine(FAISS)
    own = results.setdefault(about["processor"], {"cells": {}})
    own["machine"] = about["text"]
    for dimension in options.features:
        for n in options.samples:
            own["cells"][f"{n}x{dimension}"] = found = row(n, dimension)
            print(found, flush=True)
            store(RESULTS, results, markdown(results))


if __name__ == "__main__":
    main()
