"""Networks that compute in the eigenspaces of their layers' outputs (dissertation, chapter 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.modules import check_model, kind, layer_list
from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.eigenspace.layers import attach, recomputing
from rrahelpers.eigenspace.projection import PCAProjection
from rrahelpers.eigenspace.spectrum import DELTA, check_delta
from rrahelpers.features import evaluation_mode
from rrahelpers.features.batches import as_batches, labels_of
from rrahelpers.features.passes import as_taken

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes, Images, Labels


class Projections:
    """The projections after a model's layers; as a context manager they go away at its end. See :func:`project`."""

    def __init__(self, model: nn.Module, delta: float, covariances: dict[str, Covariance] | None,
                 layers: Iterable[str] | None, random: int | None, axis: FeatureAxes | None, centred: bool) -> None:
        if covariances is not None and not isinstance(covariances, Mapping):
            raise TypeError(f"expected covariances as {{layer: Covariance}}, got {type(covariances).__name__}")
        layers = covariances if layers is None else layer_list(layers)
        check_model(model, layers)
        self._model, self._delta, self._random, self._centred = model, check_delta(delta), random, centred
        self._layers: dict[str, PCAProjection] = {}
        self._given = covariances is not None
        if self._given:
            self._fit(layers, covariances)
        self._hooks = attach(model, layers, self._project, axis)

    @property
    def delta(self) -> float:
        return self._delta

    @delta.setter
    def delta(self, delta: float) -> None:
        self._delta = check_delta(delta)
        self._set()

    @property
    def random(self) -> int | None:
        return self._random

    @random.setter
    def random(self, random: int | None) -> None:
        self._random = random
        self._set()

    def table(self) -> pd.DataFrame:
        """A row for each layer: ``layer``, ``index``, ``features``, ``dimensions`` (of the subspace)."""
        return pd.DataFrame([{"layer": name, "index": index, "features": layer.features, "dimensions": layer.rank}
                             for index, (name, layer) in enumerate(self._layers.items())])

    def remove(self) -> None:
        """Take all projections out; the model is as it was."""
        self._hooks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _fit(self, layers, covariances):
        if missing := [name for name in layers if name not in covariances]:
            raise ValueError(f"no covariance for the layers {missing}; there are some for: {', '.join(covariances)}")
        for name in layers:
            self._of(name).fit(covariances[name])

    def _of(self, name):
        if name not in self._layers:
            self._layers[name] = PCAProjection(self._delta, centred=self._centred)
            self._set()
        return self._layers[name]

    def _set(self):
        for index, layer in enumerate(self._layers.values()):
            layer.delta = self._delta
            layer.random = None if self._random is None else 1_000_003 * self._random + index

    def _project(self, name, x, axis):
        if self._model.training and (self._given or recomputing()):
            return None
        layer = self._of(name)
        layer.axis = axis
        return layer.train(self._model.training)(x)


def project(model: nn.Module, delta: float = DELTA, covariances: dict[str, Covariance] | None = None, *,
            layers: Iterable[str] | None = None, random: int | None = None,
            axis: FeatureAxes | None = None, centred: bool = True) -> Projections:
    """Insert a :class:`PCAProjection` after each layer of a model, without a change to the model.

    Parameters
    ----------
    model: any ``nn.Module``. In training mode it works as before, in evaluation mode it is projected.
    delta: share of the variance, in (0, 1].
    covariances: {layer: :class:`Covariance`}, as of :func:`covariances`; None: collected while the model runs in
        training mode.
    layers: names; default those of ``covariances``, or all weighted layers.
    random: None, or a seed: random orthonormal bases of the same ranks.
    axis: as for :func:`covariances`.
    centred: as for :class:`PCAProjection`.

    Returns :class:`Projections`, with ``delta`` and ``random`` to be set at any time, ``table()`` and ``remove()``::

        with project(model, 0.99, covariances(model, images)) as projections:
            ...                        # every layer answers within its eigenspace
            projections.delta = 0.95   # no second pass

    Of a recurrent layer's outputs the sequence is projected, its final state is not. Raises ``ValueError`` for
    unknown layers, layers without a covariance and ``delta`` out of range, and as
    :func:`rrahelpers.base.modules.check_model`.
    """
    return Projections(model, delta, covariances, layers, random, axis, centred)


def projected_accuracies(model: nn.Module, images: Images, labels: Labels | None, covariances: dict[str, Covariance],
                         deltas: Iterable[float], *, draws: int = 1, centred: bool = True,
                         batch_size: int | None = None, progress: bool = True) -> pd.DataFrame:
    """Top-1 accuracy of a projected network for many thresholds (dissertation 7.3, figure 43).

    Parameters
    ----------
    model, covariances: as for :func:`project`.
    images, labels: float [N, …], as the model takes them, or batches of such
        (:class:`rrahelpers.features.batches.Batches`); integers [N], None where they come with the images.
    deltas: shares of the variance.
    draws: random bases for each threshold, beside the eigenspaces.
    centred: as for :class:`PCAProjection`.

    Returns a row for each threshold and subspace: ``delta``, ``subspace`` ("eigenspace" or "random"), ``draw``,
    ``dimensions`` (of all layers together), ``accuracy``, ``difference`` (unprojected less projected: what is lost) and
    ``relative``, to the accuracy of the unprojected network. Raises as :func:`project`, ``TypeError`` for a network
    that answers with anything but a tensor, ``ValueError`` for one that isn't [N, classes].
    """
    images, deltas = as_batches(images), [check_delta(delta) for delta in deltas]
    if not deltas or not is_whole(draws, 0):
        raise ValueError(f"expected at least one delta, and draws that are 0 or more, got {len(deltas)} and {draws!r}")
    labels = labels_of(images, labels)
    reference, rows = _accuracy(model, images, labels, batch_size), []
    subspaces = [("eigenspace", 0, None), *(("random", draw, draw) for draw in range(draws))]
    with project(model, 1.0, covariances, centred=centred) as projections:
        for delta in tqdm(deltas, desc="projections", unit="threshold", disable=not progress):
            projections.delta = delta
            dimensions = int(projections.table().dimensions.sum())
            for subspace, draw, seed in subspaces:
                projections.random = seed
                accuracy = _accuracy(model, images, labels, batch_size)
                rows.append({"delta": delta, "subspace": subspace, "draw": draw, "dimensions": dimensions,
                             "accuracy": accuracy, "difference": reference - accuracy,
                             "relative": accuracy / reference if reference else float("nan")})
    return pd.DataFrame(rows)


def _accuracy(model, images, labels, batch_size):
    with evaluation_mode(model), torch.no_grad():
        predicted = [_logits(model, as_taken(model, batch)).argmax(1).cpu() for batch in images.split(batch_size)]
    return (torch.cat(predicted) == labels.cpu()).double().mean().item()


def _logits(model, images):
    logits = model(images)
    if not isinstance(logits, torch.Tensor):
        raise TypeError(f"{kind(model)} answers with {type(logits).__name__}; expected logits, a tensor [N, classes]: "
                        "put it "
                         "into a module whose forward gives these alone")
    if logits.ndim != 2 or len(logits) != len(images) or logits.is_complex():
        raise ValueError(f"{kind(model)} answers with shape {tuple(logits.shape)} of {logits.dtype} for {len(images)} "
                         "images; expected logits, real numbers [N, classes]")
    return logits
