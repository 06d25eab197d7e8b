"""The autoencoder of the dissertation's table 3: trained once, kept beside the runs, and projected.

Its layers are those of table 1, its training that of table 2: Adam, batches of 128, mean squared error of the pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers import data, models
from rrahelpers.base.files import digest, write_json
from rrahelpers.base.provenance import environment
from rrahelpers.data import ImageSet
from rrahelpers.eigenspace import Covariance, covariances, project, weighted_layers
from rrahelpers.study import published
from rrahelpers.study.results.pictures import Pictures, read, write
from rrahelpers.training.runs import save_weights, store_root, weight_paths
from rrahelpers.training.tables import stored_table

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

    from rrahelpers.base.shapes import ImageTensor, Pixels

BATCH, SEED = 128, 0
COMPARED = {"dimensions": ("dimensions of the code", "{:d}"), "share": ("share", "{:.1%}"), "loss": ("loss", "{:.4f}"),
            "ratio": ("loss / unprojected", "{:.2f}")}


def floats(images: Pixels) -> Iterator[ImageTensor]:
    """Batches of images as numbers in [0, 1]."""
    return (part.float() / 255 for part in images.split(250))


@dataclass(frozen=True)
class Recipe:
    """What an autoencoder is trained on, and how: the name of a data set, the side of its images in pixels and their
    number (None: the data's own, all), epochs, and Adam's learning rate."""

    data: str
    size: int | None
    limit: int | None
    epochs: int
    learning_rate: float

    @property
    def folder(self) -> Path:
        """Where the run store keeps it and what was measured of it."""
        return store_root() / f"autoencoder-{self.data}-{digest(asdict(self) | {'batch_size': BATCH, 'seed': SEED})}"

    def images(self, split: str) -> ImageSet:
        return data.load(self.data, split, limit=self.limit, image_size=self.size)


def trained(recipe: Recipe) -> nn.Sequential:
    """The autoencoder of a recipe, in evaluation mode: from the run store, or trained now and kept there.

    The code between encoder and decoder is a layer of its own, "code".
    """
    torch.manual_seed(SEED)
    images, folder = recipe.images("train"), recipe.folder
    autoencoder = _build(images.images)
    if not weight_paths(folder)[0].exists():
        _train(autoencoder, images.images, recipe.epochs, recipe.learning_rate, folder.name)
        save_weights(folder, autoencoder.state_dict())
        write_json(folder / "recipe.json", asdict(recipe) | {
            "batch_size": BATCH, "seed": SEED, "optimiser": "Adam", "loss": "mean squared error",
            "checksum": images.checksum, "environment": environment()})
    from safetensors.torch import load_file

    autoencoder.load_state_dict(load_file(weight_paths(folder)[0]))
    return autoencoder.eval()


def table_3(recipe: Recipe, *, shown: int = 8) -> tuple[pd.DataFrame, dict[str, ImageTensor]]:
    """Table 3 of a recipe's autoencoder and the pictures of :func:`in_eigenspaces`, to an 8-bit digit: from the run
    store, or computed now and kept there."""
    path = recipe.folder / f"pictures-{shown}.png"
    if not path.exists():
        table, rows = in_eigenspaces(*with_covariances(recipe), shown=shown)
        about = recipe.images("test")
        images = torch.cat([(255 * images.clamp(0, 1)).round().byte() for images in rows.values()])
        stored_table(recipe.folder, "table-3", {}, lambda: table)
        write(path, Pictures(images, torch.arange(len(rows)).repeat_interleave(shown), tuple(rows), len(about),
                             about.checksum, about.source))
    kept = read(path)
    rows = {title: kept.images[kept.labels == row] / 255 for row, title in enumerate(kept.classes)}
    return stored_table(recipe.folder, "table-3", {}, None), rows


def with_covariances(recipe: Recipe) -> tuple[nn.Sequential, dict[str, Covariance], ImageTensor]:
    """A recipe's autoencoder, the covariances of its layers over the training images, and the test images in [0, 1]."""
    autoencoder = trained(recipe)
    codes = covariances(autoencoder, floats(recipe.images("train").images), [*weighted_layers(autoencoder), "code"])
    return autoencoder, codes, torch.cat(list(floats(recipe.images("test").images)))


def in_eigenspaces(autoencoder: nn.Sequential, covariances: dict[str, Covariance], originals: ImageTensor,
                   *, shown: int = 8) -> tuple[pd.DataFrame, dict[str, ImageTensor]]:
    """Table 3: what is left of the code, and lost of the pictures, at each printed δ.

    Returns a row for each δ with ``dimensions`` of the code, ``loss``, ``share`` and ``ratio`` (of both, to those of
    the unprojected network), each printed ("published ...") and measured, and ``unexplained``, the measured loss as a
    share of the pixels' variance; and the first ``shown`` originals and what is made of them, {title: images}.
    """
    rows, pictures = [], {"picture": originals[:shown]}
    with project(autoencoder, 1.0, covariances) as projections, torch.no_grad():
        for row in published.dissertation("autoencoder").itertuples():
            projections.delta = row.delta
            answers = torch.cat([autoencoder(x) for x in originals.split(250)])
            code = projections.table().set_index("layer").loc["code"]
            rows.append({"delta": row.delta, "published dimensions": row.dimensions, "published loss": row.loss,
                         "dimensions": code["features" if row.delta == 1 else "dimensions"],
                         "loss": nn.functional.mse_loss(answers, originals).item()})
            pictures[f"δ = {100 * row.delta:g} %"] = answers[:shown]
    table = pd.DataFrame(rows)
    for who in ("published ", ""):
        table[f"{who}share"] = table[f"{who}dimensions"] / table[f"{who}dimensions"].iloc[0]
        table[f"{who}ratio"] = table[f"{who}loss"] / table[f"{who}loss"].iloc[0]
    table["unexplained"] = table.loss / (originals - originals.mean(0)).square().mean().item()
    return table, pictures


def beside_published(table: pd.DataFrame) -> Styler:
    """The table of :func:`in_eigenspaces` for reading: printed values left, measured ones right."""
    side = table[["delta", *(f"published {column}" for column in COMPARED), *COMPARED]]
    side.columns = pd.MultiIndex.from_tuples(
        [("", "δ"), *((who, title) for who in ("published (table 3)", "measured") for title, _ in COMPARED.values())])
    formats = {("", "δ"): "{:.1%}"} | {column: form for column, (_, form) in
                                       zip(side.columns[1:], [*COMPARED.values()] * 2)}
    return side.style.hide(axis="index").format(formats)


def _build(images):
    network = models.autoencoder(in_channels=images.shape[1])
    shape = network.encoder(next(floats(images[:1]))).shape[1:]
    parts = OrderedDict(encoder=network.encoder, code=nn.Flatten(), unfold=nn.Unflatten(1, shape),
                        decoder=network.decoder)
    return nn.Sequential(parts).to(memory_format=torch.channels_last)  # twice as fast on a CPU


def _train(autoencoder, images, epochs, learning_rate, title):
    optimiser = torch.optim.Adam(autoencoder.parameters(), learning_rate)
    for _ in tqdm(range(epochs), desc=title, unit="epoch"):
        for chosen in torch.randperm(len(images)).split(BATCH):
            x = images[chosen].float() / 255
            loss = nn.functional.mse_loss(autoencoder(x), x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
