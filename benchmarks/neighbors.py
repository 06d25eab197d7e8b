"""Nearest-neighbour graphs side by side: FAISS flat, scikit-learn, pynndescent and rrahelpers.

    python benchmarks/neighbors.py [--quick]

One graph and the five-scale pyramid of ResNet20's stem (16 x 32 x 32 = 16,384 features) on CIFAR-10 images, all methods
taking turns on the same features, each in a fresh process that uses all cores; then how time and memory grow with the
number of samples and of features. Writes ``benchmarks/results/neighbors.json``, ``.md`` and ``.png`` (``--quick``:
fewer samples and repetitions, into ``results/quick``). A library that isn't installed is reported as such.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import re
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F

from rrahelpers import data, models
from rrahelpers.base.devices import bfloat16_pays
from rrahelpers.base.provenance import environment
from rrahelpers.features import extract
from rrahelpers.neighbors import SCALES, candidates, knn_graph, pyramid_graphs
from rrahelpers.training.runs import normalise, stored_runs

K = 10
PACKAGES = {"FAISS flat": "faiss-cpu", "scikit-learn brute force": "scikit-learn", "pynndescent": "pynndescent"}
FLOAT32 = "rrahelpers, float32"  # as on a processor without bfloat16 units
ONCE = "scikit-learn brute force"  # too slow to be repeated
METHODS = ("rrahelpers", FLOAT32, *PACKAGES)
CPU, KERNEL = Path("/proc/cpuinfo"), "OPENBLAS_CORETYPE"
if CPU.exists() and "amx_tile" in CPU.read_text(encoding="utf-8"):  # the OpenBLAS in FAISS' wheel takes five times as
    os.environ.setdefault(KERNEL, "SKYLAKEX")                       # long with what it chooses by itself
FAISS = f"FAISS flat with OpenBLAS' kernels for {os.environ[KERNEL]}" if KERNEL in os.environ else "FAISS flat as it is"


def without_self(indices):
    """[n, k + 1] with or without the sample itself to [n, k]."""
    keep = indices != np.arange(len(indices))[:, None]
    return np.take_along_axis(indices, np.argsort(~keep, axis=1, kind="stable")[:, :K], 1)


def one_graph(method, x):
    if method in ("rrahelpers", FLOAT32):
        return knn_graph(x, K).indices.numpy()
    x = x.numpy()
    if method == "FAISS flat":
        import faiss

        index = faiss.IndexFlatL2(x.shape[1])
        index.add(x)
        return without_self(index.search(x, K + 1)[1])
    if method == "scikit-learn brute force":
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(n_neighbors=K, algorithm="brute").fit(x).kneighbors(return_distance=False)
    from pynndescent import NNDescent

    return without_self(NNDescent(x, n_neighbors=K + 1, random_state=0).neighbor_graph[0])


def pooled(x, scale):
    return (x if scale == 1 else F.avg_pool2d(x, x.shape[-1] if scale == "global" else scale)).flatten(1)


def graphs(method, x, scales):
    """{scale: indices}. The other libraries get each pooled map by itself."""
    if method in ("rrahelpers", FLOAT32) and len(scales) > 1:
        return {scale: graph.indices.numpy() for scale, graph in pyramid_graphs(x, scales, K).items()}
    return {scale: one_graph(method, pooled(x, scale).contiguous()) for scale in scales}


def memory(kind="VmHWM"):
    """Bytes of this process, by the kernel's names: what it has held at most (ru_maxrss would count what its parent
    held before it), or "RssAnon", what is its own now, without mapped files."""
    return 1024 * int(re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))[1])


def child(method, path, n, scales, answer):
    """One timed run, after a small one that compiles what compiles and starts the threads."""
    if method == FLOAT32:
        candidates.bfloat16_pays = lambda device: False
    try:
        graphs(method, torch.randn(300, 4, 32, 32, generator=torch.Generator().manual_seed(0)), scales)
        x = torch.from_numpy(np.load(path)[:n])
        before = memory()
        start = time.perf_counter()
        found = graphs(method, x, scales)
        answer.put({"seconds": time.perf_counter() - start, "peak": memory(), "before": before, "found": found})
    except Exception as error:  # the table says what a library did
        answer.put({"error": f"{type(error).__name__}: {error}"})


def apart(function, *arguments):
    """What ``function(*arguments, queue)`` puts into the queue, in a fresh process of its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=function, args=(*arguments, answer))
    process.start()
    result = answer.get()
    process.join()
    return result


def timed(method, path, n, scales):
    result = apart(child, method, path, n, scales)
    if "error" in result:
        raise RuntimeError(f"{method}: {result['error']}")
    return result


