"""Neighbours past one machine: what a pair of blocks sends, answers and costs, and what ImageNet would take.

    python benchmarks/cluster.py [--features D] [--blocks B ...]

A job of ``knn_graph(x, k, executor=...)`` is a pair of blocks of rows. Of each size of block: bytes of the arrays that
go to the worker and back, and the worker's seconds on one core. Then one search on a local Dask cluster of two workers
beside the same search here. The estimate for ImageNet's 1.28 million training images is worked out from these: nothing
of that size is run. Writes ``benchmarks/results/cluster.json`` and ``.md``.
"""

import argparse
import math
import time
from concurrent.futures import Future
from pathlib import Path
from statistics import median

import torch
from neighbors import K, machine, store
from neighbors_grid import features

from rrahelpers.neighbors import knn_graph

IMAGENET = 1_281_167
CORES = 64  # of the cluster in the estimate
LOCAL = (8000, 1024)  # samples and features of the search on two workers


def bytes_of(value):
    """Of all arrays in nested tuples and lists."""
    return sum(map(bytes_of, value)) if isinstance(value, (tuple, list)) else getattr(value, "nbytes", 0)


class Watched:
    """An executor that runs a job here, in one thread, and keeps what it took."""

    def __init__(self):
        self.jobs = []

    def submit(self, function, *arguments):
        future, sent = Future(), bytes_of(arguments)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        start = time.perf_counter()
        answer = function(*arguments)
        seconds = time.perf_counter() - start
        torch.set_num_threads(threads)
        rows = len(arguments[0])
        if arguments[1] is not None and len(arguments[1]) == rows:  # two whole blocks
            self.jobs.append({"sent": sent, "received": bytes_of(answer), "seconds": seconds,
                              "rows": rows})
        future.set_result(answer)
        return future


def pair(rows, dimension):
    """A pair of two blocks of ``rows``: bytes sent and received, seconds on one core (the median)."""
    watched = Watched()
    knn_graph(features(6 * rows, dimension), K, executor=watched)
    jobs = [job for job in watched.jobs if job["rows"] == rows]
    return {"rows": rows, "pairs": len(jobs), **{name: median(job[name] for job in jobs)
                                                 for name in ("sent", "received", "seconds")}}


def estimate(one, samples, cores):
    """For so many samples, from one pair of blocks: pairs, hours, terabytes sent, and bytes a second to each core that
    keep it busy."""
    blocks = math.ceil(samples / one["rows"])
    pairs = blocks * (blocks + 1) // 2
    return {"pairs": pairs, "hours": pairs * one["seconds"] / cores / 3600,
            "terabytes": pairs * (one["sent"] + one["received"]) / 1e12,
            "rate": (one["sent"] + one["received"]) / one["seconds"]}


def local(samples, dimension):
    """Seconds of one search here on all cores, and on a cluster of two workers of one core each."""
    from distributed import Client, LocalCluster

    x, seconds = features(samples, dimension), {}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        for name, executor in (("here", None), ("cluster", client.get_executor())):
            knn_graph(x[:600], K, executor=executor)  # workers import what they need
            start = time.perf_counter()
            graph = knn_graph(x, K, executor=executor)
            seconds[name] = time.perf_counter() - start
            seconds.setdefault("first", graph.indices)
    alike = bool(torch.equal(seconds.pop("first"), graph.indices))
    return {"samples": samples, "features": dimension, **seconds, "alike": alike}


def markdown(found):
    both = found["local"]
    lines = ["# Neighbours past one machine", "", f"{found['machine']['text']}.", "",
             f"A pair of blocks, {found['features']:,} features, k = {K}: bytes of arrays, seconds on one core. On "
             f"the right what the {IMAGENET:,} images of ImageNet would take on {CORES} such cores: an estimate from "
             "the left columns.", "",
             "| rows of a block | MB sent | MB back | seconds | hours | TB sent | MB/s to each core |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for one in found["pairs"]:
        whole = estimate(one, IMAGENET, CORES)
        lines.append(f"| {one['rows']:,} | {one['sent'] / 1e6:.1f} | {one['received'] / 1e6:.2f} | "
                     f"{one['seconds']:.2f} | {whole['hours']:.1f} | {whole['terabytes']:.1f} | "
                     f"{whole['rate'] / 1e6:.0f} |")
    lines += ["", f"{both['samples']:,} x {both['features']:,} on a local Dask cluster of two workers of one core: "
              f"{both['cluster']:.1f} s, without it on the same cores {both['here']:.1f} s; the neighbours are "
              f"{'the same' if both['alike'] else 'not the same'}."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--blocks", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    options = parser.parse_args()
    found = {"machine": machine(), "features": options.features, "pairs": []}
    for rows in options.blocks:
        found["pairs"].append(pair(rows, options.features))
        print(found["pairs"][-1], flush=True)
    found["local"] = local(*LOCAL)
    path = Path(__file__).parent / "results" / "cluster.json"
    store(path, found, markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
