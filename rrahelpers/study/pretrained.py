"""Public pretrained networks on new data (slides' algorithm 2): ranked by SI, beside their accuracy after transfer.

Transfer is a logistic regression on the features before the classifier, and fine-tuning of all layers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers import data, separation
from rrahelpers.base.devices import default_device
from rrahelpers.features.passes import forward
from rrahelpers.probes import fit_probe
from rrahelpers.report import Preprocessing, build_network
from rrahelpers.study.stored import stored_for
from rrahelpers.training.tables import stored_table

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor, Integers

EPOCHS, BATCH, RATE = 5, 32, 0.002  # of fine-tuning: SGD with momentum .9, the rate falls to 0 as a cosine
COLUMNS = ["model", "value", "value_of_all", "chosen", "of", "accuracy", "fine_tuned", "rank"]
HOW = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # what these networks were trained with


@dataclass(frozen=True)
class Public:
    """A network that others trained: its name for :func:`rrahelpers.report.build_network`, its file of weights, the
    module that is its classifier, and the side in pixels that images are brought to."""

    name: str
    weights: str
    head: str
    side: int


NETWORKS = {
    **{f"ResNet{depth}, trained on CIFAR-10": Public(f"benchmarks.public_resnet:resnet{depth}",
                                                     f"resnet{depth}-cifar10.safetensors", "linear", 32)
       for depth in (20, 32, 56)},
    "SqueezeNet 1.1, trained on ImageNet": Public("torchvision/squeezenet1_1", "squeezenet1_1-imagenet.safetensors",
                                                  "classifier", 128),
}


class Pooled(nn.Module):
    """In place of a classifier: its features [N, D], maps averaged over their places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if x.ndim == 4 else x


def ranking(target: str, samples: int, folder: str | Path | None = None, *, networks: dict[str, Public] | None = None,
            limit: int = 16, epochs: int = EPOCHS) -> pd.DataFrame:
    """Public networks, trained and with random weights, in the order in which they suit a data set.

    Parameters
    ----------
    target: name of the data set; ``samples``: of its images in either split.
    folder: of the files of weights; None: only what is stored is read.
    networks: {title: :class:`Public`}, default :data:`NETWORKS`; ``limit``: features of the best subset; ``epochs`` of
        fine-tuning.

    Returns the columns of :func:`rrahelpers.separation.rank_models` but for the features' numbers, of test images;
    ``accuracy`` of a logistic regression on the same features, fitted on training images; ``fine_tuned``: the network's
    with that regression as its classifier, after fine-tuning on these. No row where nothing is stored.
    """
    tables = []
    for title, network in (NETWORKS if networks is None else networks).items():
        parameters = {"network": asdict(network), "title": title, "samples": samples, "limit": limit, "epochs": epochs}
        measure = None if folder is None else lambda: _measured(title, network, Path(folder), target, samples, limit,
                                                                epochs)
        table = stored_table(stored_for(target, "pretrained"), "transfer", parameters, measure)
        tables += [] if table is None else [table]
    if not tables:
        return pd.DataFrame(columns=COLUMNS)
    found = pd.concat(tables).sort_values("value", ascending=False, kind="stable", ignore_index=True)
    return found.assign(rank=found["value"].rank(ascending=False, method="min").astype(int))


def _measured(title, network, folder, target, samples, limit, epochs):
    """The two rows of a network."""
    sets = {split: data.load(target, split, limit=samples, image_size=network.side) for split in data.SPLITS}
    (x, y), (x_test, y_test) = ((HOW.normalise(part.images), part.labels) for part in sets.values())
    rows = []
    for name, weights in ((title, folder / network.weights), (f"{title.split(',')[0]}, untrained", "random")):
        torch.manual_seed(0)
        body = build_network(network.name, weights)[0]
        setattr(body, network.head, Pooled())
        features, test_features = (torch.cat([forward(body, batch) for batch in images.split(BATCH)])
                                   for images in (x, x_test))
        ranked = separation.rank_models({name: test_features}, y_test, limit=limit).drop(columns=["features", "rank"])
        probe = fit_probe(features, y, test_features, y_test)
        head = nn.Linear(features.shape[1], len(probe.classes))
        head.load_state_dict({"weight": probe.coefficients, "bias": probe.intercepts})
        tuned = fine_tune(nn.Sequential(body, head), x, torch.searchsorted(probe.classes.cpu(), y), epochs)
        told = torch.cat([forward(tuned, batch).argmax(1).cpu() for batch in x_test.split(BATCH)])
        fine_tuned = (probe.classes.cpu()[told] == y_test).double().mean().item()
        rows.append(ranked.assign(accuracy=probe.accuracy, fine_tuned=fine_tuned))
    return pd.concat(rows, ignore_index=True)


def fine_tune(model: nn.Module, images: ImageTensor, labels: Integers, epochs: int = EPOCHS) -> nn.Module:
    """Train all layers a little, on images as the model takes them; it is answered in evaluation mode."""
    device = default_device()
    model.to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), RATE, momentum=0.9)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for some in torch.randperm(len(images), generator=order).split(BATCH)[:len(images) // BATCH]:
            loss = F.cross_entropy(model(images[some].to(device)), labels[some].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()
