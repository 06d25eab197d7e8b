"""One neighbour graph over a grid of samples and features: rrahelpers beside FAISS flat, scikit-learn and pynndescent.

    python benchmarks/neighbors_grid.py [--samples 500 2000] [--features 16 64] [--budget SECONDS]

Clustered random features, k = 10, all methods in one process with the same threads, taking turns call by call. FAISS
flat and scikit-learn answer each query by itself: where all of them take long, a slice of the queries is timed and
multiplied. Recall is measured against float64 on at most 300 queries. Writes ``benchmarks/results/neighbors_grid.json``
and ``.md``, where each processor has a table; a cell that was measured again replaces the old one. Cells that the
budget doesn't reach are left as they were.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from neighbors import FAISS, K, installed, machine, one_graph, recall, store, stored, truth

SAMPLES, FEATURES = (500, 2000, 5000, 10000, 50000), (16, 64, 256, 1024, 4096, 16384)
METHODS = ("rrahelpers", "FAISS flat", "scikit-learn brute force", "pynndescent")
LARGE = 2e8  # values from which there are two turns
LONG = 2e12  # products from which peers answer a slice of the queries
SLICE = 2000


def features(n, dimension):
    """Twenty clusters, float32 [n, dimension]."""
    random = np.random.default_rng(0)
    x = random.standard_normal((n, dimension), dtype=np.float32)
    x += 0.5 * random.standard_normal((20, dimension), dtype=np.float32)[random.integers(0, 20, n)]
    return torch.from_numpy(x)


def turn(method, x, queries):
    """Seconds for all queries, and the neighbours {1: indices} where all were asked."""
    start = time.perf_counter()
    if queries == len(x) or method in ("rrahelpers", "pynndescent"):
        found = one_graph(method, x)
        return time.perf_counter() - start, {1: found}
    x = x.numpy()
    if method == "FAISS flat":
        import faiss

        index = faiss.IndexFlatL2(x.shape[1])
        index.add(x)
        start = time.perf_counter()
        index.search(x[:queries], K + 1)
    else:
        from sklearn.neighbors import NearestNeighbors

        NearestNeighbors(n_neighbors=K + 1, algorithm="brute").fit(x).kneighbors(x[:queries], return_distance=False)
    return (time.perf_counter() - start) * len(x) / queries, None


def cell(n, dimension, methods, seconds):
    """A row for each method: interleaved turns until ``seconds`` are over, at least two (three below ``LARGE``)."""
    x, rows = features(n, dimension), {}
    large, products = n * dimension > LARGE, n * n * dimension
    least = 1 if products > 10 * LONG else 2 if large else 3
    times, found, begun = {method: [] for method in methods}, {}, time.perf_counter()
    while len(times[methods[0]]) < least or (time.perf_counter() - begun < seconds and len(times[methods[0]]) < 30):
        for method in methods:
            once = method not in ("rrahelpers", "FAISS flat")
            if once and (times[method] or (method == "pynndescent" and large)):
                continue
            sliced = products > LONG and (n > SLICE) and (once or products > 10 * LONG)
            spent, graph = turn(method, x, SLICE if sliced else n)
            times[method].append(spent)
            found[method] = graph or found.get(method)
    true = truth(x, (1,), sample=300)
    ours = times["rrahelpers"]
    for method in methods:
        if not times[method]:
            continue
        ratios = sorted(a / b for a, b in zip(ours, times[method]))
        rows[method] = {"seconds": median(times[method]), "turns": len(times[method]),
                        "ratio": median(ours) / median(times[method]), "ratio_least": ratios[0],
                        "ratio_most": ratios[-1], "recall": recall(found[method], true) if found[method] else None}
    return rows


def markdown(results):
    lines = ["# Neighbour graphs from 500 to 50,000 samples and from 16 to 16,384 features", "",
             f"k = {K}. Medians of seconds; in brackets the least and the most of the turns' ratios. Recall: of the "
             "neighbours by float64, on at most 300 queries; empty where a slice of the queries was timed.", ""]
    for processor, result in results.items():
        lines += [f"## {processor}", "", result["machine"] + ".", "",
                  "| samples | features | rrahelpers, s | recall | of FAISS flat | of scikit-learn | of pynndescent "
                  "(its recall) |", "| --- | --- | --- | --- | --- | --- | --- |"]
        for key, rows in sorted(result["cells"].items(), key=lambda item: [*map(int, item[0].split("x"))]):
            def ratio(method):
                row = rows.get(method)
                spread = f" ({row['ratio_least']:.2f} to {row['ratio_most']:.2f})" if row and row["turns"] > 1 else ""
                return f"{row['ratio']:.2f}{spread}" if row else ""
            ours, other = rows["rrahelpers"], rows.get("pynndescent")
            n, dimension = map(int, key.split("x"))
            lines.append(f"| {n:,} | {dimension:,} | {ours['seconds']:.4f} | {ours['recall']:.4f} "
                         f"| {ratio('FAISS flat')} | {ratio('scikit-learn brute force')} | {ratio('pynndescent')}"
                         + (f" ({other['recall']:.3f}) |" if other else " |"))
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    parser.add_argument("--features", type=int, nargs="+", default=FEATURES)
    parser.add_argument("--budget", type=float, default=1100, help="seconds after which no further cell is begun")
    parser.add_argument("--seconds", type=float, default=4, help="for the turns of a cell, where they are short")
    options = parser.parse_args()
    path = Path(__file__).parent / "results" / "neighbors_grid.json"
    results = stored(path)
    about, begun = machine(f"{torch.get_num_threads()} threads", FAISS), time.perf_counter()
    methods = [method for method in METHODS if installed(method)]
    result = results.setdefault(about["processor"], {"cells": {}})
    result["machine"] = about["text"]
    for method in methods:
        one_graph(method, features(300, 16))  # what compiles, compiles
    for n, dimension in sorted(((n, d) for n in options.samples for d in options.features),
                               key=lambda size: size[0]**2 * size[1]):
        if time.perf_counter() - begun > options.budget:
            print(f"no time left for {n} x {dimension}")
            continue
        result["cells"][f"{n}x{dimension}"] = rows = cell(n, dimension, methods, options.seconds)
        print(f"{n} x {dimension}:", *(f"{method} {row['seconds']:.4f} s ({row['ratio']:.2f})"
                                       for method, row in rows.items()), flush=True)
        store(path, results, markdown(results))


if __name__ == "__main__":
    main()
