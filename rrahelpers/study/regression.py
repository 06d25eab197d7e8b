"""The smoothness index through a regression network: notebook 11's perceptron on scikit-learn's diabetes data."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from torch import nn

from rrahelpers.features import extract
from rrahelpers.neighbors import knn_graph
from rrahelpers.separation import smoothness_index

LAYERS = {"input": "input", "1": "hidden 1", "3": "hidden 2", "5": "hidden 3", "6": "output"}  # of the perceptron
TRAINED = 300  # of the 442 patients


def smoothness_table(seeds: Iterable[int], epochs: int = 300) -> pd.DataFrame:
    """SmI of every layer ("smoothness index") and R² of the output, on both splits: a network and a split for each
    seed.

    Rows of seed, split, index, layer, measure, value.
    """
    return pd.DataFrame([row for seed in seeds for row in _regression(seed, epochs)])


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
