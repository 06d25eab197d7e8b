"""Neighbour measures of stored runs: class similarity, representational responses, separation."""

from dataclasses import fields
from functools import cache

import pandas as pd

from rrahelpers import data
from rrahelpers.base.devices import default_device
from rrahelpers.class_similarity import SCALES, classrepsim, scale_graphs
from rrahelpers.features import analysed_layers, each_layer
from rrahelpers.neighbors import knn_graph
from rrahelpers.representational_response import Response, representational_response
from rrahelpers.separation import center_separation_index, separation_orders
from rrahelpers.study.results.probes import probe_table


def class_similarity_table(run, samples, k, *, split="test", compute=True):
    """Class similarity of a run's network on a split's first ``samples`` images (None: all), with ``k`` neighbours.

    Returns the columns of :func:`rrahelpers.class_similarity.classrepsim` and ``seed``. Where the store lacks the table
    it is computed and stored, or, without ``compute``, None is returned.
    """
    def measure():
        part = run.images(split, samples)
        return classrepsim(run.model(default_device()), run.preprocess(part.images), part.labels, k=k)

    parameters = {"split": split, "samples": samples, "k": k, "scales": [str(scale) for scale in SCALES]}
    table = run.result("classrepsim", parameters, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)


def response(run, samples, k, *, kernel_samples=2000):
    """Every kNN measure of a run's network on its first ``samples`` test images (None: all), with ``k`` neighbours.

    Returns a :class:`rrahelpers.representational_response.Response` whose tables have a column ``seed`` beside; linear
    CKA is of the first ``kernel_samples`` of the images, by the plain estimator (not debiased). What the store
    lacks is computed and stored.
    """
    @cache
    def measure():
        test = run.images("test", samples)
        model, images = run.model(default_device()), run.preprocess(test.images)
        layers = analysed_layers(model, images)
        features = each_layer(model, images[:kernel_samples], layers)
        graphs = scale_graphs(model, images, layers=layers, k=k)
        return representational_response(graphs, test.labels, features=features, debiased=False)

    parameters = {"split": "test", "samples": samples, "k": k, "scales": [str(scale) for scale in SCALES],
                  "kernel_samples": kernel_samples}
    tables = {f.name: run.result(f"response-{f.name}", parameters, lambda name=f.name: getattr(measure(), name))
              for f in fields(Response)}
    return Response(**{name: table.assign(seed=run.config.seed) for name, table in tables.items()})


def separation_table(run, samples, orders):
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
            part = run.images(split, samples)
            images = run.preprocess(part.images)
            for index, (layer, x) in enumerate(each_layer(model, images, analysed_layers(model, images))):
                found = [("separation index", order, value)
                         for order, value in enumerate(separation_orders(knn_graph(x, orders), part.labels), 1)]
                found.append(("centre-based index", 1, center_separation_index(x, part.labels)))
                rows += [(split, layer, index, *row) for row in found]
        return pd.DataFrame(rows, columns=["split", "layer", "index", "measure", "order", "value"])

    table = run.result("separation", {"samples": samples, "orders": orders}, measure)
    probes = probe_table(run, samples)
    rates = pd.concat([probes[["layer", "index"]].assign(split=split, measure="correct classification rate", order=1,
                                                         value=probes[column])
                       for split, column in (("train", "train"), ("test", "value"))])
    return pd.concat([table, rates], ignore_index=True).assign(seed=run.config.seed)
