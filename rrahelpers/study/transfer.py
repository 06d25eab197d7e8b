"""Stored networks on new data, by the features of their last layer before the classifier: ranking and guarantees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import nn

from rrahelpers import data, separation
from rrahelpers.features import analysed_layers, each_layer, extract
from rrahelpers.probes import fit_probe
from rrahelpers.study import figures
from rrahelpers.training.runs import Run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Features, ImageTensor, Integers


def title(run: Run) -> str:
    """A stored network and its data in words: "VGG16, width 1/4 on CIFAR-10"."""
    network = figures.network_title(run.config.model, run.config.options)
    return f"{network} on {figures.TITLES.get(run.config.data, run.config.data)}"


def last_features(model: nn.Module, images: ImageTensor) -> Features:
    """What a network's global pooling answers: [N, D]."""
    layer = "avgpool" if "avgpool" in dict(model.named_modules()) else "pool"
    return extract(model, images, [layer])[layer].flatten(1)


def ranking(runs: Sequence[Run], target: str, samples: int, *, limit: int = 16) -> pd.DataFrame:
    """Trained and untrained networks in the order in which they suit a data set (slides' algorithm 2).

    ``target``: name of the data set; ``samples``: of its images in either split; ``limit``: features of the best
    subset. Returns the columns of :func:`rrahelpers.separation.rank_models` but for the features' numbers, of test
    images, with ``accuracy``: of a logistic regression on the same features, trained on training images. What the
    store lacks is computed and stored.
    """
    parameters = {"target": target, "samples": samples, "limit": limit}
    tables = [run.result("transfer", parameters, partial(_transfer, run, target, samples, limit)) for run in runs]
    table = pd.concat(tables).drop_duplicates("model").sort_values("value", ascending=False, kind="stable",
                                                                   ignore_index=True)
    return table.assign(rank=table.value.rank(ascending=False, method="min").astype(int))


def _transfer(run, target, samples, limit):
    """The rows of a run's network, trained and untrained."""
    torch.manual_seed(0)
    untrained = run.untrained().eval()
    sets = {split: images_for(run, target, split, samples) for split in data.SPLITS}
    labels = {split: own for split, (_, own) in sets.items()}
    rows = []
    for name, model in ((_told(run), run.model()), (f"{title(run).split(' on ')[0]}, untrained", untrained)):
        x = {split: last_features(model, images) for split, (images, _) in sets.items()}
        ranked = separation.rank_models({name: x["test"]}, labels["test"], limit=limit).drop(columns="features")
        accuracy = fit_probe(x["train"], labels["train"], x["test"], labels["test"]).accuracy
        rows.append(ranked.assign(accuracy=accuracy))
    return pd.concat(rows, ignore_index=True)


def images_for(run: Run, target: str, split: str, samples: int) -> tuple[ImageTensor, Integers]:
    """Images and labels of a data set as a run's network takes them: its image size, its channels, its
    normalisation."""
    side = run.config.image_size or data.load(run.config.data, "test", limit=1).images.shape[-1]
    chosen = data.load(target, split, limit=samples, image_size=side)
    channels, images = len(run.record["mean"]), chosen.images.float() / 255
    if channels == 1:
        images = images.mean(1, keepdim=True)
    elif images.shape[1] == 1:
        images = images.expand(-1, channels, -1, -1)
    return run.preprocess(images), chosen.labels


def guarantees(runs: Sequence[Run], samples: int, *, steps: int = 25) -> pd.DataFrame:
    """How many test images a nearest-neighbour prediction is sure of, against the error γ of their features.

    ``samples``: images of either split. Returns a row for each network and γ: network, "SI of the training images",
    gamma, share (of test images whose radius is above γ), right (of these, predicted rightly), guaranteed (as
    :func:`rrahelpers.separation.guarantee` says: none where SI is below 1). What the store lacks is computed and
    stored.
    """
    parameters = {"samples": samples, "steps": steps}
    return pd.concat([run.result("guarantees", parameters, partial(_guarantees, run, samples, steps)) for run in runs],
                     ignore_index=True)


def _guarantees(run, samples, steps):
    model, ((train, labels), (test, test_labels)) = run.model(), (run.inputs(split, samples) for split in data.SPLITS)
    known = separation.margins_of(last_features(model, test), last_features(model, train), labels)
    radius = known.gamma
    right = known.prediction == test_labels
    rows = []
    for gamma in np.linspace(0, radius.quantile(0.99).item(), steps):
        inside = radius > gamma
        rows.append({"network": title(run), "SI of the training images": known.index, "gamma": gamma,
               "share": inside.double().mean().item(), "right": right[inside].double().mean().item(),
               "guaranteed": separation.guarantee(known, gamma).double().mean().item()})
    return pd.DataFrame(rows)


def margins_of_layers(run: Run, samples: int, layers: Sequence[str] | None = None) -> pd.DataFrame:
    """What a network's layers guarantee *without* the training data at hand: SI, dw_max, db_min and γ of each.

    ``samples``: training images. Returns rows of layer, index, measure ("SI", "within": dw_max, "between": db_min,
    "gamma": up to which error a prediction is sure, 0 where SI < 1), value. Distances of different layers can't be
    compared with one another, but a layer's ``gamma`` with its ``between``.
    """
    (images, labels), model, rows = run.inputs("train", samples), run.model(), []
    for index, (layer, x) in enumerate(each_layer(model, images, analysed_layers(model, images, layers))):
        known = separation.margins(x, labels)
        values = {"SI": known.index, "within": known.within.item(), "between": known.between.item(),
                  "gamma": known.gamma.item() if known.index == 1 else 0.0}
        rows += [{"layer": layer, "index": index, "measure": name, "value": value} for name, value in values.items()]
    return pd.DataFrame(rows)


def _told(run):
    return (f"{title(run)}, {'augmented' if run.config.augmentation else 'not augmented'}, "
            f"learning rate {run.config.learning_rate:g}, seed {run.config.seed}")
