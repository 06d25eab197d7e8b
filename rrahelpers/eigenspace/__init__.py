"""Saturation and relevant eigenspaces: the principal components of every layer's output (dissertation 6.1, 7 and 8).

The covariance of a layer's output is streamed (:class:`Covariance`); its eigenvalues give the layer's intrinsic
dimensionality and saturation (:func:`n_components`, :func:`saturation`), its eigenvectors the subspace that a network
can be restricted to (:func:`project`), and :func:`projection_tests` what that costs. :class:`SaturationTracker` follows
saturation inside any training loop.
"""

from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.eigenspace.layers import covariances, weighted_layers
from rrahelpers.eigenspace.network import Projections, project, projected_accuracies
from rrahelpers.eigenspace.projection import PCAProjection
from rrahelpers.eigenspace.relevance import projection_tests, relevant_delta
from rrahelpers.eigenspace.spectrum import (
    DELTA,
    count,
    describe,
    eigenvalues,
    embed,
    log_determinant,
    n_components,
    saturation,
)
from rrahelpers.eigenspace.tracker import SaturationTracker

__all__ = [
    "DELTA", "Covariance", "PCAProjection", "Projections", "SaturationTracker", "count", "covariances", "describe",
    "eigenvalues", "embed", "log_determinant", "n_components", "project", "projected_accuracies", "projection_tests",
    "relevant_delta", "saturation", "weighted_layers",
]
