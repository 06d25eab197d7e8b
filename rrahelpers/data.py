"""Image data sets as tensors: found in ``$RRA_DATA``, then in ``data/``, then downloaded by torchvision.

A folder ``<root>/<name>/`` with Parquet files in the Hugging Face hub's column layout (encoded images and integer
labels, files named ``train-*``, ``test-*`` or ``valid-*``) is a data set, whatever its name. Images are decoded once
and kept as one tensor file in ``data/cache/``.
"""

import csv
import hashlib
import io
import json
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from rrahelpers.files import atomic, data_root, digest

SPLITS = {"train": ("train",), "test": ("test", "valid", "validation")}
TORCHVISION = {"cifar10": "CIFAR10", "cifar100": "CIFAR100", "mnist": "MNIST", "fashion-mnist": "FashionMNIST",
               "kmnist": "KMNIST", "svhn": "SVHN", "stl10": "STL10"}
CLASSES = {"cifar10": "airplane automobile bird cat deer dog frog horse ship truck".split()}


class DataError(Exception):
    """A data set that is missing, damaged or not of the expected form; the message says what to do."""


@dataclass(frozen=True)
class ImageSet:
    """A data set's split. ``images`` uint8 [N, C, H, W], ``labels`` int64 [N], ``classes`` the names.

    ``checksum`` is the SHA-256 (16 digits) of the pixels and labels of the whole split at its native size.
    ``source`` says where the data came from.
    """

    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple
    checksum: str
    source: str

    def __len__(self):
        return len(self.labels)

    def statistics(self):
        """Mean and standard deviation of each channel over all pixels, in [0, 1]: two lists of C floats."""
        levels = torch.arange(256, dtype=torch.float64) / 255
        shares = torch.stack([torch.bincount(self.images[:, c].flatten().int(), minlength=256) for c in range(self.images.shape[1])])
        shares = shares.double() / shares.sum(1, keepdim=True)
        mean = shares @ levels
        return mean.tolist(), (shares @ levels**2 - mean**2).clamp_min(1e-12).sqrt().tolist()


def load(name, split, *, limit=None, image_size=None):
    """Load one split of a data set.

    Parameters
    ----------
    name: "digits" (bundled with scikit-learn), "cifar10", "mnist", "tiny-imagenet-50", another folder of Parquet
        files, or one of torchvision's: cifar100, fashion-mnist, kmnist, svhn, stl10.
    split: "train" or "test" (a validation split serves as the test split where that is all there is).
    limit: keep the first ``limit`` samples.
    image_size: resize to this many pixels squared (bilinear, antialiased).

    Returns an :class:`ImageSet`. Raises :class:`DataError` when the data are missing (with every place that was
    tried and the command that fetches them) or damaged, and ``ValueError`` for an impossible name, split or limit.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; expected 'train' or 'test'")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    images = _digits(split) if name == "digits" else _stored(name, split)
    if limit is not None:
        images = replace(images, images=images.images[:limit], labels=images.labels[:limit])
    if image_size is not None:
        images = replace(images, images=resize(images.images, image_size))
    return images


def checksum(name):
    """One checksum for both splits of a data set: what a run's configuration carries."""
    return digest([load(name, split).checksum for split in SPLITS])


def resize(images, size, batch=4096):
    """Resize uint8 images [N, C, H, W] to ``size`` x ``size`` (bilinear, antialiased when shrinking)."""
    if size < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {size}")
    if images.shape[-2:] == (size, size):
        return images
    parts = [F.interpolate(part.float(), size=(size, size), mode="bilinear", antialias=True) for part in images.split(batch)]
    return torch.cat([part.round_().clamp_(0, 255).byte() for part in parts])


def _digits(split):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rank = (bunch.target[:, None] == np.arange(10)).cumsum(0)[np.arange(len(bunch.target)), bunch.target]
    chosen = (rank % 5 == 0) == (split == "test")  # every fifth sample of a class is for testing
    pixels = torch.from_numpy(np.round(bunch.images[chosen] * 255 / 16).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target[chosen]).long()
    return ImageSet(pixels, labels, tuple("0123456789"), _fingerprint(pixels, labels), "scikit-learn's bundled digits")


def _stored(name, split):
    if not name or name == ".." or Path(name).name != name:  # it would find the files of every data set, or strange ones
        raise ValueError(f"expected a data set's name, such as 'digits' or that of a folder, got {name!r}")
    roots = [*([Path(os.environ["RRA_DATA"])] if os.environ.get("RRA_DATA") else []), data_root()]
    for root in roots:
        found = (sorted((root / name).rglob(f"{stem}-*.parquet")) for stem in SPLITS[split])
        if files := next(filter(None, found), None):  # test files, or else those for validation: never both
            key = [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]
            return _cached(name, split, key, lambda: _read_parquet(name, files))
    if name not in TORCHVISION:
        tried = "\n".join(f"  {root / name}/{'|'.join(SPLITS[split])}-*.parquet" for root in roots)
        raise DataError(
            f"no data set {name!r} ({split}). Tried:\n{tried}\n"
            f"Put Parquet files in the Hugging Face hub's layout there (RRA_DATA names the folder above {name}/), "
            f"or use one of: digits, {', '.join(TORCHVISION)}")
    return _cached(name, split, "torchvision", lambda: _download(name, split, roots))


