"""Separation and smoothness: the indices, what confidence and guarantee they give, and networks ranked by them.

After A. Kalhor's lecture slides (Analysis and Design of Deep Neural Networks, section 3.2).
"""

from rrahelpers.separation.guarantees import Margins, error_bound, gamma_by_order, guarantee, margins, margins_of
from rrahelpers.separation.indices import (
    center_separation_by_class,
    center_separation_index,
    confidence,
    separation_by_class,
    separation_index,
    separation_orders,
    smoothness_index,
    smoothness_orders,
)
from rrahelpers.separation.ranking import Subset, best_features, rank_models

__all__ = [
    "Margins", "Subset", "best_features", "center_separation_by_class", "center_separation_index", "confidence",
    "error_bound", "gamma_by_order", "guarantee", "margins", "margins_of", "rank_models", "separation_by_class",
    "separation_index", "separation_orders", "smoothness_index", "smoothness_orders",
]
