"""How alike the features of two layers are as a whole: linear CKA.

Statistics calls the same number the RV coefficient of two sets of variables (Escoufier 1973). SVCCA (Raghu et al. 2017)
is another measure, which isn't here: it compares directions after a projection on 99 % of the variance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.base.arrays import as_features, symmetric_table

if TYPE_CHECKING:
    from torch import Tensor

    from rrahelpers.base.shapes import Features


def linear_cka(x: Features, y: Features) -> float:
    """Linear centred kernel alignment of two layers' features (Kornblith et al., ICML 2019, section 3 and equation 4).

    ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) with Frobenius norms and centred columns: in [0, 1], not changed by rotation and scaling.

    Parameters
    ----------
    x, y: [N, D] and [N, E], or [N, ...] which is flattened: features of the same N samples.

    Each norm comes from the D x E matrix or from the N x N Gram matrices, whichever costs less. NaN where the features
    of one side do not vary. Raises as :func:`rrahelpers.base.arrays.as_features`, ``ValueError`` for different N.
    """
    x, y = _centred(x), _centred(y)
    if len(x) != len(y):
        raise ValueError(f"expected features of the same samples, got {len(x)} and {len(y)}")
    dtype = torch.promote_types(x.dtype, y.dtype)
    x, y = x.to(dtype), y.to(dtype)
    norm = math.sqrt(_inner(x, x) * _inner(y, y))
    return _inner(x, y) / norm if norm else math.nan


def linear_cka_matrix(features: Iterable[Features]) -> pd.DataFrame:
    """:func:`linear_cka` of every pair of layers: a tidy table with i, j, value, as
    :func:`rrahelpers.topology.nnts_matrix` gives.

    ``features``: an iterable of [N, ...], such as the second items of :func:`rrahelpers.features.each_layer`. One layer
    is held at a time, and the Gram matrix of each: 4 N² bytes, 16 MB for 2,000 samples. Raises as :func:`linear_cka`,
    ``ValueError`` without layers.
    """
    grams = []
    for x in features:
        x = _centred(x).float()
        gram = x @ x.T
        grams.append(gram / torch.linalg.vector_norm(gram, dtype=torch.float64).float())
        if len(gram) != len(grams[0]):
            raise ValueError(f"expected features of the same samples, got {len(grams[0])} and {len(gram)}")
    if not grams:
        raise ValueError("expected features of at least one layer, got none")

    def inner(a, b):
        return sum((p * q).sum(dtype=torch.float64) for p, q in zip(a.split(256), b.split(256))).item()

    return symmetric_table(grams, inner)


def gram(x: Features) -> Tensor:
    """The products of all pairs of samples, float32 [N, N], of centred features of about unit size.

    ``x``: [N, ...], as for :func:`linear_cka`, and raises as that.
    """
    x = _centred(x).float()
    return x @ x.T


def debiased_cka(a: Tensor, b: Tensor) -> float:
    """Linear CKA of two layers from their :func:`gram` matrices [N, N], its bias for few samples taken out.

    With N samples of more features than that, :func:`linear_cka` is near 1 whatever they say. Here its three inner
    products are replaced by unbiased estimators (Song et al., JMLR 2012, equation 5; Nguyen et al., ICLR 2021): in
    expectation 0 for independent features, so at times a little below 0, and 1 for equal ones. NaN where the features
    of one side do not vary. Raises ``ValueError`` for fewer than four samples, and for different N.
    """
    if a.shape != b.shape or len(a) < 4:
        raise ValueError("expected two Gram matrices of the same four samples or more, "
                         f"got {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = _without_bias(a), _without_bias(b)
    norm = a.square().sum() * b.square().sum()
    return ((a * b).sum() / norm.sqrt()).item() if norm > 0 else math.nan


def _without_bias(gram):
    """A Gram matrix without its diagonal, centred so that inner products of two are unbiased (Székely and Rizzo
    2014)."""
    gram = gram.double().clone()
    n = len(gram)
    gram.fill_diagonal_(0)
    rows, total = gram.sum(1, keepdim=True) / (n - 2), gram.sum() / ((n - 1) * (n - 2))
    return (gram - rows - rows.T + total).fill_diagonal_(0)


def _centred(x):
    """Centred features of about unit size: their products neither overflow nor vanish."""
    x = as_features(x)
    x = x - x[0]  # exactly zero where nothing varies; keeps the digits beside a large common offset
    x = x - x.mean(0)
    largest = x.abs().amax()
    return x / largest if largest > 0 else x


def _inner(x, y):
    """‖Yᵀ X‖², which is the inner product of the Gram matrices."""
    (n, d), e = x.shape, y.shape[1]
    if d * e <= n * (d + e):
        return (y.T @ x).square_().sum(dtype=torch.float64).item()
    return (x @ x.T).mul_(y @ y.T).sum(dtype=torch.float64).item()
