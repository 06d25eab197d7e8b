"""The smoothness index through a regression network: notebook 11's perceptron on scikit-learn's diabetes data."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from torch import nn

from rrahelpers.features import extract
from rrahelpers.neighbors import knn_graph
from rrahelpers.separation import error_bound, smoothness_index

LAYERS = {"input": "input", "1": "hidden 1", "3": "hidden 2", "5": "hidden 3", "6": "output"}  # of the perceptron
TRAINED = 300  # of the 442 patients


def smoothness_table(seeds: Iterable[int], epochs: int = 300) -> pd.DataFrame:
    """SmI of every layer ("smoothness index") and R² of the output, on both splits: a network and a split for each
    seed.

    Rows of seed, split, index, layer, measure, value.
    """
    return pd.DataFrame([row for seed in seeds for row in _regression(seed, epochs)])


def bounds_table(seeds: Iterable[int], gammas: Iterable[float], epochs: int = 300) -> pd.DataFrame:
    """The slides' error bound of nearest-neighbour regression in every layer, and the errors that are made there.

    Rows of seed, index, layer, gamma, bound (mean over the test split), error (mean distance of the nearest training
    sample's target from the true one), held (share of test samples whose error is within their bound).
    """
    rows = []
    for seed in seeds:
        splits = diabetes(seed)
        model = _trained(*splits["train"], seed, epochs)
        layers = {split: extract(model, inputs, LAYERS) for split, (inputs, _) in splits.items()}
        y, y_test = splits["train"][1], splits["test"][1]
        for index, layer in enumerate(LAYERS):
            x, new = layers["train"][layer], layers["test"][layer]
            error = (y[torch.cdist(new.double(), x.double()).argmin(1)] - y_test).abs().double()
            for gamma in gammas:
                bound = error_bound(new, x, y, gamma)
                rows.append({"seed": seed, "index": index, "layer": layer, "gamma": gamma, "bound": bound.mean().item(),
                             "error": error.mean().item(), "held": (error <= bound).double().mean().item()})
    return pd.DataFrame(rows)


def diabetes(seed: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Features [n, 10] and targets [n] of the splits "train" and "test", standardised by the training split."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes()
    x, y = (torch.tensor(values, dtype=torch.float32) for values in (bunch.data, bunch.target))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    train, test = order[:TRAINED], order[TRAINED:]
    x, y = (x - x[train].mean(0)) / x[train].std(0), (y - y[train].mean()) / y[train].std()
    return {"train": (x[train], y[train]), "test": (x[test], y[test])}


def _regression(seed, epochs):
    splits = diabetes(seed)
    model = _trained(*splits["train"], seed, epochs)
    rows = []
    for split, (inputs, targets) in splits.items():
        own = {"seed": seed, "split": split}
        for index, (layer, features) in enumerate(extract(model, inputs, LAYERS).items()):
            rows.append({**own, "index": index, "layer": layer, "measure": "smoothness index",
                         "value": smoothness_index(knn_graph(features, 1), targets)})
        error = nn.functional.mse_loss(model(inputs)[:, 0], targets) / targets.var(correction=0)
        rows.append({**own, "index": len(LAYERS) - 1, "layer": "6", "measure": "R²", "value": 1 - error.item()})
    return rows


def _trained(x, y, seed, epochs):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
                          nn.Linear(32, 1))
    optimiser = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-2)
    for _ in range(epochs):
        optimiser.zero_grad()
        nn.functional.mse_loss(model(x)[:, 0], y).backward()
        optimiser.step()
    return model