def truth(x, scales, sample=200):
    """{scale: (rows, bool [sample, n])}: for some samples, who is among the k nearest (ties included), by float64
    products."""
    rows, found = torch.linspace(0, len(x) - 1, min(sample, len(x))).long(), {}
    for scale in scales:
        z = pooled(x.double(), scale)  # pooled in float32, near ties may turn round
        z -= z.mean(0)
        own, parts = z[rows], z.split(1000)
        squared = torch.cat([own.square().sum(1)[:, None] + part.square().sum(1) - 2 * own @ part.T for part in parts],
                            1)
        squared[torch.arange(len(rows)), rows] = torch.inf
        found[scale] = rows, squared <= squared.kthvalue(K, dim=1, keepdim=True).values * (1 + 1e-9)
    return found


def recall(found, true):
    """Mean share of the true neighbours that were found, over all scales."""
    return float(np.mean([near.gather(1, torch.from_numpy(found[scale]).long()[rows]).double().mean().item()
                          for scale, (rows, near) in true.items()]))


def installed(method):
    try:
        return importlib.metadata.version(PACKAGES[method]) if method in PACKAGES else "this version"
    except importlib.metadata.PackageNotFoundError:
        return None


def stem_features(n):
    """ResNet20's stem on n CIFAR-10 test images: of a stored run where there is one, else untrained."""
    images = data.load("cifar10", "test", limit=n)
    run = next((r for r in stored_runs() if r.config.model == "resnet20" and r.config.data == "cifar10"), None)
    if run:
        return extract(run.model(), run.preprocess(images.images), ["stem"])["stem"], f"trained ({run.name})"
    torch.manual_seed(0)
    model = models.build("resnet20", num_classes=10, in_channels=3)
    return extract(model, normalise(images.images, *images.statistics()), ["stem"])["stem"], "untrained"


def compare(path, x, scales, methods, repetitions):
    """Rows of the table; the methods take turns, so that a change of the machine's load meets them all."""
    results = {method: [] for method in methods}
    for repetition in range(repetitions):
        for method in methods:
            if repetition and method == ONCE:
                continue
            results[method].append(timed(method, path, len(x), scales))
            print(f"  {method}, {len(scales)} scale(s), run {repetition + 1}: {results[method][-1]['seconds']:.2f} s",
                  flush=True)
    rows, true = [], truth(x, scales)
    for method in METHODS:
        if method not in methods:
            rows.append({"method": method, "version": None,
                         "why": "left out" if installed(method) else "not installed"})
            continue
        runs = results[method]
        rows.append({"method": method, "version": installed(method), "seconds": median(r["seconds"] for r in runs),
                     "all_seconds": [round(r["seconds"], 3) for r in runs], "peak_bytes": max(r["peak"] for r in runs),
                     "features_loaded_bytes": max(r["before"] for r in runs), "recall": recall(runs[0]["found"], true)})
    reference = next((row["seconds"] for row in rows if row["method"] == "FAISS flat" and row["version"]), None)
    for row in rows:
        row["ratio_to_faiss"] = row["seconds"] / reference if reference and row["version"] else None
    return rows


def growth(folder, sizes, dimensions, fixed_n):
    """Time and memory of one graph of rrahelpers on random features, against n and against the dimension."""
    rows = []
    for kind, n, dimension in [*(("n", n, 1024) for n in sizes), *(("dimension", fixed_n, d) for d in dimensions)]:
        path = Path(folder) / "growth.npy"
        np.save(path, np.random.default_rng(0).standard_normal((n, dimension, 1, 1), dtype=np.float32))
        result = timed("rrahelpers", path, n, (1,))
        rows.append({"kind": kind, "n": n, "dimension": dimension, "seconds": result["seconds"],
                     "extra_bytes": result["peak"] - result["before"]})
        print(f"  n={n}, {dimension} features: {result['seconds']:.2f} s", flush=True)
        path.unlink()
    return rows


def machine(*more):
    """What the numbers were measured on, and in ``text`` a sentence's worth of it, with what there is ``more`` to
    say."""
    about = {**environment(), "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
             "bfloat16_pays": bfloat16_pays(torch.device("cpu")), "load_before": os.getloadavg()[0]}
    text = (f"{about['processor']}, {about['cores']} cores, {about['memory_bytes'] / 2**30:.0f} GiB, torch "
            f"{about['torch']}; "
            f"bfloat16 used: {'yes' if about['bfloat16_pays'] else 'no'}; load average at the start "
            f"{about['load_before']:.1f}")
    return about | {"text": "; ".join([text, *more])}


