"""Every drawing, in one style: what several themes share is here, each theme has a module of its own."""

from rrahelpers.plots.style import (
    BAND,
    OTHER,
    SAME,
    SCALE_COLOURS,
    SCALE_NAMES,
    SCALE_ORDER,
    STYLE,
    class_similarity_curves,
    framed_image,
    gallery,
    image_of,
    mean_curve,
    neighbour_gallery,
    neighbour_graph,
    top1_panels,
    use_style,
)

__all__ = [
    "BAND", "OTHER", "SAME", "SCALE_COLOURS", "SCALE_NAMES", "SCALE_ORDER", "STYLE", "class_similarity_curves",
    "framed_image", "gallery", "image_of", "mean_curve", "neighbour_gallery", "neighbour_graph", "top1_panels",
    "use_style",
]
