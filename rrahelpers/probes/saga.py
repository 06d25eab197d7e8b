"""The dissertation's own probe: scikit-learn's logistic regression by SAGA, stopped after 100 epochs (6.2.5).

It is there to compare with. Where features aren't scaled alike, 100 epochs end far from the optimum, at weights that
are smaller than its: what such a probe misses, the layer may still know.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rrahelpers.base.arrays import is_whole
from rrahelpers.probes.fitting import check_options, checked_samples

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

    from rrahelpers.base.shapes import Features, Labels

EPOCHS = 100


@dataclass(frozen=True, eq=False)
class SagaResult:
    """``accuracy`` and ``train_accuracy``, fractions; ``model``, scikit-learn's."""

    accuracy: float
    train_accuracy: float
    model: LogisticRegression


def fit_saga(x: Features, y: Labels, x_test: Features, y_test: Labels, *, C: float = 1.0, epochs: int = EPOCHS,
             seed: int = 0) -> SagaResult:
    """Fit scikit-learn's ``LogisticRegression(solver="saga")`` on the processor, and score it.

    Parameters
    ----------
    x, x_test: features [N, D], or [N, ...] which is flattened; they aren't normalised.
    y, y_test: labels [N], any integers. A test label that no training sample has counts as an error.
    C: inverse strength of the penalty, as for :func:`rrahelpers.probes.fit_probe`.
    epochs: passes through the training samples at most.
    seed: of the order of the samples.

    Returns a :class:`SagaResult`. Raises ``ValueError`` and ``TypeError`` as :func:`rrahelpers.probes.fit_probe`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if isinstance(C, (list, tuple)):
        raise ValueError(f"expected one C, got {C!r}")
    check_options(C, 1.0, 1)
    if not is_whole(epochs):
        raise ValueError(f"expected epochs to be a positive whole number, got {epochs!r}")
    x, y, x_test, y_test = (part.cpu() for part in checked_samples(x, y, x_test, y_test))
    model = LogisticRegression(C=C, solver="saga", max_iter=epochs, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where it stops is the point
        model.fit(x.numpy(), y.numpy())
    accuracies = [(torch.from_numpy(model.predict(f.numpy())) == labels).double().mean().item()
                  for f, labels in ((x_test, y_test), (x, y))]
    return SagaResult(accuracies[0], accuracies[1], model)
