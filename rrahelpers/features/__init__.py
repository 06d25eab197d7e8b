"""What the layers of a network answer to images: as they are, or pooled to fewer places."""

from rrahelpers.features.layers import (
    MEMORY, WEIGHTED, analysed_layers, check_images, each_layer, evaluation_mode, extract, features_last, layer_names, visit,
)
from rrahelpers.features.pooled import POOLING, each_pooled_layer, pool

__all__ = [
    "MEMORY", "POOLING", "WEIGHTED", "analysed_layers", "check_images", "each_layer", "each_pooled_layer",
    "evaluation_mode", "extract", "features_last", "layer_names", "pool", "visit",
]
