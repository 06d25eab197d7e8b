"""The few pictures of a data set that notebooks show, stored with the results: they are drawn without the data too."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from rrahelpers import data
from rrahelpers.base.files import atomic, digest, write_json
from rrahelpers.data.image_set import ImageSet, fit
from rrahelpers.training.runs import Run, store_root
from rrahelpers.training.tables import RunError

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageSize, Integers, Pixels

EXPLORED = 300  # images of a split that are stored for the explorers


@dataclass(frozen=True, eq=False)
class Pictures:
    """The first images of a split, and what is said of all of it.

    ``images`` uint8 [n, C, H, W], ``labels`` int64 [n], ``classes`` their names; ``total``: images of the split;
    ``checksum``: of the whole data set, see :func:`rrahelpers.data.checksum`; ``source``: where the data came from.
    """

    images: Pixels
    labels: Integers
    classes: tuple[str, ...]
    total: int
    checksum: str
    source: str

    def __str__(self) -> str:
        channels, height, width = self.images.shape[1:]
        return (f"{self.total} images of {height}x{width} pixels, {channels} channel{'s' * (channels > 1)}, "
                f"{len(self.classes)} classes, from {self.source}")


def pictures(name: str, image_size: ImageSize | None = None, *, split: str = "test", count: int = 10) -> Pictures:
    """The first ``count`` images of a split of a data set, as :func:`rrahelpers.data.load` gives them.

    From the data where they are here, and then kept in the run store (``pictures/``, a PNG and a JSON file); else from
    there; downloaded where neither has them. Raises ``DataError`` where that fails, ``RunError`` where the stored ones
    are damaged.
    """
    key = digest([name, split, image_size, count])
    path = store_root() / "pictures" / f"{name}-{split}-{key}.png"
    try:
        whole = data.load(name, split, download=not path.exists())
    except data.DataError:
        if not path.exists():
            raise
        return read(path)
    images = whole.images[:count] if image_size is None else fit(whole.images[:count], image_size)
    found = Pictures(images, whole.labels[:count], whole.classes, len(whole), data.checksum(name), whole.source)
    if name != "digits" and not (path.exists() and read(path).checksum == found.checksum):
        write(path, found)
    return found


def pictures_of(run: Run, split: str = "test", count: int = EXPLORED) -> ImageSet | Pictures:
    """The first ``count`` images of what a run was trained on; where those data aren't here, the first ``EXPLORED`` of
    another copy of them: the one that is here, or that of which the run store has pictures. ``checksum`` tells which,
    and a warning says so.
    """
    try:
        return run.images(split, count, download=False)
    except data.DataError:
        found = pictures(run.config.data, run.config.image_size, split=split, count=EXPLORED)
        if found.checksum != run.config.data_checksum:
            warnings.warn(f"{run.name} was trained on another copy of {run.config.data} than these pictures are of "
                          f"({found.source}): what is computed here is near its stored results, not equal to them",
                          stacklevel=2)
        return found


def write(path: Path, found: Pictures) -> None:
    """Store :class:`Pictures` as a PNG, the images one below the other, and what else there is to know as JSON beside
    it."""
    from PIL import Image

    strip = found.images.permute(0, 2, 3, 1).flatten(0, 1).numpy()
    with atomic(path) as temporary:
        Image.fromarray(strip[..., 0] if strip.shape[2] == 1 else strip).save(temporary, format="PNG", optimize=True)
    write_json(path.with_suffix(".json"), {
        "labels": found.labels.tolist(), "classes": list(found.classes), "total": found.total,
        "checksum": found.checksum, "source": found.source})


def read(path: Path) -> Pictures:
    """What :func:`write` stored. Raises ``RunError`` where it is damaged."""
    from PIL import Image

    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        labels = torch.tensor(about.pop("labels"))
        with Image.open(path) as picture:
            strip = np.atleast_3d(np.array(picture))
        images = torch.from_numpy(strip.reshape(len(labels), -1, *strip.shape[1:])).permute(0, 3, 1, 2)
        return Pictures(images, labels, tuple(about.pop("classes")), **about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} or its JSON file is damaged ({error!r}); restore both with git checkout, or delete "
                       "them where the data are here") from error
