"""The images of a report, from whatever holds them: a tensor, batches, a data set's name, a folder of image files."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers import data as data_sets
from rrahelpers.base.arrays import check_labels, place_in_class
from rrahelpers.data.folders import evenly, load_folder
from rrahelpers.features import Batches, as_batches, labels_of
from rrahelpers.features.batches import at_a_time
from rrahelpers.report.preprocessing import Preprocessing, channels_of, of_model

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Integers, Labels

BYTES = 32  # a number that normalised images don't come up to
SIDE = 48  # pixels of a small picture, at most


@dataclass(frozen=True, eq=False)
class Source:
    """``images`` as the network takes them, ``labels`` int64 [N] or None, ``classes``: their names, ``name``: in words.

    ``how``: the normalisation that was applied here, so that pictures can be shown.
    """

    images: Batches
    labels: torch.Tensor | None
    classes: tuple[str, ...]
    name: str
    how: Preprocessing

    @property
    def outputs(self) -> int | None:
        """How many outputs a network of these classes has, where classes have names; None where labels are numbers,
        which may be those of a network with more."""
        return None if self.classes == tuple(map(str, range(len(self.classes)))) else len(self.classes)

    def some(self, count: int) -> Source:
        """The same with at most ``count`` images, spread over these as :func:`rrahelpers.data.folders.evenly` has
        it."""
        if count >= len(self.images):
            return self
        places = evenly(len(self.images), count)
        labels = None if self.labels is None else self.labels[places]
        return replace(self, images=Batches(Rows(self.images, places, Preprocessing())), labels=labels)

    def survey(self) -> tuple[str, torch.Tensor | None]:
        """A digest of images and labels (16 digits), and small pictures of all: uint8 [N, C, h, w]; one pass without
        the network.

        Images that are no maps of one or three channels have no pictures: None.
        """
        sha, pictures = hashlib.sha256(), []
        for x in self.images.split():
            sha.update(x.cpu().contiguous().view(torch.uint8).numpy().tobytes())
            if x.ndim == 4 and x.shape[1] in (1, 3):
                pictures.append(_picture(x.cpu().float(), self.how))
        sha.update(b"" if self.labels is None else self.labels.numpy().tobytes())
        return sha.hexdigest()[:16], torch.cat(pictures) if pictures else None


class Pixels:
    """Bytes [N, C, H, W] as batches of normalised images, with labels or without, again and again."""

    def __init__(self, images: torch.Tensor, labels: Integers | None, how: Preprocessing) -> None:
        self.images, self.labels, self.how = images, labels, how

    def __iter__(self) -> Iterator[torch.Tensor | tuple[torch.Tensor, Integers]]:
        count = at_a_time(self.images)
        for start in range(0, len(self.images), count):
            rows = slice(start, start + count)
            x = self.how.normalise(self.images[rows])
            yield x if self.labels is None else (x, self.labels[rows])


class Rows:
    """Some images of batches (``places``, ascending), normalised."""

    def __init__(self, batches: Batches, places: Integers, how: Preprocessing) -> None:
        self.batches, self.places, self.how = batches, places, how

    def __iter__(self) -> Iterator[torch.Tensor]:
        start = 0
        for x in self.batches.split():
            inside = self.places[(self.places >= start) & (self.places < start + len(x))]
            if len(inside):
                yield self.how.normalise(x[inside - start])
            start += len(x)


def gather(model: nn.Module, data: Any, labels: Labels | None = None, *, samples: int | None = None,
           image_size: int | None = None, mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
           preprocessing: Preprocessing | None = None, progress: bool = True) -> Source:
    """A :class:`Source` of at most ``samples`` images, evenly spread; everything as for
    :func:`rrahelpers.report.analyse`."""
    if isinstance(data, (str, Path, data_sets.ImageSet)) or _is_bytes(data):
        how = (preprocessing or of_model(model)).told(image_size, mean, std)
        return _of_bytes(data, labels, samples, how, channels_of(model), progress)
    if image_size is not None:
        raise ValueError("image_size goes with a folder or a data set's name; images that are given as numbers stay as "
                         f"they are, got image_size={image_size} and {type(data).__name__}")
    if isinstance(data, Iterator):  # which serves one pass alone
        data = _kept(data, samples)
    batches, how = as_batches(data), Preprocessing().told(None, mean, std)
    _check_channels(batches.sample, channels_of(model))
    if how.mean is None and batches.sample.ndim == 4 and batches.sample.amin() >= 0 and batches.sample.amax() > BYTES:
        warnings.warn(f"these images have numbers up to {batches.sample.amax():.0f} and none below 0: they look like "
                      "bytes, and the network is given them as they are. Give uint8 images to have them normalised, or "
                      "normalise them first", stacklevel=3)
    places = evenly(len(batches), samples)
    found = None if labels is None and batches.labels is None else labels_of(batches, labels).cpu()[places]
    if batches.whole is not None:
        images = as_batches(how.normalise(batches.whole if len(places) == len(batches) else batches.whole[places]))
    elif len(places) == len(batches) and how.mean is None:
        images = batches
    else:
        images = Batches(Rows(batches, places, how))
    return Source(images, found, _names(found), type(data).__name__, how)


def halves(labels: Integers) -> tuple[Integers, Integers]:
    """Two halves of the images, by place: of each class, the first, third, fifth … image, and the others."""
    odd = place_in_class(labels) % 2 == 1
    return (~odd).nonzero()[:, 0], odd.nonzero()[:, 0]


def _is_bytes(data):
    first = data[0] if isinstance(data, (tuple, list)) and len(data) == 2 else data
    return getattr(first, "ndim", 0) == 4 and getattr(first, "dtype", None) in (torch.uint8, np.dtype("uint8"))


def _of_bytes(data, labels, samples, how, channels, progress):
    name, own, classes = "", None, ()
    if isinstance(data, (str, Path)) and Path(data).is_dir():
        name = f"the folder {Path(data).resolve().name}"
        pixels, own, classes = load_folder(data, how.size, crop=how.crop, interpolation=how.interpolation,
                                           channels=1 if channels == 1 else 3, limit=samples, progress=progress)
        labels = labels if labels is None else torch.as_tensor(labels)[evenly(len(labels), samples)]
    else:
        if isinstance(data, (str, Path)):
            name, data = f"{data}, test images", _named(data, how.size)
        if isinstance(data, data_sets.ImageSet):
            pixels, own, classes, name = data.images, data.labels, data.classes, name or data.source
        else:
            pixels, own = (data if isinstance(data, (tuple, list)) else (data, None))
        pixels, places = torch.as_tensor(pixels), evenly(len(pixels), samples)
        _check_channels(pixels, channels)
        pixels, own = pixels[places], own if own is None else torch.as_tensor(own)[places]
        labels = labels if labels is None else torch.as_tensor(labels)[evenly(len(labels), samples)]
    if channels == 3 and pixels.shape[1] == 1:
        pixels = pixels.expand(-1, 3, -1, -1)
    found = own if labels is None else labels
    found = None if found is None else check_labels(found, len(pixels))
    how = how.check()
    images, classes = Batches(Pixels(pixels, found, how)), tuple(classes) or _names(found)
    return Source(images, found, classes, name or "images of bytes", how)


def _named(name, size):
    """The test images of a data set."""
    try:
        return data_sets.load(str(name), "test", image_size=size)
    except (ValueError, data_sets.DataError) as error:
        raise type(error)(f"there is no folder {str(name)!r} here, so it is taken for the name of a data set: "
                          f"{error}") from error


def _check_channels(images, channels):
    """Raises ``ValueError`` for images that have their channels last."""
    if images.ndim == 4 and images.shape[-1] in (1, 3, 4) and images.shape[1] not in (1, 3, 4, channels):
        raise ValueError(f"expected images [N, C, H, W], got {list(images.shape)}: their channels are the last axis; "
                         "give images.permute(0, 3, 1, 2), of an array images.transpose(0, 3, 1, 2)")


def _kept(batches, samples):
    """The batches of an iterator, up to as many images as are asked for."""
    found, held = [], 0
    for batch in batches:
        found.append(batch)
        held += len(as_batches([batch]))
        if samples is not None and held >= samples:
            break
    return found


def _names(labels):
    return () if labels is None or labels.min() < 0 else tuple(str(n) for n in range(int(labels.max()) + 1))


def _picture(x, how):
    if how.mean is not None:
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (how.mean, how.std))
        x = x * std + mean
    elif x.amin() < 0 or x.amax() > 1:  # of an unknown normalisation: each image from its least to its largest number
        low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
        x = (x - low) / (high - low).clamp(min=1e-12)
    small = F.adaptive_avg_pool2d(x, [min(SIDE, side) for side in x.shape[2:]])
    return (small.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)
