"""One call over a network of one's own: every measure of every layer in one table."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from rrahelpers.advisor import propose
from rrahelpers.base.arguments import seconds
from rrahelpers.base.modules import is_leaf, kind, named_layers, untouched
from rrahelpers.base.provenance import commit, environment, libraries
from rrahelpers.class_similarity import chance_similarity
from rrahelpers.features import analysed_layers, readings
from rrahelpers.features.passes import forward
from rrahelpers.report.budget import plan
from rrahelpers.report.columns import columns, pairs
from rrahelpers.report.geometry import geometry
from rrahelpers.report.measures import dimension_table, measure, scale_table
from rrahelpers.report.notes import Notes
from rrahelpers.report.preprocessing import Preprocessing
from rrahelpers.report.result import Report
from rrahelpers.report.scales import chosen_windows, searched
from rrahelpers.report.source import gather

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Grid, Labels, Scales

MEMORY = 2 * 2**30  # bytes of features and of the neighbour search together
DISK = 64 * 2**30  # bytes of the cache of features while a report is made
UNBALANCED = 2  # times as many images as the smallest class has


def analyse(model: nn.Module, data: Any, labels: Labels | None = None, *, test: Any = None,
            test_labels: Labels | None = None, layers: Iterable[str] | None = None, scales: Scales | None = None,
            k: int = 10, probes: bool = True, samples: int | None = 2000,
            budget: str | float | None = None, image_size: int | None = None,
            mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
            preprocessing: Preprocessing | None = None, memory: float = MEMORY, disk: float = DISK,
            grid: Grid | None = None, axis: dict[str, int] | None = None, progress: bool = True,
            executor: Executor | None = None, name: str | None = None) -> Report:
    """Measure what each layer of a network contributes.

    Parameters
    ----------
    model: any ``nn.Module``; it is left as it was.
    data: one of

        - images as the model takes them, float [N, C, H, W], a tensor or array; a ``DataLoader``, a ``Dataset`` or
          another iterable of batches, with labels or without: see :class:`rrahelpers.features.batches.Batches`;
        - bytes, uint8 [N, C, H, W], or an :class:`rrahelpers.data.ImageSet`;
        - a folder of image files, one subfolder for each class, or without classes;
        - a data set's name, of which the test images are taken: see :func:`rrahelpers.data.load`.
    labels: integers [N], where they don't come with the images. Without any, what needs them is left out.
    test, test_labels: other images, given in the same ways, to score the probes on. Default: probes are fitted on one
        half of the images and scored on the other (of each class every second image).
    layers: names; default as for :func:`rrahelpers.features.analysed_layers`.
    scales: pooling windows as for :func:`rrahelpers.class_similarity.scale_graphs`; default 1, 2, 4, 8 and "global", or
        those that divide the grid of a transformer's tokens; of maps with more than 32 places along a side those that
        leave no more.
    k: neighbours of each sample; fewer where there are no more samples.
    probes: whether to fit probes, which take as long as everything else for wide layers.
    samples: images to look at, at most, evenly spread over the data; None: all.
    budget: a time such as "5m": fewer images, and below 30 fewer layers, are looked at where two small trials say that
        it would be passed; a note tells what was left out. An estimate: it may be passed all the same, and a third of
        the layers with 30 images is the least.
    image_size: side in pixels that images of a folder or data set are brought to; default: what the model's
        configuration says, else their own, if they all have one size.
    mean, std: of each channel, for images in [0, 1]; default for bytes, folders and data sets: the model's
        configuration. Where that says nothing either, the images stay in [0, 1], with a warning.
    preprocessing: of :func:`rrahelpers.report.build_network`, instead of the model's configuration.
    memory: bytes that features and the neighbour search may take together, as far as single layers allow.
    disk: bytes that features may take in a cache folder where they are more than the memory, at most half of what the
        disk has free; ``LASTING`` of them stay for the next report: see :mod:`rrahelpers.report.cache`.
        ``python -m rrahelpers cache`` tells where it is, and empties it. 0: none; then there are more passes.
    grid, axis: how layers are read as maps, see :func:`rrahelpers.features.layers.readings`.
    progress: whether to show a progress bar.
    executor: of :mod:`concurrent.futures`' interface (a process pool, a Dask client's ``get_executor()``); its workers
        measure whole layers, whose features are computed here and are within ``memory`` while they wait. A worker may
        take half of that for its search, and as many threads as it has; threads of one process take turns. A budget is
        planned as without.
    name: what the report calls the network; default its class.

    Returns a :class:`rrahelpers.report.Report`. What can't be told of a network (receptive fields of one that can't be
    traced, class similarity without labels) is missing, and ``report.notes`` say why. Raises for a model without layers
    to look at, for unknown layers, impossible scales, and data that can't be read.
    """
    started, notes, allowed = time.perf_counter(), Notes(), None if budget is None else seconds(budget)
    told: dict[str, Any] = {"image_size": image_size, "mean": mean, "std": std, "preprocessing": preprocessing,
                            "progress": progress}
    source = gather(model, data, labels, samples=samples, **told)
    tested = None if test is None else gather(model, test, test_labels, samples=samples, **told)
    with notes.listening("layers"):
        names = analysed_layers(model, source.images, layers, grid=grid, axis=axis)
    maps = readings(model, source.images, names, grid=grid, axis=axis)
    windows = chosen_windows(maps, scales, notes)
    if allowed is not None:
        options = {"windows": windows, "probes": probes, "memory": memory, "axis": axis}
        left = allowed - (time.perf_counter() - started)
        source, names = _within(left, model, source, tested, maps, k, options, notes)
        maps = {layer: maps[layer] for layer in names}
    if untouched(model):
        notes.add("network: its batch norms have seen no images, so it looks untrained; saturation and advice are "
                  "those of random weights")
    digest, pictures = source.survey()
    neighbours = _neighbour_count(k, len(source.images), source.labels, notes)
    table = geometry(model, source.images.sample, names, notes)
    measured = measure(model, source, tested, maps, windows=windows, k=neighbours, probes=probes, digest=digest,
                       memory=memory, disk=disk, axis=axis, notes=notes, progress=progress, executor=executor)
    bounded = _bounded(measured, notes)
    similarities = scale_table(measured, names)
    layers_table = columns(table, measured, similarities)
    shape = tuple(source.images.sample.shape[1:])
    advice = pd.DataFrame()
    with notes.attempt("advice"):
        advice = propose(model, shape, None if bounded else _saturations(model, layers_table))
    about = _about(model, source, tested, shape, neighbours, digest, measured)
    about |= {"model": name} if name else {}
    about["seconds"] = round(time.perf_counter() - started, 2)
    return Report(
        layers=layers_table, scales=similarities, pairs=pairs(measured, names), advice=advice, notes=list(notes),
        dimensions=dimension_table(measured, names), about=about, graphs=measured.graphs, grams=measured.grams,
        pictures=pictures, labels=source.labels,
        source=source, model=model)


def _within(allowed, model, source, tested, maps, k, options, notes):
    """The images (a Source) and layers that a time allows, see :func:`rrahelpers.report.budget.plan`."""
    def trial(images):
        measure(model, source.some(images), tested and tested.some(images), maps, k=min(k, images - 1), digest="",
                disk=0, notes=Notes(), progress=False, **options)

    images, names, told = plan(allowed, trial, len(source.images), list(maps), searched(maps, options["windows"]))
    if told:
        notes.add(told)
    return source.some(images), names


def _neighbour_count(k, images, labels, notes):
    """So many neighbours as there can be. Raises ``ValueError`` for k < 1."""
    if k < 1:
        raise ValueError(f"expected k, a number of neighbours, from 1 on, got {k}")
    if k >= images:
        notes.add(f"neighbours: {k} were asked for, of {images} images each has {images - 1}")
    if min(k, images - 1) < 2:
        notes.add("intrinsic dimension: it needs two neighbours of each image, so three images")
    if labels is None:
        notes.add("class similarity, separation index, probes: there are no labels")
    elif len(labels.unique()) == 1:
        notes.add("class similarity and separation index are 1 by definition: there is one class")
    elif (sizes := labels.unique(return_counts=True)[1]).max() > UNBALANCED * sizes.min():
        notes.add(f"class similarity: classes have {sizes.min()} to {sizes.max()} images, and "
                  f"{chance_similarity(labels):.1%} is to be expected by chance; "
                  "class_similarity(graph, labels, balanced=True) weighs classes alike")
    return min(k, images - 1)


def _bounded(measured, notes):
    """Whether layers have so few observations that these alone bound their saturation."""
    bounded = {layer: most for layer, row in measured.rows.items() if (most := row.get("most_saturation", 1)) < 1}
    if bounded:
        least = min(bounded, key=bounded.__getitem__)
        notes.add(f"saturation: {len(bounded)} layers have no more observations than features, so that it says more of "
                  f"the number of images than of the layer ({least}: {bounded[least]:.1%} at most); the advice goes "
                  "without it. Give more images")
    return bool(bounded)


def _saturations(model, table):
    """Those that the advisor takes: of layers without others inside, or none where others were looked at."""
    known, modules = table.dropna(subset="saturation").set_index("layer")["saturation"], named_layers(model)
    return known if len(known) and all(is_leaf(modules[name]) for name in known.index) else None


def _about(model, source, tested, shape, k, digest, measured):
    """What was looked at, and where the numbers come from."""
    return {
        "model": kind(model), "params": sum(p.numel() for p in model.parameters()), "images": len(source.images),
        "data": source.name, "digest": digest, "shape": list(shape), "k": k,
        "classes": list(map(str, source.classes)),
        "test": None if tested is None else {"data": tested.name, "images": len(tested.images)},
        "accuracy": _accuracy(model, source, measured.last),
        "libraries": libraries(), "environment": environment(), **commit(),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def _accuracy(model, source, last):
    """The network's own, where its answer is that of the last layer, one number for each of the classes."""
    if source.labels is None or last is None or last.shape[1] != len(source.classes):
        return None
    answer = forward(model, source.images.sample)
    if not isinstance(answer, torch.Tensor):
        answer = next(iter(answer.values())) if isinstance(answer, Mapping) else None
    alike = isinstance(answer, torch.Tensor) and answer.shape == last[:2].shape and torch.allclose(
        answer.cpu().float(), last[:2].float(), rtol=1e-3, atol=1e-4)
    return (last.argmax(1) == source.labels).double().mean().item() if alike else None
