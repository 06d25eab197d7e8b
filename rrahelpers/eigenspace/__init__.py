"""Saturation and relevant eigenspaces: the principal components of every layer's output (dissertation 6.1, 7 and 8).

Others' names: the intrinsic dimensionality here is linear, the number of principal components for a share of the
variance ("dimensions at 99 %" in SVCCA, "significant components" in Garg et al.), never below the nonlinear one of
:mod:`rrahelpers.intrinsic_dimension` for data without noise, and not the participation ratio (Σλ)² / Σλ², which needs
no threshold.

The covariance of a layer's output is streamed (:class:`Covariance`); its eigenvalues give the layer's intrinsic
dimensionality and saturation (:func:`n_components`, :func:`saturation`), its eigenvectors the subspace that a network
can be restricted to (:func:`project`), and :func:`projection_tests` what that costs. :class:`SaturationTracker` follows
saturation inside any training loop, :class:`LightningCallback` in Lightning's, and writers keep what they find.
:func:`filters_to_keep` reads off the same covariances what could be pruned.
"""

from rrahelpers.eigenspace.callbacks import LightningCallback
from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.eigenspace.epoch import Epoch
from rrahelpers.eigenspace.layers import covariances, weighted_layers
from rrahelpers.eigenspace.network import Projections, project, projected_accuracies
from rrahelpers.eigenspace.projection import PCAProjection
from rrahelpers.eigenspace.pruning import filters_to_keep
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
    saturation_by_delta,
)
from rrahelpers.eigenspace.tracker import SaturationTracker
from rrahelpers.eigenspace.writers import (
    ArrayWriter,
    ConsoleWriter,
    CSVWriter,
    NotebookWriter,
    PictureWriter,
    TensorBoardWriter,
)

__all__ = [
    "DELTA", "ArrayWriter", "CSVWriter", "ConsoleWriter", "Covariance", "Epoch", "LightningCallback", "NotebookWriter",
    "PCAProjection", "PictureWriter", "Projections", "SaturationTracker", "TensorBoardWriter", "count", "covariances",
    "describe", "eigenvalues", "embed", "filters_to_keep", "log_determinant", "n_components", "project",
    "projected_accuracies", "projection_tests", "relevant_delta", "saturation", "saturation_by_delta",
    "weighted_layers",
]
