"""Reading images from Parquet files in the Hugging Face hub's column layout: encoded images and integer labels.

A row may name a file below the table's folder instead of holding its image's bytes. The cache doesn't look at such
files
again: it goes by the tables.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm.auto import tqdm

from rrahelpers.data.image_set import DataError, ImageSet, fingerprint, stack

if TYPE_CHECKING:
    from PIL import Image

READING = 2  # raised when the same files give other images than before: those in the cache are decoded anew
CLASSES = {"cifar10": "airplane automobile bird cat deer dog frog horse ship truck".split()}


def read(name: str, files: Sequence[Path]) -> ImageSet:
    """The :class:`ImageSet` in ``files``; raises :class:`DataError` with the file and row that are damaged."""
    import pyarrow.parquet as pq

    images, targets = [], []
    for file in files:
        encoded, labels = _read_columns(file)
        images += decode(encoded, file)
        targets += labels
    if not targets:
        raise DataError(f"{files[0]}: expected images, got a table without rows")
    pixels, targets = stack(images, str(files[0])), torch.tensor(targets, dtype=torch.int64)
    schema = pq.read_schema(files[0])
    classes = _class_names(name, files[0], schema, _columns(schema, files[0])[1], targets)
    if targets.min() < 0 or targets.max() >= len(classes):
        raise DataError(f"{files[0]}: expected labels from 0 to {len(classes) - 1} for {len(classes)} classes, "
                        f"got {targets.min()} to {targets.max()}")
    return ImageSet(pixels, targets, classes, fingerprint(pixels, targets), f"Parquet files in a folder {name}/")


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
    return [_encoded(row, number, image, file) for number, row in enumerate(table[image].to_pylist())], labels


def _encoded(row, number, column, file):
    """The bytes of an image: embedded in its row, or in a file below the Parquet file's folder that the row names."""
    row = row or {"bytes": None}
    if row["bytes"] is not None:
        return row["bytes"]
    if not row.get("path"):
        raise DataError(f"{file}: row {number} has no {column}; expected an encoded image in every row")
    folder = file.parent.resolve()
    path = (folder / row["path"]).resolve()
    # what others wrote names no file elsewhere on this machine
    if not path.is_relative_to(folder) or not path.is_file():
        raise DataError(f"{file}: row {number} holds no image but the path of a file that isn't embedded, "
                        f"{row['path']}; expected that file below {folder}, or its bytes in the row")
    return path.read_bytes()


def _columns(schema, file):
    """The names of the image column and of the label column: an integer, "label" before others, "fine_label" and the
    like next."""
    import pyarrow as pa

    images = [f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    labels = sorted((f.name for f in schema if pa.types.is_integer(f.type)),
                    key=lambda name: (name != "label", not name.endswith("label")))
    if not images or not labels:
        raise DataError(f"{file}: expected a column of encoded images (struct with 'bytes') and an integer label, "
                        f"got {schema.names}")
    return images[0], labels[0]


def decode(encoded: Sequence[bytes], where: Path) -> list[Image.Image]:
    """Decode encoded images into PIL images, several at a time, each turned upright as its EXIF orientation says."""
    from PIL import Image, ImageOps

    def open_image(row):
        try:
            with Image.open(io.BytesIO(encoded[row])) as image:
                image.load()
                return ImageOps.exif_transpose(image)
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ...
            raise DataError(f"{where}: the image in row {row} is damaged ({error}); fetch the file again") from error

    with ThreadPoolExecutor() as pool:
        return list(tqdm(pool.map(open_image, range(len(encoded))), total=len(encoded),
                         desc=f"decoding {where.parent.name}"))


def _class_names(name, file, schema, label, targets):
    """Class names from ``classes.csv`` beside the files, the hub's metadata, or our own list; else numbers."""
    listing = file.parent / "classes.csv"
    if listing.is_file():
        try:
            # spreadsheets put a mark first
            table = list(csv.DictReader(io.StringIO(listing.read_text(encoding="utf-8-sig"))))
        except UnicodeDecodeError as error:
            raise DataError(f"{listing}: expected text in UTF-8 ({error}); save it in that encoding") from error
        if table and "label" in table[0]:
            table.sort(key=lambda row: int(row["label"]))
        return tuple(list(row.values())[-1] for row in table)
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = about.get("info", {}).get("features", {}).get(label, {}).get("names")
    return tuple(names or CLASSES.get(name) or map(str, range(int(targets.max()) + 1)))
