"""Intrinsic dimension of a layer's features from the two nearest neighbours of each sample.

E. Facco, M. d'Errico, A. Rodriguez, A. Laio: *Estimating the intrinsic dimension of datasets by a minimal neighborhood
information*, Scientific Reports 7 (2017). Where the density is constant as far as a sample's second neighbour, the
ratio μ = r₂ / r₁ of its two nearest distances follows P(μ > m) = m^-d: ln μ is exponential with rate d, whatever the
density and the number of features. Ansuini et al. (NeurIPS 2019) follow it through the layers of a network and call it
ID; it is local and nonlinear, where the intrinsic dimensionality of :mod:`rrahelpers.eigenspace` counts directions.
"""

import math
from typing import NamedTuple

import torch

from rrahelpers.neighbors import KNNGraph, check_graph


class TwoNN(NamedTuple):
    """The estimated dimension, its confidence interval (low, high), the samples used and the samples left out."""

    dimension: float
    low: float
    high: float
    samples: int
    duplicates: int


def two_nn(graph: KNNGraph, confidence: float = 0.95) -> TwoNN:
    """The intrinsic dimension by maximum likelihood, with its exact interval for independent ratios.

    From n ratios the likelihood is largest at n / Σ ln μ; (n - 1) / Σ ln μ, given here, is without bias, and 2 d Σ ln μ
    follows a chi-squared distribution with 2 n degrees of freedom, which gives the interval. Facco et al. fit a
    straight line to the distribution function instead, without the largest tenth of the ratios; the likelihood needs no
    such choice and varies a little less (simulated: 8 % for dimension 2, 5 % for 5).

    Ratios of neighbouring samples are not independent: on uniform data the estimate varies 1.2 times as much as the
    interval supposes, and a nominal 95 % covers the truth about 89 times in 100 (simulated, 1,000 samples, dimensions 1
    to 5, without edges). Edges of the data make the estimate smaller: 4.6 in a cube of dimension 5 with 1,000 samples.

    Parameters
    ----------
    graph: a :class:`rrahelpers.neighbors.KNNGraph` with k >= 2, of Euclidean distances (cosine ones give half of it).
    confidence: of the interval, between 0 and 1.

    Returns a :class:`TwoNN`. Samples with a duplicate (r₁ = 0) have no ratio: they are left out and counted. The
    dimension is NaN with fewer than two ratios (a layer that says the same of all samples), infinite where all
    neighbours are equally far. Raises ``ValueError`` for k = 1 or a confidence out of range.
    """
    from scipy.stats import chi2

    if check_graph(graph).k < 2:
        raise ValueError("two_nn needs the two nearest neighbours of each sample, got a graph with k=1")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    first, second = graph.distances[:, :2].double().T
    ratios = torch.log(second / first)[first > 0]
    n, total = len(ratios), ratios.sum().item()
    duplicates = len(graph) - n
    if n < 2:
        return TwoNN(math.nan, math.nan, math.nan, n, duplicates)
    if total == 0:
        return TwoNN(math.inf, math.inf, math.inf, n, duplicates)
    low, high = chi2.ppf([(1 - confidence) / 2, (1 + confidence) / 2], 2 * n) / (2 * total)
    return TwoNN((n - 1) / total, float(low), float(high), n, duplicates)
