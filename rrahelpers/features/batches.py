"""Images as every measure takes them: one tensor or array, or whatever gives batches, with labels beside them or
without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from rrahelpers.base.arrays import as_tensor, as_values, check_labels, is_whole

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Images, ImageTensor, Integers, Labels, Maps, Numbers

IMAGES = ("pixel_values", "images", "image", "x")
LABELS = ("labels", "label", "y")
AT_A_TIME, NUMBERS = 100, 2**22  # images in a batch, and numbers in its images, at most
NONE = "expected at least one image, got none"
ONCE = ("expected images that can be gone through several times, got an iterator (a generator?) that is used up after "
        "one pass; give a list of batches or a DataLoader")


class Batches:
    """Images, and labels where they come along, that can be gone through a batch at a time and are not held whole.

    ``data``: one of

    - float [N, C, H, W], a tensor or array; or such a pair (images, labels), or a dict;
    - an iterable of batches, such as a ``DataLoader`` or a list: each images, a tuple or list that begins with images
      and labels, or a dict that has images under one of ``IMAGES`` and labels under one of ``LABELS``;
    - a ``Dataset`` of single images, which is batched.

    What can be gone through once alone (a generator) serves one pass; another raises ``ValueError``, and so does a pass
    that begins with other images than the one before (a loader that shuffles or augments). Raises ``TypeError`` for
    what is none of these, and for images that are no float tensor or array.
    """

    def __init__(self, data: Images) -> None:
        if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
            data = DataLoader(data, AT_A_TIME)
        self._whole: tuple[ImageTensor, Labels | None] | None = _batch(data) if _is_whole(data) else None
        self._data: Iterable[object] = ()
        if self._whole is None:
            if not isinstance(data, Iterable) or isinstance(data, (str, bytes)):
                raise TypeError("expected images, float [N, C, H, W], as a tensor, a numpy array, or batches of such "
                                f"(a DataLoader, a list), got {type(data).__name__}")
            self._data = data
        self._once, self._passed = isinstance(data, Iterator), False
        self._sample: ImageTensor | None = None
        self._survey: list[tuple[int, Labels | None]] | None = None

    def split(self, batch_size: int | None = None) -> Iterator[ImageTensor]:
        """Yield the images in batches: of ``batch_size`` where they are held whole (default: :func:`at_a_time`), else
        as they come."""
        if batch_size is not None and not is_whole(batch_size):
            raise ValueError(f"expected batch_size to be a positive whole number, got {batch_size!r}")
        if self._whole is None:
            yield from (images for images, _ in self._pass())
        elif len(self) == 0:
            raise ValueError(NONE)
        else:
            yield from self._whole[0].split(batch_size or at_a_time(self._whole[0]))

    @property
    def whole(self) -> ImageTensor | None:
        """All images as one tensor where they came so, else None."""
        return None if self._whole is None else self._whole[0]

    @property
    def sample(self) -> ImageTensor:
        """The first two images of the first batch. Raises ``ValueError`` where there is no image."""
        if self._whole is not None:
            self._sample = self._whole[0][:2]
        if self._sample is None:
            batches = iter(self._data)
            first = list(islice(batches, 1))
            self._sample = _batch(first[0])[0][:2].clone() if first else torch.empty(0)
            if self._once:
                self._data = chain(first, batches)
        if len(self._sample) == 0:
            raise ValueError(NONE)
        return self._sample

    def __len__(self) -> int:
        """How many images there are; where they come in batches these are counted first, in a pass of its own."""
        return len(self._whole[0]) if self._whole is not None else sum(n for n, _ in self._counted())

    @property
    def labels(self) -> Numbers | None:
        """The labels that came with the images, as one tensor, or None where they are none."""
        found = [self._whole[1]] if self._whole is not None else [labels for _, labels in self._counted()]
        if not found or any(labels is None for labels in found):
            return None
        return torch.cat([torch.atleast_1d(as_values(labels, "labels must be integers")) for labels in found])

    @property
    def counted(self) -> bool:
        """Whether the number of images is known without another pass."""
        return self._whole is not None or self._survey is not None

    def _counted(self):
        if self._survey is None:
            self._survey = [(len(images), labels) for images, labels in self._pass()]
        return self._survey

    def _pass(self):
        if self._once and self._passed:
            raise ValueError(ONCE)
        self._passed, number = True, -1
        for number, batch in enumerate(self._data):
            images, labels = _batch(batch)
            if number == 0:
                self._compare(images[:2])
            yield images, labels
        if number < 0:
            raise ValueError(NONE)

    def _compare(self, first):
        """Whether a pass begins as the one before."""
        sample = self._sample = first.clone() if self._sample is None else self._sample
        if first.shape != sample.shape or not torch.allclose(first, sample, rtol=0, atol=0, equal_nan=True):
            raise ValueError("expected the same images at each pass, got others first; give a DataLoader with "
                             "shuffle=False and without random augmentation")


def _is_whole(data):
    """Whether these are all images, and not their batches: [images, labels] has one axis in the second place."""
    if isinstance(data, (tuple, list)):
        axes = [getattr(part, "ndim", isinstance(part, (tuple, list))) for part in data]
        return len(data) == 2 and axes[0] > 1 and axes[1] == 1
    return isinstance(data, (Mapping, torch.Tensor, np.ndarray))


def at_a_time(images: Numbers) -> int:
    """So many images of this size [n, ...] make a batch: a hundred, but of large ones as many as have four million
    numbers. More are no faster on a CPU, and what a network answers to them takes more memory."""
    return min(AT_A_TIME, max(1, NUMBERS // max(1, images[:1].numel())))


def as_batches(data: Images) -> Batches:
    """``data`` as :class:`Batches`, which stay what they are."""
    return data if isinstance(data, Batches) else Batches(data)


def labels_of(images: Batches, labels: Labels | None = None) -> Integers:
    """The labels of :class:`Batches`: int64 [N], those given or, for None, those that come with them.

    Raises as :func:`rrahelpers.base.arrays.check_labels`, and ``ValueError`` where there are none, and where both are
    and differ.
    """
    given = None if labels is None else check_labels(labels, len(images))
    try:
        own = None if images.labels is None else check_labels(images.labels, len(images))
    except (TypeError, ValueError):
        if given is None:
            raise
        own = None  # what comes with the images is something else
    if own is None:
        if given is None:
            raise ValueError("expected labels, or batches of images and labels, got images alone")
        return given
    if given is not None and (different := (given.cpu() != own.cpu()).nonzero()).numel():
        place = int(different[0])
        raise ValueError(f"expected the labels that come with the images, got others: {int(given[place])} for "
                         f"{int(own[place])} at image {place}")
    return own


def sample_of(data: Images) -> ImageTensor:
    """The first two images of ``data``. Raises ``ValueError`` for an iterator: the next measure would miss its first
    batch."""
    if isinstance(data, Iterator):
        raise ValueError(ONCE)
    return as_batches(data).sample


def check_images(images: Maps) -> ImageTensor:
    """``images``, a tensor or a numpy array, as a tensor, or a ``TypeError`` that says what was expected."""
    try:
        images = as_tensor(images)
    except TypeError as error:
        raise TypeError(f"images, float [N, C, H, W]: {error}") from error
    if images.dtype == torch.uint8:
        raise TypeError("expected images as the model takes them, float [N, C, H, W], got bytes (uint8): normalise "
                        "them, for instance with rrahelpers.training.runs.normalise or a stored run's preprocess")
    if not images.is_floating_point():
        raise TypeError(f"expected images as the model takes them, float [N, C, H, W], got {images.dtype}")
    return images


def _batch(batch):
    """(images, labels or None) of a batch."""
    if isinstance(batch, Mapping):
        images = [key for key in IMAGES if key in batch]
        if not images:
            raise TypeError(f"expected a batch with images under one of {', '.join(IMAGES)}, got a dict with "
                            f"{', '.join(map(str, batch))}")
        return check_images(batch[images[0]]), next((batch[key] for key in LABELS if key in batch), None)
    if isinstance(batch, (tuple, list)):
        if not batch:
            raise TypeError(f"expected a batch that begins with images, got an empty {type(batch).__name__}")
        return check_images(batch[0]), batch[1] if len(batch) > 1 else None
    return check_images(batch), None
