"""When a prediction by the nearest neighbour cannot be wrong although the input is measured with an error up to γ.

Slides, "Model Confidence and Guarantee". A sample x lies within γ of its true place, and training samples are
homogeneous with it: where SI = 1, the nearest training sample of the true place has the true label. The label of x's
own nearest neighbour is then surely true where

    γ < (between - within) / 2,

with, *without training data*, within = dw_max, the largest distance of a sample to the nearest of its label, and
between = db_min, the smallest distance between samples of different labels; *with training data*, within = dp_x, x's
distance to its nearest neighbour, and between = dn_x, to the nearest of another label.

The slides write the condition as sign(1 - (within + γ) / (between - γ)) as well, which is 1 again once γ exceeds
``between``; here it is the inequality that decides. Confidence is SI: :func:`rrahelpers.separation.confidence`. For
regression they bound the error with training data only, :func:`error_bound`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.base.arrays import as_features, as_targets, check_labels, distance_blocks, is_whole
from rrahelpers.neighbors import knn_graph
from rrahelpers.separation.indices import confidence

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64

    from rrahelpers.base.shapes import Features, Integers, Labels, Targets, Values


@dataclass(frozen=True, eq=False)
class Margins:
    """What a guarantee needs to know: ``index`` (SI of the training data), ``within`` and ``between`` (distances).

    Without training data the distances are one number each (tensors []), ``prediction`` is None; with them they are
    float64 [M], one for each new sample, and ``prediction`` int64 [M] is the label of its nearest neighbour.
    """

    index: float
    within: Float64[torch.Tensor, "*m"]
    between: Float64[torch.Tensor, "*m"]
    prediction: Integers | None = None

    @property
    def gamma(self) -> Float64[torch.Tensor, "*m"]:
        """Below which error of the input a prediction is surely true, where SI = 1: (between - within) / 2, at least
        0; 0 where ``within`` is infinite."""
        return torch.where(self.within.isinf(), 0.0, (self.between - self.within) / 2).clamp(min=0)


def margins(x: Features, labels: Labels) -> Margins:
    """SI, dw_max and db_min of training data, all that a guarantee without them needs.

    ``x``: [N, D], or [N, ...] which is flattened, N >= 2; ``labels``: integers [N]. N² D operations. A class of one
    sample has no distance within (infinite), a single class none between. Raises ``ValueError``, ``TypeError`` for
    features or labels of wrong form.
    """
    x = as_features(x)
    labels = check_labels(labels, len(x)).to(x.device)
    index = confidence(knn_graph(x, 1), labels)
    within, between = [], []
    for rows, distances in distance_blocks(x, x):
        distances.diagonal(rows.start).fill_(torch.inf)
        same = labels[rows, None] == labels
        within.append(distances.masked_fill(~same, torch.inf).amin(1))
        between.append(distances.masked_fill(same, torch.inf).amin())
    return Margins(index, torch.cat(within).amax(), torch.stack(between).amin())


def margins_of(new: Features, x: Features, labels: Labels) -> Margins:
    """The :class:`Margins` of new samples [M, D] among training data: SI, and each sample's dp_x and dn_x.

    ``x``, ``labels``: as for :func:`margins`. M N D operations. Where only one label exists dn_x is infinite. Raises as
    :func:`margins`, and ``ValueError`` for new samples of another width.
    """
    new, x = _pair(new, x)
    labels = check_labels(labels, len(x)).to(x.device)
    index = confidence(knn_graph(x, 1), labels)
    found = []
    for _, distances in distance_blocks(new, x):
        within, nearest = distances.min(1)
        prediction = labels[nearest]
        between = distances.masked_fill(labels == prediction[:, None], torch.inf).amin(1)
        found.append((within, between, prediction))
    return Margins(index, *map(torch.cat, zip(*found)))


def guarantee(known: Margins, gamma: float) -> Bool[torch.Tensor, "*m"]:
    """Whether predictions by the nearest neighbour are surely true for inputs wrong by at most ``gamma``.

    ``known``: the :class:`Margins` of :func:`margins` (one answer for all homogeneous samples) or :func:`margins_of`
    (one for each); ``gamma``: >= 0, in the units of the features.

    Returns bool, of the shape of ``known.within``. Nothing is guaranteed where SI < 1: that the true place's neighbour
    has the true label was only supposed then. Raises ``ValueError`` for a negative, infinite or NaN ``gamma``.
    """
    _check_gamma(gamma)
    if not isinstance(known, Margins):
        raise TypeError(f"expected Margins, as margins or margins_of answers, got {type(known).__name__}")
    return (gamma < known.gamma) & (known.index == 1)


def gamma_by_order(new: Features, x: Features, labels: Labels, order: int = 10) -> pd.DataFrame:
    """What error of the input a prediction withstands, against the order up to which the neighbours agree.

    The slides: where SI^r = 1 for a large r, the guarantee holds for a much higher γ than where SI^1 = 1 alone.

    ``new``, ``x``, ``labels``: as for :func:`margins_of`; ``order``: the highest. Returns a row for each order r:
    ``order``, ``share`` of the new samples whose first r neighbours have one label, ``gamma``, the mean of theirs, and
    ``smallest``; NaN without such samples. Raises as :func:`margins_of`, ``ValueError`` for an order out of range.
    """
    known = margins_of(new, x, labels)
    new, x = _pair(new, x)
    if not is_whole(order) or order > len(x):
        raise ValueError(f"expected an order from 1 to {len(x)} (the training samples), got {order!r}")
    own = check_labels(labels, len(x)).to(x.device)
    nearest = torch.cat([distances.topk(order, largest=False).indices for _, distances in distance_blocks(new, x)])
    agree = (own[nearest] == own[nearest[:, :1]]).cumprod(1).bool()
    rows = [(known.gamma[which], which) for which in agree.T]
    return pd.DataFrame([{"order": r, "share": which.double().mean().item(), "gamma": gamma.mean().item(),
                          "smallest": gamma.min().item() if len(gamma) else math.nan}
                         for r, (gamma, which) in enumerate(rows, 1)])


def error_bound(new: Features, x: Features, targets: Targets, gamma: float) -> Values:
    """Regression: how far from the truth the target of the nearest neighbour can be, ē_y of the slides, float64 [M].

    For each new sample the largest ‖y_1 - y_j‖ + α_j, where 1 is its nearest training sample, α_j the distance of y_j
    to the target of j's own nearest neighbour, and j runs over the training samples that could be the nearest of a
    place within ``gamma``. It bounds the error where a target at the true place is no farther from its nearest sample's
    than that sample's α: the slides' premise. They suppose SmI = 1 besides; see
    :func:`rrahelpers.separation.confidence`.

    Parameters
    ----------
    new: [M, D]; x: [N, D] training samples, N >= 2; targets: real numbers [N] or [N, Q]; gamma: >= 0.

    Which j could be nearest is decided against sample 1 alone (the ball reaches the half-space nearer to j), not
    against all others: some j too many, so the bound is never below the slides', and may lie above. 2 M N D operations.
    Raises as :func:`margins_of`, ``TypeError`` for targets that are no real numbers, ``ValueError`` for ``gamma``.
    """
    _check_gamma(gamma)
    new, x = _pair(new, x)
    y = as_targets(targets, len(x)).to(x.device)
    alpha = (y - y[knn_graph(x, 1).indices[:, 0]]).norm(dim=1)
    bounds = []
    for _, distances in distance_blocks(new, x):
        within, nearest = distances.min(1, keepdim=True)
        apart = torch.cat([block for _, block in distance_blocks(x[nearest[:, 0]], x)])
        reach = (distances - within) * (distances + within) <= 2 * gamma * apart  # the bisector is within gamma
        error = torch.cat([block for _, block in distance_blocks(y[nearest[:, 0]], y)]) + alpha
        bounds.append(error.masked_fill(~reach, 0.0).amax(1))
    return torch.cat(bounds)


def _pair(new, x):
    new, x = as_features(new), as_features(x)
    if new.shape[1] != x.shape[1]:
        raise ValueError(f"new samples have {new.shape[1]} features; expected {x.shape[1]}, as the training data")
    return new.to(x.device), x


def _check_gamma(gamma):
    if not 0 <= gamma < math.inf:
        raise ValueError(f"expected a finite gamma >= 0, the largest error of an input, got {gamma}")
