"""The whole of ClassRepSim side by side: ResNet20's 13 layers at five scales on 10,000 images, rrahelpers and FAISS
flat.

    python benchmarks/classrepsim.py [--quick]

Both methods take turns, each in a fresh process that uses all cores: network and images in, class similarity of every
layer and scale out, the forward passes included. FAISS gets each pooled map by itself, as a user would give it. For
some samples of every layer and scale the neighbours are then held against float64 products. Writes
``benchmarks/results/classrepsim.json`` and ``.md`` (``--quick``: 2,000 images, into ``results/quick``).
"""

import argparse
import time
from pathlib import Path
from statistics import median

import torch
from neighbors import FAISS, K, apart, machine, memory, one_graph, pooled, recall, store, truth

from rrahelpers import data
from rrahelpers.class_similarity import class_similarity, scale_graphs
from rrahelpers.features import each_layer, layer_names
from rrahelpers.neighbors import SCALES, KNNGraph
from rrahelpers.training.runs import stored_runs


def network(samples):
    """A trained ResNet20 of the store, its preprocessed CIFAR-10 test images and their labels."""
    run = next(r for r in stored_runs() if r.config.model == "resnet20" and r.config.data == "cifar10"
               and not r.config.options)
    images = data.load("cifar10", "test", limit=samples)
    return run, run.model(), run.preprocess(images.images), images.labels


def by_rrahelpers(model, images, labels, _):
    return {(g.layer, str(g.scale)): class_similarity(g.graph, labels)
            for g in scale_graphs(model, images, k=K, progress=False)}


def by_faiss(model, images, labels, _):
    values = {}
    for layer, features in each_layer(model, images, layer_names(model)):
        for scale in SCALES:
            near = torch.from_numpy(one_graph("FAISS flat", map_of(features, scale).contiguous()))
            values[layer, str(scale)] = class_similarity(KNNGraph(near, torch.zeros(near.shape)), labels)
    return values


def exactness(model, images, labels, sample):
    """{layer: recall over all scales}: our neighbours of ``sample`` images against those by float64 products."""
    found = {}
    for g in scale_graphs(model, images, k=K, progress=False):
        found.setdefault(g.layer, {})[g.scale] = g.graph.indices.numpy()
    values = {}
    for layer, features in each_layer(model, images, layer_names(model)):
        maps = {scale: map_of(features.double(), scale) for scale in SCALES}
        values[layer] = recall(found[layer], {scale: truth(x, (1,), sample)[1] for scale, x in maps.items()})
    return values


def map_of(features, scale):
    """The pooled map, flat; a window larger than the map is the whole map, as in ``scale_graphs``."""
    if features.ndim != 4:
        return features
    return pooled(features, "global" if scale != "global" and scale >= features.shape[-1] else scale)


JOBS = {"rrahelpers": by_rrahelpers, "FAISS flat": by_faiss, "exactness": exactness}


def child(job, samples, sample, answer):
    run, model, images, labels = network(samples)
    start = time.perf_counter()
    values = JOBS[job](model, images, labels, sample)
    answer.put({"run": run.name, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time(),
                "peak": memory(),
                "values": values})


def markdown(report):
    about = report["machine"]
    lines = ["# The whole of ClassRepSim side by side", "",
             f"{about['text']}. ResNet20 ({report['run']}), 13 layers, 5 scales, {report['samples']:,} CIFAR-10 test "
             "images, "
             f"k = {K}. Medians of {report['repetitions']} interleaved runs, each in a process of its own; peak memory "
             "is the whole "
             f"process'.", "",
             "| method | seconds | of FAISS | CPU seconds | peak memory, GB |", "| --- | --- | --- | --- | --- |"]
    reference = report["methods"]["FAISS flat"]["seconds"]
    lines += [f"| {name} | {row['seconds']:.1f} | {row['seconds'] / reference:.2f} | {row['cpu_seconds']:.1f} | "
              f"{row['peak_bytes'] / 1e9:.2f} |"
              for name, row in report["methods"].items()]
    lines += ["",
              f"Largest difference between the two methods' class similarity: {report['difference']:.2g}. Recall "
              "against float64 "
              f"products, {report['checked']} samples of each layer at five scales:", "",
              "| layer | recall |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {layer} | {value:.6f} |" for layer, value in report["recall"].items())]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images, one repetition")
    parser.add_argument("--repetitions", type=int, help="of each method (3; quick: 1)")
    options = parser.parse_args()
    samples, repetitions, checked = (2000, 1, 200) if options.quick else (10000, 3, 1000)
    repetitions = options.repetitions or repetitions
    folder = Path(__file__).parent / "results" / ("quick" if options.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    about = machine(FAISS)
    results = {name: [] for name in ("rrahelpers", "FAISS flat")}
    for repetition in range(repetitions):
        for name, found in results.items():
            found.append(apart(child, name, samples, checked))
            print(f"  {name}, run {repetition + 1}: {found[-1]['seconds']:.1f} s", flush=True)
    ours, theirs = (found[0]["values"] for found in results.values())
    report = {
        "machine": about, "samples": samples, "repetitions": repetitions, "k": K, "checked": checked,
        "run": results["rrahelpers"][0]["run"],
        "methods": {name: {"seconds": median(r["seconds"] for r in found),
                           "all_seconds": [round(r["seconds"], 2) for r in found],
                           "cpu_seconds": median(r["cpu_seconds"] for r in found),
                           "peak_bytes": max(r["peak"] for r in found)}
                    for name, found in results.items()},
        "difference": max(abs(ours[key] - theirs[key]) for key in ours),
        "recall": apart(child, "exactness", samples, checked)["values"],
    }
    store(folder / "classrepsim.json", report, markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
