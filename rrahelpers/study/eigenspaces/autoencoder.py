"""The autoencoder of the dissertation's table 3: trained once, kept beside the runs, and projected.

Its layers are those of table 1, its training that of table 2: Adam, batches of 128, mean squared error of the pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from rrahelpers import models
from rrahelpers.base.files import digest, write_json
from rrahelpers.base.provenance import environment
from rrahelpers.data import ImageSet
from rrahelpers.eigenspace import Covariance, project
from rrahelpers.study import published
from rrahelpers.training.runs import save_weights, store_root, weight_paths

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

    from rrahelpers.base.shapes import ImageTensor, Pixels

BATCH, SEED = 128, 0
COMPARED = {"dimensions": ("dimensions of the code", "{:d}"), "share": ("share", "{:.1%}"), "loss": ("loss", "{:.4f}"),
            "ratio": ("loss / unprojected", "{:.2f}")}


def floats(images: Pixels) -> Iterator[ImageTensor]:
    """Batches of images as numbers in [0, 1]."""
    return (part.float() / 255 for part in images.split(250))


def trained(name: str, images: ImageSet, *, size: int | None, limit: int | None, epochs: int,
            learning_rate: float) -> nn.Sequential:
    """The autoencoder of some images, in evaluation mode: from the run store, or trained now and kept there.

    The code between encoder and decoder is a layer of its own, "code". ``name`` of the data set, ``size`` and
    ``limit``: as the images were loaded; with the rest they name the folder.
    """
    settings = {"images": images.checksum, "size": size, "limit": limit, "epochs": epochs,
                "learning_rate": learning_rate, "batch_size": BATCH, "seed": SEED}
    folder = store_root() / f"autoencoder-{name}-{digest(settings)}"
    torch.manual_seed(SEED)
    autoencoder = _build(images.images)
    if not weight_paths(folder)[0].exists():
        _train(autoencoder, images.images, epochs, learning_rate, folder.name)
        save_weights(folder, autoencoder.state_dict())
        write_json(folder / "recipe.json", settings | {"optimiser": "Adam", "loss": "mean squared error",
                                                       "environment": environment()})
    from safetensors.torch import load_file

    autoencoder.load_state_dict(load_file(weight_paths(folder)[0]))
    return autoencoder.eval()


def in_eigenspaces(autoencoder: nn.Sequential, covariances: dict[str, Covariance], originals: ImageTensor,
                   *, shown: int = 8) -> tuple[pd.DataFrame, dict[str, ImageTensor]]:
    """Table 3: what is left of the code, and lost of the pictures, at each printed δ.

    Returns a row for each δ with ``dimensions`` of the code, ``loss``, ``share`` and ``ratio`` (of both, to those of
    the unprojected network), each printed ("published ...") and measured; and the first ``shown`` originals and what
    is made of them, {title: images}.
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
