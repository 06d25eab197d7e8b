"""A folder of image files of any size: one subfolder for each class, or images alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from rrahelpers.data.image_set import DataError

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class FolderImages(NamedTuple):
    """``images`` uint8 [N, C, H, W]; ``labels`` int64 [N], or None where there are no classes; ``classes``: names."""

    images: torch.Tensor
    labels: torch.Tensor | None
    classes: tuple[str, ...]


def load_folder(folder: str | Path, image_size: int | None = None, *, crop: float = 1.0,
                interpolation: str = "bilinear", channels: int = 3, limit: int | None = None,
                progress: bool = True) -> FolderImages:
    """Read the images of a folder.

    Parameters
    ----------
    folder: with one subfolder for each class (sorted by name, images at any depth within), or with images alone.
    image_size: side in pixels. The shorter side of each image is resized to ``image_size / crop`` and the middle is cut
        out, as for the evaluation of networks on ImageNet. Default: as they are, if all have one size.
    crop: share of the shorter side that is kept, in (0, 1].
    interpolation: a filter of Pillow's: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".
    channels: 3 (colour; grey images are shown in all three) or 1 (grey).
    limit: at most so many images, spread over the sorted files as :func:`evenly` has it.

    Raises :class:`rrahelpers.data.DataError` for a folder without images or with images beside subfolders of images,
    and for a damaged file, which it names; ``ValueError`` for images of several sizes without ``image_size``.
    """
    files, labels, classes = image_files(Path(folder))
    chosen = evenly(len(files), limit)
    files = [files[place] for place in chosen]
    with ThreadPoolExecutor() as pool:
        pixels = list(tqdm(pool.map(lambda file: _read(file, image_size, crop, interpolation, channels), files),
                           total=len(files), desc=f"reading {Path(folder).name}", disable=not progress))
    sizes = sorted({image.shape[:2] for image in pixels})
    if len(sizes) > 1:
        raise ValueError(f"{folder}: images of {len(sizes)} sizes, from {sizes[0][0]}x{sizes[0][1]} to "
                         f"{sizes[-1][0]}x{sizes[-1][1]} pixels; expected image_size, the side to bring them to")
    images = torch.from_numpy(np.ascontiguousarray(np.stack(pixels).transpose(0, 3, 1, 2)))
    return FolderImages(images, None if labels is None else torch.tensor(labels)[chosen], classes)


def image_files(folder: Path) -> tuple[list[Path], list[int] | None, tuple[str, ...]]:
    """The image files of a folder, sorted, with their labels (None without subfolders) and the names of classes."""
    if not folder.is_dir():
        raise DataError(f"expected a folder of images, got {folder}, which is none")
    flat = sorted(file for file in folder.iterdir() if _is_image(file))
    found = {sub.name: sorted(filter(_is_image, sub.rglob("*"))) for sub in sorted(folder.iterdir()) if sub.is_dir()}
    found = {name: files for name, files in found.items() if files}
    if flat and found:
        raise DataError(f"{folder}: expected images in subfolders, one for each class, or in the folder itself; got "
                        f"{len(flat)} in it and some in {', '.join(list(found)[:3])}")
    if not flat and not found:
        raise DataError(f"{folder}: expected images ({', '.join(sorted(ENDINGS))}) in it or in subfolders, one for "
                        "each class; found none")
    if flat:
        return flat, None, ()
    return ([file for files in found.values() for file in files],
            [label for label, files in enumerate(found.values()) for _ in files], tuple(found))


def evenly(count: int, limit: int | None) -> torch.Tensor:
    """At most ``limit`` of the places 0 to ``count`` - 1: int64, ascending.

    One from each of ``limit`` stretches of about equal length, at a place in it that is drawn once and for all: so that
    classes are all there whether images are sorted by them or take turns.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"expected at least one image, got a limit of {limit}")
    if limit is None or limit >= count:
        return torch.arange(count)
    edges = torch.arange(limit + 1) * count // limit
    drawn = torch.from_numpy(np.random.default_rng(0).random(limit))
    return edges[:-1] + (drawn * edges.diff()).long()


def _is_image(file):
    return file.suffix.lower() in ENDINGS and not file.name.startswith(".") and file.is_file()


def _read(file, size, crop, interpolation, channels):
    """One image upright and of the wanted size, uint8 [H, W, C]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise DataError(f"{file} is damaged, or no image ({error})") from error
    if image.mode[0] in "IF":
        raise DataError(f"{file}: expected 8 bits a channel, got Pillow's mode {image.mode}; convert it")
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        image = middle(image, size, crop, getattr(Image.Resampling, interpolation.upper()))
    return np.array(image).reshape(image.height, image.width, channels)


def middle(image: Image, size: int, crop: float, resampling: Resampling) -> Image:
    """The middle of a Pillow image, ``size`` x ``size``, after its shorter side was resized to ``size / crop``."""
    shorter = int(size / crop)
    width, height = (shorter if side == min(image.size) else int(shorter * side / min(image.size))
                     for side in image.size)
    image = image.resize((width, height), resampling)
    left, top = int(round((width - size) / 2)), int(round((height - size) / 2))
    return image.crop((left, top, left + size, top + size))
