"""Image data sets as tensors: found in ``$RRA_DATA``, then in ``data/``, then downloaded by torchvision.

A folder ``<root>/<name>/`` with Parquet files in the Hugging Face hub's column layout (encoded images and integer
labels, files named ``train-*``, ``test-*`` or ``valid-*``) is a data set, whatever its name, and so is a folder of
images. Images are decoded once and kept as one tensor file in ``data/cache/``.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from rrahelpers.base.files import atomic, data_root, digest
from rrahelpers.data import downloads, parquet, photographs
from rrahelpers.data.image_set import DataError, ImageSet, fingerprint, fit, held_out

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize

SPLITS = {"train": ("train",), "test": ("test", "valid", "validation")}


def load(name: str, split: str, *, limit: int | None = None, image_size: ImageSize | None = None,
         download: bool = True) -> ImageSet:
    """Load one split of a data set.

    Parameters
    ----------
    name: "digits" (bundled with scikit-learn), "cifar10", "mnist", "tiny-imagenet-50", another folder of Parquet
        files or of images (:mod:`rrahelpers.data.photographs`), or one of torchvision's
        (:data:`rrahelpers.data.downloads.DOWNLOADS`). Photographs of any size are named with the side that they are
        brought to: "food101-128", or "mine-64" for those in a folder ``mine/``.
    split: "train" or "test" (a validation split serves as the test split where that is all there is).
    limit: keep the first ``limit`` samples.
    image_size: resize to this many pixels squared (bilinear, antialiased). Or a list of steps, gone through in order:
        [16, 64] is 64 pixels with the detail of 16, [32, {"canvas": 160}] is 32 pixels somewhere on a black canvas of
        160 (:func:`rrahelpers.data.image_set.on_canvas`). Every image is held at its last size.
    download: whether torchvision may fetch what isn't here.

    Returns an :class:`ImageSet`. Raises :class:`DataError` when the data are missing (with every place that was
    tried and the command that fetches them) or damaged, and ``ValueError`` for an impossible name, split or limit.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; expected 'train' or 'test'")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    images = _digits(split) if name == "digits" else _stored(name, split, download)
    if limit is not None:
        images = replace(images, images=images.images[:limit], labels=images.labels[:limit])
    if image_size is not None:
        images = replace(images, images=fit(images.images, image_size))
    return images


def checksum(name: str, *, download: bool = True) -> str:
    """One checksum for both splits of a data set: what a run's configuration carries. ``download`` as for
    :func:`load`."""
    return digest([load(name, split, download=download).checksum for split in SPLITS])


def _digits(split):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = torch.from_numpy(bunch.target).long()
    chosen = held_out(labels) == (split == "test")
    pixels = torch.from_numpy(np.round(bunch.images * 255 / 16).astype(np.uint8))[chosen, None]
    labels = labels[chosen]
    return ImageSet(pixels, labels, tuple("0123456789"), fingerprint(pixels, labels), "scikit-learn's bundled digits")


def _stored(name, split, download):
    # it would find the files of every data set, or strange ones
    if not name or name == ".." or Path(name).name != name:
        raise ValueError(f"expected a data set's name, such as 'digits' or that of a folder, got {name!r}")
    roots = [*([Path(os.environ["RRA_DATA"])] if os.environ.get("RRA_DATA") else []), data_root()]
    for root in roots:
        found = (sorted((root / name).rglob(f"{stem}-*.parquet")) for stem in SPLITS[split])
        if files := next(filter(None, found), None):  # test files, or else those for validation: never both
            listing = files[0].parent / "classes.csv"  # of the classes' names
            key = [[f.name, f.stat().st_size, f.stat().st_mtime_ns]
                   for f in [*files, *([listing] if listing.exists() else [])]]
            return _cached(name, split, [parquet.READING, key], lambda: parquet.read(name, files))
    if found := photographs.find(roots, name):
        folder, side = found
        return _cached(name, split, [folder.name, side, photographs.state(folder)],
                       lambda: photographs.read(folder, split, side))
    tried = "\n".join(f"  {root / name}/{'|'.join(SPLITS[split])}-*.parquet" for root in roots)
    if not downloads.is_one(name):
        raise DataError(
            f"no data set {name!r} ({split}). Tried:\n{tried}\n"
            f"Put Parquet files in the Hugging Face hub's layout there (RRA_DATA names the folder above {name}/), or "
            f"images with a subfolder for each class, or use one of: digits, {', '.join(downloads.names())} (or "
            "another number of pixels)")
    return _cached(name, split, "torchvision", lambda: _downloaded(name, split, tried, download))


def _downloaded(name, split, tried, download):
    root = data_root() / "torchvision"
    try:
        samples = downloads.samples(name, split, root, download)
    except Exception as error:  # torchvision raises URLError, RuntimeError, OSError ... all mean: not here
        raise DataError(f"no data set {name!r} ({split}). Tried:\n{tried}\n  {root} and torchvision's download "
                        f"({error})\nWith a network, fetch it with: "
                        f"python -c \"from rrahelpers import data; data.load('{name}', '{split}')\"") from error
    return downloads.read(name, samples, root)


def _cached(name, split, key, read):
    """The decoded split from ``data/cache``, decoded now if it isn't there or was decoded from other files."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    path = data_root() / "cache" / f"{name}-{split}-{digest(key)}.safetensors"
    if path.exists():
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["about"])
                return ImageSet(file.get_tensor("images"), file.get_tensor("labels"),
                                **{**about, "classes": tuple(about["classes"])})
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            warnings.warn(f"{path} is damaged ({error}); decoding the data again", stacklevel=2)
    images = read()
    about = {"classes": images.classes, "checksum": images.checksum, "source": images.source}
    try:
        with atomic(path) as temporary:
            save_file({"images": images.images, "labels": images.labels}, temporary, {"about": json.dumps(about)})
    except (SafetensorError, OSError) as error:  # a full disk, a read-only checkout: the data are good all the same
        warnings.warn(f"cannot write {path} ({error}); the data will be decoded again next time", stacklevel=2)
    return images
