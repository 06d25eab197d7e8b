"""Probes on the layers of a network, one after the other or several processes side by side (dissertation 6.2.5)."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.devices import cores_each
from rrahelpers.features import analysed_layers
from rrahelpers.features.batches import as_batches, labels_of
from rrahelpers.features.pooled import each_pooled_layer
from rrahelpers.probes.dense import fit_dense
from rrahelpers.probes.fitting import (
    ITERATIONS,
    MEMORY,
    TOLERANCE,
    ProbeResult,
    check_classes,
    check_options,
    fit_probe,
)
from rrahelpers.probes.saga import fit_saga

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes, Grid, Images, Labels

CLASSIFIERS: dict[str, Callable] = {"logistic": fit_probe, "dense": fit_dense, "saga": fit_saga}
OPTIONS = {"logistic": ("C", "tol", "max_iter"), "dense": ("seed",), "saga": ("C", "seed")}  # that each takes


def probe_layers(model: nn.Module, images: Images, labels: Labels | None = None, test_images: Images | None = None,
                 test_labels: Labels | None = None, layers: Iterable[str] | None = None, *, grid: Grid | None = None,
                 axis: FeatureAxes | None = None, jobs: int = 1, progress: bool = True, **options: Any) -> pd.DataFrame:
    """A probe on each layer of a network (8.3.1): the tables of :func:`each_probe` in one.

    ``layers``: names, default as for :func:`rrahelpers.features.analysed_layers`; everything else as there.
    """
    images, labels, test_images, test_labels = _check_sets(images, labels, test_images, test_labels)
    layers = analysed_layers(model, images, layers, grid=grid, axis=axis)
    tables = each_probe(model, images, labels, test_images, test_labels, layers, grid=grid, axis=axis, jobs=jobs,
                        **options)
    bar = tqdm(tables, total=len(layers), desc="probes", unit="layer", disable=not progress)
    return pd.concat(bar, ignore_index=True)


def each_probe(model: nn.Module, images: Images, labels: Labels | None, test_images: Images,
               test_labels: Labels | None, layers: Iterable[str], *, sizes: Sequence[int] = (4,),
               pooling: str = "average", C: float | Sequence[float] = 1.0, tol: float = TOLERANCE,
               max_iter: int = ITERATIONS, memory: float = MEMORY, batch_size: int | None = None,
               grid: Grid | None = None, axis: FeatureAxes | None = None, jobs: int = 1,
               seed: int = 0, classifier: str = "logistic") -> Iterator[pd.DataFrame]:
    """Yield one layer's table after the other's.

    Parameters
    ----------
    model, layers: as for :func:`rrahelpers.features.extract`.
    images, labels, test_images, test_labels: float [N, C, H, W] as the model takes them, or batches of such, see
        :class:`rrahelpers.features.batches.Batches`; integers [N], None where they come with the images.
    sizes: sides that maps are pooled to, in places; the dissertation takes 4, and compares 1 to 7.
    pooling, seed: "average", "nearest" or "random", see :func:`rrahelpers.features.pooled.pool`.
    C, tol, max_iter: as for :func:`fit_probe`.
    memory, batch_size: see :func:`rrahelpers.features.pooled.each_pooled_layer`; :func:`fit_probe` needs its own more.
    grid, axis: how layers are read as maps, see :func:`rrahelpers.features.layers.readings`.
    jobs: processes in which probes are fitted, each with its share of the cores; features are computed here, and those
        of so many layers are held a second time. The results are those of one but for the rounding of sums. A script
        that asks for several needs its ``if __name__ == "__main__"``.
    classifier: "logistic" (the probe); "saga", as the dissertation fits it (:func:`fit_saga`); or "dense", the slides'
        (:func:`fit_dense`). The last two draw by ``seed`` and have no ``tol`` and ``max_iter``, "dense" no ``C``; their
        rows have no ``iterations``, ``gap`` and ``converged``.

    A table has a row for each size: ``layer``, ``index`` (in ``layers``), ``size``, ``features`` (their number),
    ``value`` (test accuracy, a fraction), ``train`` (training accuracy), ``seconds`` (of the fit, which sizes that pool
    alike share), ``iterations``, ``gap``, ``converged``, and ``C`` where there were several. Raises and warns as
    :func:`fit_probe`, ``extract`` and ``pool``; the labels are looked at first.
    """
    check_options(C, tol, max_iter)
    if classifier not in CLASSIFIERS:
        raise ValueError(f"unknown classifier {classifier!r}; expected one of {tuple(CLASSIFIERS)}")
    if not is_whole(jobs):
        raise ValueError(f"expected jobs to be a positive whole number, got {jobs!r}")
    images, labels, test_images, test_labels = _check_sets(images, labels, test_images, test_labels)
    pooled = each_pooled_layer(model, [images, test_images], layers, sizes, pooling, memory=memory,
                               batch_size=batch_size, grid=grid, axis=axis, seed=seed)
    given = {"C": C, "tol": tol, "max_iter": max_iter, "seed": seed}
    fit = partial(CLASSIFIERS[classifier], **{name: given[name] for name in OPTIONS[classifier]})
    own, own_test = (torch.as_tensor(known).cpu().numpy() for known in (labels, test_labels))
    with _pool(jobs) as pool:
        waiting: deque[Future] = deque()
        for index, (layer, features) in enumerate(pooled):
            if pool is None:
                yield _probes(layer, index, features, labels, test_labels, fit)
                continue
            if len(waiting) == jobs:
                yield _told(waiting.popleft())
            arrays = {alike: [x.cpu().numpy() for x in sets] for alike, sets in features.items()}
            waiting.append(pool.submit(_quietly, _probes, layer, index, arrays, own, own_test, fit))
        yield from map(_told, waiting)


def _probes(layer, index, features, labels, test_labels, fit):
    rows = []
    for alike, (x, x_test) in features.items():
        start = time.perf_counter()
        found = fit(x, labels, x_test, test_labels)
        about = {"features": int(np.prod(x.shape[1:])), "value": found.accuracy, "train": found.train_accuracy,
                 "seconds": time.perf_counter() - start}
        if isinstance(found, ProbeResult):
            about |= {"iterations": found.iterations, "gap": found.gap, "converged": found.converged}
        if isinstance(fit.keywords.get("C"), (list, tuple)):
            about["C"] = found.C
        rows += [{"layer": layer, "index": index, "size": size, **about} for size in alike]
    return pd.DataFrame(rows)


def _pool(jobs: int) -> contextlib.AbstractContextManager[Executor | None]:
    """Processes for so many jobs that share the cores between them; None for one."""
    if jobs == 1:
        return contextlib.nullcontext()
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=torch.set_num_threads,
                               initargs=(cores_each(jobs),))  # spawn: threads of torch don't survive a fork


def _quietly(function: Callable, *arguments: Any) -> tuple[Any, list[str]]:
    """What a function answers, and the warnings that it gave, which another process can't show."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return function(*arguments), [str(warning.message) for warning in caught]


def _told(future):
    table, messages = future.result()
    for message in messages:
        warnings.warn(message, stacklevel=2)
    return table


def _check_sets(images, labels, test_images, test_labels):
    """Images and labels of both sets, before a network sees any."""
    images, test_images = as_batches(images), as_batches(test_images)
    labels, test_labels = labels_of(images, labels), labels_of(test_images, test_labels)
    check_classes(labels)
    return images, labels, test_images, test_labels
