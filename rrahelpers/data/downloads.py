"""Data sets that torchvision downloads: those of one size as they are, photographs brought to a side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from rrahelpers.data.folders import middle
from rrahelpers.data.image_set import ImageSet, fingerprint, stack
from rrahelpers.data.photographs import name_and_side


class Download(NamedTuple):
    """A class of ``torchvision.datasets`` and what chooses each of its splits."""

    dataset: str
    train: dict
    test: dict
    sizes: bool = False  # whether its images are of several sizes


def _by_flag(dataset):
    return Download(dataset, {"train": True}, {"train": False})


def _by_split(dataset, train="train", test="test", sizes=False):
    return Download(dataset, {"split": train}, {"split": test}, sizes)


DOWNLOADS = {
    "cifar10": _by_flag("CIFAR10"), "cifar100": _by_flag("CIFAR100"), "mnist": _by_flag("MNIST"),
    "fashion-mnist": _by_flag("FashionMNIST"), "kmnist": _by_flag("KMNIST"), "svhn": _by_split("SVHN"),
    "stl10": _by_split("STL10"), "food101": _by_split("Food101", sizes=True),
    "imagenette": _by_split("Imagenette", test="val", sizes=True), "flowers102": _by_split("Flowers102", sizes=True),
    "oxford-pets": _by_split("OxfordIIITPet", "trainval", sizes=True), "dtd": _by_split("DTD", sizes=True),
}


def names() -> list[str]:
    """As they are told to a user: photographs with a side."""
    return [f"{name}-128" if download.sizes else name for name, download in DOWNLOADS.items()]


def is_one(name: str) -> bool:
    """Whether torchvision has a data set of this name; photographs need a side in theirs, "food101-128"."""
    base, side = name_and_side(name)
    return base in DOWNLOADS and DOWNLOADS[base].sizes == (side is not None)


def samples(name: str, split: str, root: Path, download: bool) -> Sequence:
    """torchvision's samples of one split of a data set for which :func:`is_one` holds, kept below ``root``; fetched
    where they aren't there, if ``download``. Raises what torchvision raises."""
    from rrahelpers.base.torchvision import torchvision

    chosen = DOWNLOADS[name_and_side(name)[0]]
    return getattr(torchvision.datasets, chosen.dataset)(root, download=download, **getattr(chosen, split))


def read(name: str, samples: Sequence, root: Path) -> ImageSet:
    """What :func:`samples` gave, decoded, and brought to the side in the name."""
    from PIL import Image

    base, side = name_and_side(name)
    images, labels = [], []
    for index in tqdm(range(len(samples)), desc=f"reading {name}"):
        image, label = samples[index]
        images.append(image if side is None else middle(image.convert("RGB"), side, 1.0, Image.Resampling.BILINEAR))
        labels.append(int(label))
    pixels, targets = stack(images, str(root)), torch.tensor(labels)
    named = getattr(samples, "classes", None) or range(int(targets.max()) + 1)
    classes = tuple(each if isinstance(each, str) else ", ".join(each) if isinstance(each, tuple) else str(each)
                    for each in named)
    return ImageSet(pixels, targets, classes, fingerprint(pixels, targets), f"torchvision's {DOWNLOADS[base].dataset}")