def _cached(name, split, key, read):
    """The decoded split from ``data/cache``, decoded now if it isn't there or was decoded from other files."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    path = data_root() / "cache" / f"{name}-{split}-{digest(key)}.safetensors"
    if path.exists():
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["about"])
                return ImageSet(file.get_tensor("images"), file.get_tensor("labels"), **{**about, "classes": tuple(about["classes"])})
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


def _read_parquet(name, files):
    import pyarrow.parquet as pq

    images, targets = [], []
    for file in files:
        encoded, labels = _read_columns(file)
        images += _decode(encoded, file)
        targets += labels
    if not targets:
        raise DataError(f"{files[0]}: expected images, got a table without rows")
    pixels, targets = _stack(images, str(files[0])), torch.tensor(targets, dtype=torch.int64)
    schema = pq.read_schema(files[0])
    classes = _class_names(name, files[0], schema, _columns(schema, files[0])[1], targets)
    if targets.min() < 0 or targets.max() >= len(classes):
        raise DataError(f"{files[0]}: expected labels from 0 to {len(classes) - 1} for {len(classes)} classes, "
                        f"got {targets.min()} to {targets.max()}")
    return ImageSet(pixels, targets, classes, _fingerprint(pixels, targets), f"Parquet files in a folder {name}/")


def _read_columns(file):
    """The encoded images and the labels of one Parquet file, as lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {file}: the file is damaged or truncated ({error}); fetch it again") from error
    image, label = _columns(table.schema, file)
    labels = table[label].to_pylist()
    if None in labels:
        raise DataError(f"{file}: row {labels.index(None)} has no {label}; expected an integer in every row")
    return [row and row["bytes"] for row in table[image].to_pylist()], labels


def _columns(schema, file):
    """The names of the image column and of the label column: an integer, one called "label" before others."""
    import pyarrow as pa

    images = [f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    labels = sorted((f.name for f in schema if pa.types.is_integer(f.type)), key=lambda name: "label" not in name)
    if not images or not labels:
        raise DataError(f"{file}: expected a column of encoded images (struct with 'bytes') and an integer label, "
                        f"got {schema.names}")
    return images[0], labels[0]


def _decode(encoded, where):
    """Decode encoded images into PIL images, several at a time."""
    from PIL import Image

    def open_image(row):
        try:
            with Image.open(io.BytesIO(encoded[row])) as image:
                image.load()
                return image
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ...
            raise DataError(f"{where}: the image in row {row} is damaged ({error}); fetch the file again") from error

    with ThreadPoolExecutor() as pool:
        return list(tqdm(pool.map(open_image, range(len(encoded))), total=len(encoded), desc=f"decoding {where.parent.name}"))


def _stack(images, where):
    """PIL images of one size as uint8 [N, C, H, W]; RGB unless all are grey."""
    grey = all(image.mode == "L" for image in images)
    if len(sizes := {image.size for image in images}) > 1:
        raise DataError(f"{where}: expected images of one size, got {len(sizes)} sizes from {min(sizes)} to {max(sizes)}")
    pixels = np.stack([np.asarray(image if grey else image.convert("RGB")) for image in images])
    return torch.from_numpy(pixels[:, None] if grey else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def _class_names(name, file, schema, label, targets):
    """Class names from ``classes.csv`` beside the files, the hub's metadata, or our own list; else numbers."""
    listing = file.parent / "classes.csv"
    if listing.is_file():
        with open(listing, newline="") as rows:
            table = list(csv.DictReader(rows))
        if table and "label" in table[0]:
            table.sort(key=lambda row: int(row["label"]))
        return tuple(list(row.values())[-1] for row in table)
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = about.get("info", {}).get("features", {}).get(label, {}).get("names")
    return tuple(names or CLASSES.get(name) or map(str, range(int(targets.max()) + 1)))


def _download(name, split, roots):
    from rrahelpers._torchvision import torchvision

    dataset = getattr(torchvision.datasets, TORCHVISION[name])
    choice = {"split": split} if name in ("svhn", "stl10") else {"train": split == "train"}
    root = data_root() / "torchvision"
    try:
        samples = dataset(root, download=True, **choice)
    except Exception as error:  # torchvision raises URLError, RuntimeError, OSError ... all mean: not here
        tried = "\n".join([*(f"  {r / name}/*.parquet" for r in roots), f"  {root} and torchvision's download ({error})"])
        raise DataError(f"no data set {name!r} ({split}). Tried:\n{tried}\nWith a network, fetch it with: "
                        f"python -c \"from rrahelpers import data; data.load('{name}', '{split}')\"") from error
    pixels = _stack([samples[i][0] for i in tqdm(range(len(samples)), desc=f"reading {name}")], str(root))
    labels = torch.tensor([int(samples[i][1]) for i in range(len(samples))])
    classes = tuple(getattr(samples, "classes", None) or map(str, range(int(labels.max()) + 1)))
    return ImageSet(pixels, labels, classes, _fingerprint(pixels, labels), f"torchvision's {TORCHVISION[name]}")


def _fingerprint(pixels, labels):
    sha = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    sha.update(pixels.numpy().tobytes())
    sha.update(labels.numpy().tobytes())
    return sha.hexdigest()[:16]
