"""Logistic regression probes (Alain & Bengio 2017; dissertation, 4.3, 6.2.5 and 8.3): what a layer already knows.

A probe is a multinomial logistic regression from a layer's features to the classes; its test accuracy says how well a
linear classifier tells them apart there. The dissertation stops scikit-learn's SAGA after 100 epochs; here every probe
is fitted to its optimum (:mod:`rrahelpers.probes.logistic`), so that nothing hangs on the scale of the features. Where
the classes can be separated and ``C`` is large the optimum lies far out: it is still reached, in some hundreds of
iterations, or a warning says that it isn't.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from rrahelpers.base.arrays import as_features, check_labels
from rrahelpers.probes import logistic, strength

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

    from rrahelpers.base.shapes import Features, Integers, Labels, Maps

TOLERANCE, ITERATIONS = 1e-6, 1000
MEMORY = 2 * 2**30  # bytes


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """A fitted probe: the scores of features x are ``x @ coefficients.T + intercepts``, one for each of ``classes``.

    ``accuracy``, ``train_accuracy``: fractions, on test and training samples. ``coefficients`` [K, D] in the features'
    type, ``intercepts`` float64 [K], ``classes`` int64 [K]. ``gap``: an estimate of the objective's distance from its
    optimum, as a share of the objective; ``converged``: whether it is at most ``tol``. ``C``: the penalty's inverse
    strength, where there were several the one that was chosen.
    """

    accuracy: float
    train_accuracy: float
    coefficients: Float[torch.Tensor, "k d"]
    intercepts: Float64[torch.Tensor, " k"]
    classes: Int64[torch.Tensor, " k"]
    iterations: int
    gap: float
    converged: bool
    C: float = 1.0


def fit_probe(x: Features, y: Labels, x_test: Features, y_test: Labels, *, C: float | Sequence[float] = 1.0,
              tol: float = TOLERANCE, max_iter: int = ITERATIONS) -> ProbeResult:
    """Fit a probe on training samples and score it on test samples.

    Parameters
    ----------
    x, x_test: features [N, D], or [N, …] which is flattened: tensors on one device, or arrays. float64 is computed in
        float64, and so are int32 and int64; anything else in float32. They aren't normalised in any way (8.3.1).
    y, y_test: labels [N], any integers. A test label that no training sample has counts as an error.
    C: inverse strength of the penalty, as scikit-learn's: the objective is C times the summed cross-entropy plus half
        of the squared coefficients; intercepts are free. Two classes share one score as there: half of it each, one
        negated. Several, in a list: the best of them on held-out training samples, see
        :func:`rrahelpers.probes.strength.choose`.
    tol: where ``gap`` has to be. At 1e-6, accuracies of trained layers are within 0.1 points of the optimum's.
    max_iter: iterations at most; each takes about one pass through the features.

    Returns a :class:`ProbeResult`. Needs beside ``x`` a copy of it, and four square matrices of the smaller of N and D:
    five times its memory at most (ten for float32 features, more than samples, whose ranges differ a thousandfold). A
    constant feature gets no weight; where all are constant, the probe knows the frequencies of the classes alone. Warns
    where ``tol`` isn't reached. Raises ``ValueError`` for NaN or infinite features, a single class, no sample, lengths
    that differ, and ``C``, ``tol`` or ``max_iter`` not above 0; ``TypeError`` for labels that are no integers and
    features that are no real numbers.
    """
    x, x_test = _features(x, "training"), _features(x_test, "test")
    if isinstance(C, Sequence):
        check_options(C, tol, max_iter)
        C = strength.choose(partial(fit_probe, tol=tol, max_iter=max_iter), x, check_labels(y, len(x)), C)
    found = _fit(x.T[None], y, x_test.T[None], y_test, C, tol, max_iter)
    return ProbeResult(**{name: values[0] for name, values in found.items()}, C=C)


def probe_positions(maps: Maps, y: Labels, test_maps: Maps, y_test: Labels, *, C: float = 1.0, tol: float = TOLERANCE,
                    max_iter: int = ITERATIONS, memory: float = MEMORY) -> pd.DataFrame:
    """One probe for each place of a feature map, from its channels alone (9.3.1; figures 54 and 86 to 88).

    Parameters
    ----------
    maps, test_maps: feature maps [N, C, H, W].
    y, y_test, C, tol, max_iter: as for :func:`fit_probe`, for every place.
    memory: bytes that the places fitted at a time may need; at least one place is.

    Returns a table with one row for each place: ``row``, ``column``, ``value`` (test accuracy, a fraction), ``train``
    (training accuracy), ``iterations``, ``gap``, ``converged``. The figures show ``value`` as a share of the network's
    own test accuracy. Raises and warns as :func:`fit_probe`, and ``ValueError`` for features that are no maps.
    """
    if isinstance(C, (list, tuple)):
        raise ValueError(f"expected one C for the probes of all places, got {C!r}")
    shape = tuple(maps.shape[1:])
    if len(shape) != 3:
        raise ValueError(f"expected feature maps [N, C, H, W], got shape {tuple(maps.shape)}")
    if tuple(test_maps.shape[1:]) != shape:
        raise ValueError(f"training and test maps differ: {shape} and {tuple(test_maps.shape[1:])}")
    channels, height, width = shape
    places, test_places = (_features(m, what).view(len(m), channels, -1).permute(2, 1, 0)  # [H W, C, N]
                           for m, what in ((maps, "training"), (test_maps, "test")))
    step = max(1, memory // (5 * places.element_size() * places[0].numel()))
    fits = (_fit(part, y, test_part, y_test, C, tol, max_iter)
            for part, test_part in zip(places.split(step), test_places.split(step)))
    table = pd.concat([pd.DataFrame({
        "value": found["accuracy"], "train": found["train_accuracy"],
        **{name: found[name] for name in ("iterations", "gap", "converged")}}) for found in fits], ignore_index=True)
    table.insert(0, "row", np.arange(height * width) // width)
    table.insert(1, "column", np.arange(height * width) % width)
    return table


def _features(x, what):
    try:
        return as_features(x)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what} samples: {error}") from error


def check_options(C: float | Sequence[float], tol: float, max_iter: int) -> None:
    """``ValueError`` for what :func:`fit_probe` can't use."""
    strengths = C if isinstance(C, (list, tuple)) else [C]
    if not strengths:
        raise ValueError("expected C above 0, or several such to choose from, got an empty list")
    for name, value in (*(("C", one) for one in strengths), ("tol", tol), ("max_iter", max_iter)):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise ValueError(f"expected {name} to be a number, got {value!r}")
        if not 0 < float(value) < math.inf:
            raise ValueError(f"expected {name} above 0 and finite, got {value!r}")