def stored(path):
    """What a file of results holds: {} where there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def store(path, found, text):
    """Write what was found into a JSON file, and its tables beside it."""
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(text, encoding="utf-8")


def markdown(report):
    lines = ["# Nearest-neighbour graphs side by side", "",
             f"{report['machine']['text']}. {report['features']}; k = {K}. "
             "Medians of interleaved runs (scikit-learn: one run), each in a process of its own, warmed up; peak "
             "memory is the whole process'.", ""]
    for title, rows in report["tables"].items():
        lines += [f"## {title}", "", "| method | version | seconds | of FAISS | recall | peak memory, GB |",
                  "| --- | --- | --- | --- | --- | --- |"]
        for row in rows:
            if not row["version"]:
                lines.append(f"| {row['method']} | {row['why']} | | | | |")
                continue
            ratio = f"{row['ratio_to_faiss']:.2f}" if row["ratio_to_faiss"] else ""
            lines.append(f"| {row['method']} | {row['version']} | {row['seconds']:.2f} | {ratio} "
                         f"| {row['recall']:.4f} | {row['peak_bytes'] / 1e9:.2f} |")
        lines.append("")
    lines += ["## Growth of one exact graph", "", "| samples | features | seconds | memory beside the features, GB |",
              "| --- | --- | --- | --- |"]
    lines += [f"| {r['n']:,} | {r['dimension']:,} | {r['seconds']:.2f} | {r['extra_bytes'] / 1e9:.2f} |"
              for r in report["growth"]]
    return "\n".join(lines) + "\n"


def plot(rows, path):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    by_n, by_dimension = ([r for r in rows if r["kind"] == kind] for kind in ("n", "dimension"))
    n, seconds = [r["n"] for r in by_n], [r["seconds"] for r in by_n]
    axes[0].loglog(n, seconds, "o-", label="measured")
    axes[0].loglog(n, [seconds[-1] * (m / n[-1])**2 for m in n], "k:", label="proportional to n²")
    axes[0].set(xlabel="samples (1,024 features)", ylabel="seconds", xticks=n, xticklabels=[f"{m:,}" for m in n])
    axes[0].minorticks_off()
    axes[0].legend()
    axes[1].plot(n, [r["extra_bytes"] / 2**30 for r in by_n], "o-", label="measured")
    axes[1].axhline(2, color="k", linestyle=":", label="the memory argument")
    axes[1].set(xlabel="samples (1,024 features)", ylabel="memory beside the features, GiB")
    axes[1].xaxis.set_major_formatter("{x:,.0f}")
    axes[1].legend()
    dimensions = [r["dimension"] for r in by_dimension]
    axes[2].loglog(dimensions, [r["seconds"] for r in by_dimension], "o-")
    axes[2].set(xlabel=f"features ({by_dimension[0]['n']:,} samples)", ylabel="seconds", xticks=dimensions,
                xticklabels=[f"{d:,}" for d in dimensions])
    axes[2].minorticks_off()
    for ax in (axes[0], axes[2]):
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 samples, one repetition, small growth")
    parser.add_argument("--samples", type=int, help="images of the comparison (10,000; quick: 2,000)")
    parser.add_argument("--repetitions", type=int, help="of each method (3; quick: 1)")
    parser.add_argument("--no-growth", action="store_true", help="leave the growth out; an earlier report's is kept")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    folder = Path(__file__).parent / "results" / ("quick" if options.quick else "")
    folder.mkdir(parents=True, exist_ok=True)
    samples = options.samples or (2000 if options.quick else 10000)
    repetitions = options.repetitions or (1 if options.quick else 3)
    methods = [method for method in options.methods if installed(method)]

    about = machine(FAISS)
    x, origin = stem_features(samples)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "features.npy"
        np.save(path, x.numpy())
        tables = {"One graph": compare(path, x, (1,), methods, repetitions),
                  "The five-scale pyramid": compare(path, x, SCALES, methods, repetitions)}
        previous = folder / "neighbors.json"
        if options.no_growth:
            rows = stored(previous).get("growth", [])
        else:
            sizes = (500, 1000, 2000) if options.quick else (2000, 5000, 10000, 20000, 50000)
            rows = growth(scratch, sizes, (64, 256, 1024) if options.quick else (64, 256, 1024, 4096, 16384),
                          sizes[-1] if options.quick else 5000)
    report = {"machine": about, "k": K, "tables": tables, "growth": rows,
              "features": f"ResNet20's stem, {origin}, on {samples:,} CIFAR-10 images: {x[0].numel():,} features"}
    store(previous, report, markdown(report))
    if rows:
        plot(rows, folder / "neighbors.png")
    print(markdown(report))


if __name__ == "__main__":
    main()
