"""Neighbour measures of stored runs: class similarity, representational responses, separation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, overload

import pandas as pd

from rrahelpers import data
from rrahelpers.base.devices import default_device
from rrahelpers.class_similarity import SCALES, classrepsim, scale_graphs
from rrahelpers.features import analysed_layers, each_layer
from rrahelpers.neighbors import knn_graph
from rrahelpers.neighbors.pooling import OPERATIONS
from rrahelpers.representational_response import Response, across_scales, representational_response
from rrahelpers.separation import center_separation_index, separation_orders
from rrahelpers.study.results.probes import probe_table
from rrahelpers.training.runs import Run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Scales


@overload
def class_similarity_table(run: Run, samples: int | None, k: int, *, split: str = ...,
                           operation: str = ...) -> pd.DataFrame: ...


@overload
def class_similarity_table(run: Run, samples: int | None, k: int, *, split: str = ..., operation: str = ...,
                           compute: bool) -> pd.DataFrame | None: ...


def class_similarity_table(run: Run, samples: int | None, k: int, *, split: str = "test", operation: str = "average",
                           compute: bool = True) -> pd.DataFrame | None:
    """Class similarity of a run's network on a split's first ``samples`` images (None: all), with ``k`` neighbours.

    ``operation``: by which maps become smaller, see :func:`rrahelpers.class_similarity.scale_graphs`.

    Returns the columns of :func:`rrahelpers.class_similarity.classrepsim` and ``seed``. Where the store lacks the table
    it is computed and stored, or, without ``compute``, None is returned.
    """
    def measure():
        return classrepsim(run.model(default_device()), *run.inputs(split, samples), k=k, operation=operation)

    parameters = {"split": split, "samples": samples, "k": k, "scales": [str(scale) for scale in SCALES]}
    if operation != "average":  # what is stored keeps its name
        parameters["operation"] = operation
    table = run.result("classrepsim", parameters, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)


def operation_table(runs: Sequence[Run], samples: int | None, k: int,
                    operations: Sequence[str] = OPERATIONS) -> pd.DataFrame:
    """:func:`class_similarity_table` of several runs by each operation, with the column ``operation``."""
    return pd.concat([class_similarity_table(run, samples, k, operation=operation).assign(operation=operation)
                      for run in runs for operation in operations], ignore_index=True)


def split_table(runs: Sequence[Run], samples: Mapping[str, int | None], k: int) -> pd.DataFrame:
    """:func:`class_similarity_table` of several runs on both splits, with the column ``images``: of which.

    ``samples``: {split: how many of its first images, None for all}. Class similarity depends on how many images of a
    class there are, so compare like with like.
    """
    return pd.concat([class_similarity_table(run, count, k, split=split).assign(images=f"{split} images")
                      for split, count in samples.items() for run in runs], ignore_index=True)


def class_similarity_gain(runs: Sequence[Run], others: Sequence[Run], samples: int | None, k: int) -> pd.DataFrame:
    """By how much class similarity is higher in some networks than in others, layer by layer and at each scale.

    ``runs``, ``others``: lists of runs of two networks with the same seeds, one with STAC and one without, say; layers
    are matched by name. Returns rows of seed, layer, index, scale, value (of ``runs``), other, gain.
    """
    tables = (pd.concat([class_similarity_table(run, samples, k) for run in part]) for part in (runs, others))
    own, other = (table[["seed", "layer", "index", "scale", "value"]] for table in tables)
    both = own.merge(other.drop(columns="index").rename(columns={"value": "other"}), on=["seed", "layer", "scale"])
    if both.empty:
        raise ValueError("expected two networks with layers and seeds in common, got none")
    return both.assign(gain=both.value - both.other)


def response(run: Run, samples: int | None, k: int, *, kernel_samples: int = 2000) -> Response:
    """Every kNN measure of a run's network on its first ``samples`` test images (None: all), with ``k`` neighbours.

    Returns a :class:`rrahelpers.representational_response.Response` whose tables have a column ``seed`` beside; linear
    CKA is of the first ``kernel_samples`` of the images, by the plain estimator (not debiased). What the store
    lacks is computed and stored.
    """
    @cache
    def measure():
        model, (images, labels) = run.model(default_device()), run.inputs("test", samples)
        layers = analysed_layers(model, images)
        features = each_layer(model, images[:kernel_samples], layers)
        graphs = scale_graphs(model, images, layers=layers, k=k)
        return representational_response(graphs, labels, features=features, debiased=False)

    parameters = {"split": "test", "samples": samples, "k": k, "scales": [str(scale) for scale in SCALES],
                  "kernel_samples": kernel_samples}

    def stored(name):
        return run.result(f"response-{name}", parameters, lambda: getattr(measure(), name))

    return Response(**{f.name: stored(f.name).assign(seed=run.config.seed) for f in fields(Response)})


def symmetry_table(run: Run, samples: int | None, k: int, scales: Scales, *,
                   compute: bool = True) -> pd.DataFrame | None:
    """:func:`rrahelpers.representational_response.across_scales` of a run's network on its first ``samples`` test
    images (None: all), with ``k`` neighbours at some ``scales``, and ``seed``; ``compute`` as for
    :func:`class_similarity_table`."""
    def measure():
        images, _ = run.inputs("test", samples)
        return across_scales(scale_graphs(run.model(default_device()), images, scales=scales, k=k, progress=False))

    parameters = {"samples": samples, "k": k, "scales": [str(scale) for scale in scales]}
    table = run.result("across-scales", parameters, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)


def separation_table(run: Run, samples: int | None, orders: int) -> pd.DataFrame:
    """Separation and correct classification rate of every layer of a run's network, on the first images of either
    split.

    ``samples``: training images, and test images, that are compared with one another (None: all); ``orders``: highest
    order of the separation index. Returns rows of ``split``, ``layer``, ``index``, ``measure`` ("separation index" of
    each order, "centre-based index", "correct classification rate": of the probe of :func:`probe_table`), ``order``,
    ``value`` and ``seed``. What the store lacks is computed and stored.
    """
    def measure():
        model, rows = run.model(default_device()), []
        for split in data.SPLITS:
            images, labels = run.inputs(split, samples)
            for index, (layer, x) in enumerate(each_layer(model, images, analysed_layers(model, images))):
                found = [("separation index", order, value)
                         for order, value in enumerate(separation_orders(knn_graph(x, orders), labels), 1)]
                found.append(("centre-based index", 1, center_separation_index(x, labels)))
                rows += [(split, layer, index, *row) for row in found]
        return pd.DataFrame(rows, columns=["split", "layer", "index", "measure", "order", "value"])

    table = run.result("separation", {"samples": samples, "orders": orders}, measure)
    probes = probe_table(run, samples)
    rates = pd.concat([probes[["layer", "index"]].assign(split=split, measure="correct classification rate", order=1,
                                                         value=probes[column])
                       for split, column in (("train", "train"), ("test", "value"))])
    return pd.concat([table, rates], ignore_index=True).assign(seed=run.config.seed)
