"""The slides' classifier behind a layer: two dense layers and a batch norm (Kalhor, section 3.2, figures 11 and 12).

It isn't linear: it tells what a small network can still learn from a layer, where a probe tells what can be read off.
The slides leave open the width, the activation between the layers, learning rate, batches and preprocessing: here 128,
ReLU, Adam's usual 1e-3, 128 and none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers.base.arrays import is_whole
from rrahelpers.probes.fitting import checked_samples

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Features, Labels

WIDTH, BATCH, EPOCHS = 128, 128, 100


@dataclass(frozen=True, eq=False)
class DenseResult:
    """A trained classifier: ``accuracy`` and ``train_accuracy``, fractions; ``losses``, the mean over the samples of
    the summed squared error, one for each epoch; ``model``, from features [N, D] to probabilities [N, K] of
    ``classes``."""

    accuracy: float
    train_accuracy: float
    losses: list[float]
    model: nn.Module
    classes: torch.Tensor


def fit_dense(x: Features, y: Labels, x_test: Features, y_test: Labels, *, width: int = WIDTH, epochs: int = EPOCHS,
              seed: int = 0) -> DenseResult:
    """Train dense - ReLU - dense - batch norm - softmax by the sum of squared errors and Adam, and score it.

    Parameters
    ----------
    x, x_test: features [N, D], or [N, ...] which is flattened.
    y, y_test: labels [N], any integers. A test label that no training sample has counts as an error.
    width: of the first dense layer; the second has an output for each class.
    epochs: passes through the training samples; the slides: more than 100.
    seed: of weights and batches. The random state outside is left as it was.

    Returns a :class:`DenseResult`. Raises ``ValueError`` and ``TypeError`` as :func:`rrahelpers.probes.fit_probe`.
    """
    x, y, x_test, y_test = checked_samples(x, y, x_test, y_test)
    x, x_test = x.float(), x_test.float()
    for name, value in {"width": width, "epochs": epochs}.items():
        if not is_whole(value):
            raise ValueError(f"expected {name} to be a positive whole number, got {value!r}")
    classes, target = torch.unique(y, return_inverse=True)
    with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(x.shape[1], width), nn.ReLU(), nn.Linear(width, len(classes)),
                              nn.BatchNorm1d(len(classes)), nn.Softmax(1)).to(x.device)
        losses = _train(model, x, F.one_hot(target, len(classes)).to(x), epochs)
    accuracies = [(classes[_predicted(model, f)] == labels).double().mean().item()
                  for f, labels in ((x_test, y_test), (x, y))]
    return DenseResult(accuracies[0], accuracies[1], losses, model, classes)


def _train(model, x, wanted, epochs):
    optimiser, losses = torch.optim.Adam(model.parameters()), []
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(x), device=x.device).tensor_split(-(-len(x) // BATCH)):  # of almost one size
            loss = (model(x[batch]) - wanted[batch]).square().sum(1)
            optimiser.zero_grad()
            loss.mean().backward()
            optimiser.step()
            total += loss.sum().item()
        losses.append(total / len(x))
    model.eval()
    return losses


@torch.no_grad()
def _predicted(model, x):
    return torch.cat([model(part).argmax(1) for part in x.split(8192)])
