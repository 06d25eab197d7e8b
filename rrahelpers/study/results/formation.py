"""What the layers of a network are after each kept epoch of its training."""

import pandas as pd

from rrahelpers.base.devices import default_device
from rrahelpers.class_similarity import scale_graphs
from rrahelpers.eigenspace import covariances, describe
from rrahelpers.study.results.probes import probe_table
from rrahelpers.study.results.responses import class_similarity_table
from rrahelpers.topology import nnts
from rrahelpers.training.kept import at_epoch, epochs_to_keep
from rrahelpers.training.runs import Run

MEASURES = ("class similarity", "probe", "saturation", "NNTS to the end")


def formation_table(run: Run, samples: int | None, k: int, keep_every: int, *,
                    compute: bool = True) -> pd.DataFrame | None:
    """The measures of a run's layers after each epoch whose network was kept.

    Parameters
    ----------
    run: a :class:`rrahelpers.training.runs.Run`, trained with ``keep_every``.
    samples: the first test images, for all measures, and training images, for probes (None: all).
    k: neighbours.

    Returns rows of ``epoch``, ``layer``, ``index``, ``measure`` (of :data:`MEASURES`), ``value`` and ``seed``: class
    similarity at the scale where it is largest, the accuracy of a probe, saturation, and the share of an image's
    neighbours that are its neighbours in the same layer at the end. What the store lacks is computed and stored, each
    epoch by itself and in the end the whole; without ``compute`` None is returned where it lacks the whole.
    """
    def measure():
        return pd.concat([_epoch_table(run, epoch, samples, k) for epoch in epochs_to_keep(run.config, keep_every)],
                         ignore_index=True)

    return run.result("formation-epochs", {"samples": samples, "k": k, "keep_every": keep_every},
                      measure if compute else None)


def _epoch_table(run, epoch, samples, k):
    then = at_epoch(run, epoch)
    similar = class_similarity_table(then, samples, k)
    parts = [similar.groupby(["layer", "index"], as_index=False, sort=False).value.max(),
             probe_table(then, samples), _own_table(run, then, samples, k)]
    parts[:2] = [part.assign(measure=measure) for part, measure in zip(parts[:2], MEASURES)]
    table = pd.concat([part[["layer", "index", "measure", "value"]] for part in parts], ignore_index=True)
    return table.assign(epoch=epoch, seed=run.config.seed)[["epoch", *table, "seed"]]


def _own_table(run, then, samples, k):
    """Saturation of each layer, and NNTS of its features as they are with those at the end."""
    def measure():
        (images, _), model = run.inputs("test", samples), then.model(default_device())
        graphs = [scale_graphs(network, images, scales=[1], k=k, progress=False)
                  for network in (model, run.model(default_device()))]
        alike = [(a.layer, a.index, MEASURES[3], nnts(a.graph, b.graph)) for a, b in zip(*graphs)]
        index = {layer: place for layer, place, *_ in alike if layer != "input"}
        saturated = [(layer, index[layer], MEASURES[2], describe(covariance)["saturation"])
                     for layer, covariance in covariances(model, images, list(index)).items()]
        return pd.DataFrame(saturated + alike, columns=["layer", "index", "measure", "value"])

    return then.result("formation", {"samples": samples, "k": k}, measure)
