"""Saturation and projected accuracy of stored runs."""

from collections.abc import Sequence
from typing import overload

import pandas as pd
import torch
from torch import nn

from rrahelpers.base.devices import default_device
from rrahelpers.eigenspace.layers import covariances, weighted_layers
from rrahelpers.eigenspace.network import projected_accuracies
from rrahelpers.eigenspace.pruning import KEPT, filters_to_keep
from rrahelpers.eigenspace.spectrum import DELTA, describe, saturation_by_delta
from rrahelpers.training.runs import Run


@overload
def saturation_table(run: Run, samples: int | None, *, split: str = ..., delta: float = ...) -> pd.DataFrame: ...


@overload
def saturation_table(run: Run, samples: int | None, *, split: str = ..., delta: float = ...,
                     compute: bool) -> pd.DataFrame | None: ...


def saturation_table(run: Run, samples: int | None, *, split: str = "test", delta: float = DELTA,
                     compute: bool = True) -> pd.DataFrame | None:
    """Saturation of every weighted layer of a run's network on the first ``samples`` images of a split (None: all).

    Returns a row for each layer, in the order of the forward pass: ``layer``, ``index``, the columns of
    :func:`rrahelpers.eigenspace.describe`, and ``seed``. Where the store lacks the table it is computed and stored, or,
    without ``compute``, None is returned.
    """
    def measure():
        found = covariances(run.model(default_device()), run.inputs(split, samples)[0])
        return pd.DataFrame([{"layer": layer, "index": index, **describe(covariance, delta)}
                             for index, (layer, covariance) in enumerate(found.items())])

    table = run.result("saturation", {"split": split, "samples": samples, "delta": delta}, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)


def saturation_by_delta_table(run: Run, samples: int | None, deltas: Sequence[float], *,
                              compute: bool = True) -> pd.DataFrame | None:
    """:func:`rrahelpers.eigenspace.saturation_by_delta` of every weighted layer of a run's network, on its first
    ``samples`` training images (None: all), with ``seed``.

    What the store lacks is computed and stored, or, without ``compute``, None is returned.
    """
    deltas = [float(delta) for delta in deltas]
    return _of_covariances(run, samples, "saturation-by-delta", {"deltas": deltas}, compute,
                           lambda found: saturation_by_delta(found, deltas))


def filters_table(run: Run, samples: int | None, *, delta: float = KEPT, compute: bool = True) -> pd.DataFrame | None:
    """:func:`rrahelpers.eigenspace.filters_to_keep` of every weighted layer of a run's network but the last, which is
    the classifier. ``samples``, ``compute`` and ``seed`` as for :func:`saturation_by_delta_table`.
    """
    return _of_covariances(run, samples, "filters-to-keep", {"delta": delta}, compute,
                           lambda found: filters_to_keep(dict(list(found.items())[:-1]), delta))


@overload
def projected_accuracy_table(run: Run, samples: int | None, deltas: Sequence[float], *, test_samples: int | None = ...,
                             layers: Sequence[str] | None = ..., draws: int = ...,
                             centred: bool = ...) -> pd.DataFrame: ...


@overload
def projected_accuracy_table(run: Run, samples: int | None, deltas: Sequence[float], *, test_samples: int | None = ...,
                             layers: Sequence[str] | None = ..., draws: int = ..., centred: bool = ...,
                             compute: bool) -> pd.DataFrame | None: ...


def projected_accuracy_table(run: Run, samples: int | None, deltas: Sequence[float], *, test_samples: int | None = None,
                             layers: Sequence[str] | None = None, draws: int = 1, centred: bool = True,
                             compute: bool = True) -> pd.DataFrame | None:
    """Accuracy of a run's network in the eigenspaces of its layers and in random subspaces of the same dimensions.

    Parameters
    ----------
    run: :class:`rrahelpers.training.runs.Run`.
    samples, test_samples: the first training images give the eigenspaces (in evaluation mode, not augmented), the
        first test images the accuracy; None: all.
    deltas: shares of the variance.
    layers: names of those that are projected; default :func:`projected_layers`.
    draws: random bases for each share.
    centred: as for :func:`rrahelpers.eigenspace.projected_accuracies`.

    Returns the columns of :func:`rrahelpers.eigenspace.projected_accuracies` and ``seed``; ``compute`` as above.
    """
    deltas = [float(delta) for delta in deltas]
    if layers is None:
        with torch.device("meta"):  # the names need no weights
            layers = projected_layers(run.untrained())

    def measure():
        model = run.model(default_device())
        found = covariances(model, run.inputs("train", samples)[0], layers)
        return projected_accuracies(model, *run.inputs("test", test_samples), found, deltas, draws=draws,
                                    centred=centred)

    parameters = {"samples": samples, "test_samples": test_samples, "deltas": deltas, "layers": layers, "draws": draws}
    parameters |= {} if centred else {"centred": False}  # tables that are stored are of centred projections
    table = run.result("projected-accuracy", parameters, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)


def projected_layers(network: nn.Module) -> list[str]:
    """The weighted layers that are projected: of the dissertation's ResNets the convolutions of the main path, else
    all."""
    weighted = weighted_layers(network)
    return [name for name in getattr(network, "layer_names", []) if name in weighted and name != "fc"] or weighted


def _of_covariances(run, samples, name, parameters, compute, measure):
    """What ``measure`` makes of the covariances of a run's network on training images, stored."""
    def measured():
        return measure(covariances(run.model(default_device()), run.inputs("train", samples)[0]))

    table = run.result(name, {"samples": samples, **parameters}, measured if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)