def check_classes(labels: Integers) -> None:
    """``ValueError`` for labels of fewer than two classes."""
    if len(classes := labels.unique()) < 2:
        raise ValueError("a probe needs training samples of at least two classes, "
                         f"got {len(labels)} of class {classes.tolist()}")


def checked_samples(x: Features, y: Labels, x_test: Features, y_test: Labels) -> tuple[torch.Tensor, ...]:
    """The same as tensors: features [N, D] and their labels beside them on one device. Raises ``ValueError`` for
    features that differ in number, a single class, and as :func:`fit_probe`."""
    x, x_test = as_features(x), as_features(x_test)
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(f"expected as many features in both, got {x.shape[1]} to train and {x_test.shape[1]} to test")
    y, y_test = (check_labels(labels, len(f)).to(f.device) for labels, f in ((y, x), (y_test, x_test)))
    check_classes(y)
    return x, y, x_test, y_test


def _fit(x, y, x_test, y_test, C, tol, max_iter):
    """{field of :class:`ProbeResult`: B values}, for features [B, D, N]."""
    if x_test.shape[1] != x.shape[1]:
        raise ValueError(f"expected as many features in both, got {x.shape[1]} to train and {x_test.shape[1]} to test")
    y, y_test = (check_labels(labels, f.shape[2]).to(f.device) for labels, f in ((y, x), (y_test, x_test)))
    check_options(C, tol, max_iter)
    check_classes(y)
    classes, target = torch.unique(y, return_inverse=True)
    fit = logistic.fit(x.mT, target, len(classes), C, tol, max_iter)
    converged = fit.gap <= tol
    if not converged.all():
        warnings.warn(
            f"{int((~converged).sum())} of {len(x)} probes ended at an estimated distance of up to "
            f"{fit.gap.max():.1e} from the optimum, expected {tol:.1e}, after up to {fit.iterations.max()} iterations; "
            f"raise max_iter (now {max_iter}), lower C (now {C:g}), or give float64 features against rounding",
            stacklevel=3)
    return {
        "accuracy": _accuracies(fit, x_test, classes, y_test), "train_accuracy": _accuracies(fit, x, classes, y),
        "coefficients": fit.weights, "intercepts": fit.intercepts, "classes": [classes] * len(x),
        "iterations": fit.iterations.tolist(), "gap": fit.gap.tolist(), "converged": converged.tolist(),
    }


def _accuracies(fit, x, classes, y):
    """Shares [B] of samples that are classified correctly."""
    step = max(1, 2**22 // x[..., 0].numel())
    predicted = torch.cat([classes[fit.predict(part.mT)] for part in x.split(step, 2)], 1)
    return (predicted == y).double().mean(1).tolist()
