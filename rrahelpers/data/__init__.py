"""Image data sets as tensors."""

from rrahelpers.data.image_set import DataError, ImageSet, resize
from rrahelpers.data.sets import SPLITS, checksum, load

__all__ = ["SPLITS", "DataError", "ImageSet", "checksum", "load", "resize"]
