"""What the measures cost beside the neighbour graphs that they are read from: ResNet20's 13 layers at five scales.

    python benchmarks/representational_response.py [--quick]

One process, all cores: the graphs of a trained ResNet20 on 10,000 CIFAR-10 test images, then every measure of
``representational_response`` in one call, then each measure by itself, and linear CKA of 2,000 images (its own forward
pass included). Writes ``benchmarks/results/representational_response.json`` and ``.md`` (``--quick``: 2,000 images, CKA
of 500, into ``results/quick``).
"""

import argparse
import time
from pathlib import Path

import scipy.stats  # noqa: F401  two_nn's, before the clock starts
from classrepsim import network
from neighbors import K, machine, store

from rrahelpers.class_similarity import class_similarity, scale_graphs
from rrahelpers.features import each_layer, layer_names
from rrahelpers.intrinsic_dimension import two_nn
from rrahelpers.representational_response import representational_response
from rrahelpers.separation import separation_orders
from rrahelpers.similarity import linear_cka_matrix
from rrahelpers.topology import births_and_deaths, nntp, nnts_matrix


def timed(function):
    start = time.perf_counter()
    answer = function()
    return time.perf_counter() - start, answer


def chains(graphs):
    """The graphs of each scale, in the order of the layers."""
    return [[g.graph for g in graphs if g.scale == scale] for scale in dict.fromkeys(g.scale for g in graphs)]


MEASURES = {
    "class similarity": lambda graphs, labels: [class_similarity(g.graph, labels) for g in graphs],
    "separation index, all orders": lambda graphs, labels: [separation_orders(g.graph, labels) for g in graphs],
    "intrinsic dimension": lambda graphs, labels: [two_nn(g.graph) for g in graphs],
    "NNTS, all pairs of layers": lambda graphs, labels: [nnts_matrix(chain) for chain in chains(graphs)],
    "NNTP, all pairs of layers": lambda graphs, labels: [nntp(chain) for chain in chains(graphs)],
    "births and deaths": lambda graphs, labels: [births_and_deaths(chain, labels) for chain in chains(graphs)],
}


def markdown(report):
    lines = ["# Measures beside graphs", "",
             f"{report['machine']['text']}. ResNet20 ({report['run']}), {report['samples']:,} CIFAR-10 test images, "
             f"{report['graphs']} graphs of k = {K}. One run.", "",
             "| what | seconds | of the graphs |", "| --- | --- | --- |"]
    graphs = report["seconds"]["graphs"]
    lines += [f"| {what} | {clock:.3f} | {100 * clock / graphs:.2f} % |" for what, clock in report["seconds"].items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images, CKA of 500")
    options = parser.parse_args()
    samples, some = (2000, 500) if options.quick else (10000, 2000)
    folder = Path(__file__).parent / "results" / ("quick" if options.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    run, model, images, labels = network(samples)
    seconds = {}
    seconds["graphs"], graphs = timed(lambda: list(scale_graphs(model, images, k=K, progress=False)))
    seconds["all measures in one call"], _ = timed(lambda: representational_response(graphs, labels))
    for name, measure in MEASURES.items():
        seconds[name], _ = timed(lambda: measure(graphs, labels))
    layers = layer_names(model)
    name = f"linear CKA, all pairs of layers, {some:,} images"
    seconds[name], _ = timed(lambda: linear_cka_matrix(x for _, x in each_layer(model, images[:some], layers)))
    report = {"machine": about, "run": run.name, "samples": samples, "graphs": len(graphs), "seconds": seconds}
    store(folder / "representational_response.json", report, markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
