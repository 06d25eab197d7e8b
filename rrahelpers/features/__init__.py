"""What the layers of a network answer to images: as they are, or pooled to fewer places."""

from rrahelpers.features.batches import Batches, as_batches, check_images, labels_of
from rrahelpers.features.layers import (
    MEMORY,
    WEIGHTED,
    analysed_layers,
    each_layer,
    extract,
    layer_names,
    readings,
    visit,
)
from rrahelpers.features.passes import evaluation_mode
from rrahelpers.features.pooled import POOLING, each_pooled_layer, pool

__all__ = [
    "MEMORY",
    "POOLING",
    "WEIGHTED",
    "Batches",
    "analysed_layers",
    "as_batches",
    "check_images",
    "each_layer",
    "each_pooled_layer",
    "evaluation_mode",
    "extract",
    "labels_of",
    "layer_names",
    "pool",
    "readings",
    "visit",
]
