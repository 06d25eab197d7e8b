"""Data sets of image files of any size, brought to one: folders with a subfolder for each class, as a data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rrahelpers.data.folders import image_files, load_folder
from rrahelpers.data.image_set import DataError, ImageSet, fingerprint, held_out

PARTS = {"train": ("train",), "test": ("test", "valid", "validation", "val")}  # subfolders of a folder with splits


def name_and_side(name: str) -> tuple[str, int | None]:
    """"food101-128" as ("food101", 128): a data set's name and the side in pixels to which its images are brought."""
    match = re.fullmatch(r"(.+)-([1-9]\d*)", name)
    return (match[1], int(match[2])) if match else (name, None)


def find(roots: Sequence[Path], name: str) -> tuple[Path, int | None] | None:
    """The folder of images that a data set's name means, and the side to bring them to: that of just this name first.

    None where there is none.
    """
    base, side = name_and_side(name)
    for root in roots:
        for folder, wanted in ((root / name, None), (root / base, side)):
            if folder.is_dir() and _holds_images(folder):
                return folder, wanted
    return None


def state(folder: Path) -> list[list]:
    """What changes when a file of a folder does: names, sizes and times."""
    found = ((file.relative_to(folder).as_posix(), file.stat()) for file in sorted(folder.rglob("*")) if file.is_file())
    return [[name, about.st_size, about.st_mtime_ns] for name, about in found]


def read(folder: Path, split: str, side: int | None) -> ImageSet:
    """One split of a folder of images.

    The folder has subfolders "train" and "test" (or "valid", "validation", "val"), each with a subfolder for each
    class; or a subfolder for each class alone: then every fifth image of a class, by name, is for testing. ``side``:
    the shorter side of every image is resized to it and the middle is cut out; None: all images have one size.

    Raises :class:`DataError` where there are no classes, where the splits' classes differ, and as
    :func:`rrahelpers.data.folders.load_folder`.
    """
    parts = {name: next((folder / part for part in names if (folder / part).is_dir()), None)
             for name, names in PARTS.items()}
    if any(parts.values()):
        images, labels, classes = _part(parts, split, side, folder)
    else:
        images, labels, classes = _held_out(folder, split, side)
    return ImageSet(images, labels, classes, fingerprint(images, labels), f"images in a folder {folder.name}/")


def _part(parts, split, side, folder):
    if missing := [name for name, part in parts.items() if part is None]:
        raise DataError(f"{folder} has no {missing[0]} split; expected a subfolder {' or '.join(PARTS[missing[0]])}")
    classes = {name: image_files(part)[2] for name, part in parts.items()}
    if not classes["train"] or classes["train"] != classes["test"]:
        raise DataError(f"{folder}: expected one subfolder for each class in both splits; got {len(classes['train'])} "
                        f"in {parts['train'].name}/ and {len(classes['test'])} in {parts['test'].name}/")
    return _loaded(parts[split], side)


def _held_out(folder, split, side):
    images, labels, classes = _loaded(folder, side)
    chosen = held_out(labels) == (split == "test")
    return images[chosen], labels[chosen], classes


def _loaded(folder, side):
    try:
        images, labels, classes = load_folder(folder, side)
    except ValueError as error:  # images of several sizes
        raise DataError(f"{error}; it is a part of the data set's name: {folder.name}-64 for 64 pixels") from error
    if labels is None:
        raise DataError(f"{folder}: expected a subfolder for each class, got images alone")
    return images, labels, classes


def _holds_images(folder):
    try:
        image_files(folder)
    except DataError:
        return False
    return True
