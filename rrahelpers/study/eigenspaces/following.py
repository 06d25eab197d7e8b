"""Appendix B of the dissertation: saturation while networks train, each training stored once it has run to its end.

Adam, batches of 128, no augmentation, so that networks can overfit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from rrahelpers import data, models
from rrahelpers.base.devices import default_device
from rrahelpers.data import ImageSet
from rrahelpers.eigenspace import SaturationTracker
from rrahelpers.study import figures, results
from rrahelpers.training.runs import normalise, store_root, stored_table

BATCH, SEED = 128, 0


class Following:
    """Trainings on one data set whose saturation is followed.

    Parameters
    ----------
    data_set, image_size: as for :func:`rrahelpers.data.load`.
    limit: training images; None for all.
    learning_rate: of Adam, constant. delta: share of the variance.
    checksums: {data set: checksum} of the copy on which stored trainings count; otherwise the copy found here.
    """

    def __init__(self, data_set: str, image_size: int | None, *, limit: int | None, learning_rate: float,
                 delta: float, checksums: dict[str, str]) -> None:
        shown = results.pictures(data_set, image_size, split="train")
        self.data_set, self.image_size, self.limit = data_set, image_size, limit
        self.learning_rate, self.delta = learning_rate, delta
        self.size = shown.images.shape[-1]
        self.images = min(shown.total, limit or shown.total)
        self.checksum = checksums.get(data_set, shown.checksum)
        self.split = cache(self._split)

    def source(self, notes: dict[str, str], epochs: int) -> str:
        """What a caption says of a training; ``notes``: remarks on copies of data sets, by checksum."""
        note = f" ({notes[self.checksum]})" if self.checksum in notes else ""
        return (f"{figures.data_title(self.data_set)}{note}, {self.images} training images, 1 seed, Adam, "
                f"{epochs} epoch{'s' * (epochs > 1)}")

    def table(self, model: str, options: dict, epochs: int, variant: str | None = None) -> pd.DataFrame:
        """A row for each epoch, split and layer: saturation, and the split's mean loss and accuracy.

        ``model``, ``options``: of ``models.build``. ``variant``: one of :func:`variants`, of both splits.
        """
        parameters = {"model": model, "options": options, "epochs": epochs, "learning_rate": self.learning_rate,
                      "batch_size": BATCH, "seed": SEED, "images": self.images, "size": self.size,
                      "delta": self.delta, "variant": variant}

        def compute():
            torch.manual_seed(SEED)
            train, test = (variants(self.split(name))[variant] if variant else self.split(name)
                           for name in data.SPLITS)
            network = models.build(model, in_channels=train.images.shape[1], num_classes=len(train.classes), **options)
            return followed(network, train, test, epochs, learning_rate=self.learning_rate, delta=self.delta)

        return stored_table(store_root() / f"evolution-{self.data_set}-{self.checksum}", "saturation-evolution",
                            parameters, compute)

    def _split(self, name):
        return data.load(self.data_set, name, limit=self.limit if name == "train" else None,
                         image_size=self.image_size)


def followed(model: nn.Module, train: ImageSet, test: ImageSet, epochs: int, *, learning_rate: float,
             delta: float) -> pd.DataFrame:
    """Train a classifier; a row for each epoch, split and layer: saturation, and the split's mean loss and accuracy."""
    device, statistics = default_device(), train.statistics()
    model.to(device)
    optimiser, measured = torch.optim.Adam(model.parameters(), learning_rate), []
    with SaturationTracker(model, delta=delta) as tracker:
        for epoch in tqdm(range(1, epochs + 1), unit="epoch", leave=False):
            for split, part in (("train", train), ("validation", test)):
                model.train(split == "train")
                measured.append({"epoch": epoch, "split": split, **_epoch(model, part, optimiser, statistics, device)})
            tracker.end_epoch()
    return tracker.table.merge(pd.DataFrame(measured), on=["epoch", "split"])


def variants(image_set: ImageSet) -> dict[str, ImageSet]:
    """One data set, easier and harder: two classes, all, all with noise of the pixels' deviation added."""
    two = image_set.labels < 2
    noise = (torch.randn(image_set.images.shape, generator=torch.Generator().manual_seed(0))
             * image_set.images.float().std())
    classes = f"{len(image_set.classes)} classes"
    return {
        "2 classes": replace(image_set, images=image_set.images[two], labels=image_set.labels[two],
                             classes=image_set.classes[:2]),
        classes: image_set,
        f"{classes}, noise": replace(image_set, images=(image_set.images + noise).clamp(0, 255).byte()),
    }


def overfitting(perceptrons: pd.DataFrame) -> pd.DataFrame:
    """Saturation of the second layer where the validation loss is lowest and at the end, a row for each perceptron.

    ``perceptrons``: :meth:`Following.table` of several with the column ``units`` of the second layer.
    """
    rows = []
    for units, part in perceptrons[perceptrons["index"] == 1].groupby("units", sort=False):
        loss = part[part.split == "validation"].set_index("epoch").loss
        share = part[part.split == "train"].set_index("epoch").saturation
        best = loss.idxmin()
        rows.append({"units of layer 2": units, "epoch of the lowest validation loss": best,
                     "loss there": loss[best], "loss at the end": loss.iloc[-1],
                     "saturation in epoch 1": share.iloc[0], "at the lowest loss": share[best],
                     "at the end": share.iloc[-1], "directions at the end": int(round(share.iloc[-1] * units))})
    return pd.DataFrame(rows)


def _epoch(model, part, optimiser, statistics, device):
    """One pass through a split, a step for each batch where the model is in training: mean loss and accuracy."""
    loss_sum = correct = 0
    order = torch.randperm(len(part)) if model.training else torch.arange(len(part))
    with torch.set_grad_enabled(model.training):
        for chosen in order.split(BATCH):
            x, y = normalise(part.images[chosen], *statistics).to(device), part.labels[chosen].to(device)
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            if model.training:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            loss_sum += loss.item() * len(chosen)
            correct += (logits.argmax(1) == y).sum().item()
    return {"loss": loss_sum / len(part), "accuracy": correct / len(part)}
