"""How alike the features of two layers are as a whole: linear CKA.

Linear centred kernel alignment (Kornblith et al., ICML 2019, section 3) is HSIC(X, Y) / √(HSIC(X, X) HSIC(Y, Y)), where
HSIC compares the products of all pairs of samples. Two estimators of HSIC are in use:

- the plain one, ‖Xᵀ Y‖² of centred features (Kornblith et al., equation 4). It is biased: with features that are many
  beside the samples, CKA is near 1 whatever they say;
- the unbiased one (Song et al., JMLR 2012, equation 5), a U-statistic over pairs of *different* samples. CKA of it is
  called debiased, and is near 0 for independent features: at times a little below.

Nguyen et al. (ICLR 2021) average the unbiased HSIC over minibatches, of which each compares its own samples alone.
Here batches are added up and all pairs compared: what :class:`LinearCKA` gives doesn't depend on how the samples are
split into batches.

Statistics calls the same number the RV coefficient of two sets of variables (Escoufier 1973). SVCCA (Raghu et al. 2017)
is another measure, which isn't here: it compares directions after a projection on 99 % of the variance.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.base.arrays import as_features, symmetric_table

if TYPE_CHECKING:
    from torch import Tensor

    from rrahelpers.base.shapes import Features

ROUNDING = 1e-6  # an unbiased HSIC of this share of the plain one is rounding
UNDEFINED = "CKA is NaN: the features of {} don't vary, or (debiased) not so that products of different samples show it"


def linear_cka(x: Features, y: Features, *, debiased: bool = True) -> float:
    """Linear CKA of two layers' features: 1 for equal ones, not changed by rotation, shift and scaling.

    Parameters
    ----------
    x, y: [N, D] and [N, E], or [N, ...] which is flattened: features of the same N samples.
    debiased: by the unbiased estimator, for which N is at least 4; else by the plain one, which lies in [0, 1].

    Each HSIC comes from D x E products or from N x N Gram matrices, whichever costs less. NaN with a warning where the
    features of one side do not vary. Raises as :func:`rrahelpers.base.arrays.as_features`, ``ValueError`` for different
    N, or too few.
    """
    x, y = _centred(x), _centred(y)
    _check_samples(len(x), len(y), debiased)
    dtype = torch.promote_types(x.dtype, y.dtype)
    x, y = x.to(dtype), y.to(dtype)
    return _ratio(*(_hsic(a, b, debiased) for a, b in ((x, y), (x, x), (y, y))))


class LinearCKA:
    """Linear CKA of two layers from batches of their features, of which only sums are kept.

    >>> cka = LinearCKA()
    >>> for x, y in zip(torch.arange(24.0).view(3, 4, 2).sin(), torch.arange(12.0).view(3, 4, 1)):
    ...     cka.update(x, y)
    >>> cka.samples, round(cka.value(), 3)
    (12, -0.103)

    The result is that of :func:`linear_cka` over all samples together, since both estimators follow from a few sums
    over samples. These take 8 (D² + D E + E²) bytes: pool layers of many features first, or compare :func:`gram`
    matrices.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._origins: list[tuple[Tensor, Tensor | int]] = []
        self._sums: list[list[Tensor]] = []

    def update(self, x: Features, y: Features) -> None:
        """Add a batch: [n, D] and [n, E], or [n, ...] which is flattened. Raises as :func:`linear_cka`, and
        ``ValueError`` for other numbers of features than before."""
        sides = [as_features(x), as_features(y)]
        _check_samples(len(sides[0]), len(sides[1]), debiased=False)
        origins = self._origins or [(side[0], _unit(side - side[0])) for side in sides]
        widths, expected = [side.shape[1] for side in sides], [len(shift) for shift, _ in origins]
        if widths != expected:
            raise ValueError(f"expected batches of {expected} features, as before, got {widths}")
        a, b = (((side - shift) / unit).double() for side, (shift, unit) in zip(sides, origins))
        more = [_products(a, b), _products(a, a), _products(b, b)]
        self._sums = [[old + new for old, new in zip(*pair)] for pair in zip(self._sums, more)] or more
        self._origins, self.samples = origins, self.samples + len(a)

    def value(self, *, debiased: bool = True) -> float:
        """CKA of all batches so far, as :func:`linear_cka`. Raises ``ValueError`` for too few samples."""
        _check_samples(self.samples, self.samples, debiased)
        return _ratio(*(_of_products(self.samples, debiased, *sums) for sums in self._sums))


def linear_cka_matrix(features: Iterable[Features], *, debiased: bool = True) -> pd.DataFrame:
    """:func:`linear_cka` of every pair of layers: a tidy table with i, j, value, as
    :func:`rrahelpers.topology.nnts_matrix` gives.

    ``features``: an iterable of [N, ...], such as the second items of :func:`rrahelpers.features.each_layer`. One layer
    is held at a time, and the Gram matrix of each: 4 N² bytes, 16 MB for 2,000 samples. Raises as :func:`linear_cka`,
    ``ValueError`` without layers.
    """
    grams: list[Tensor] = []
    for x in features:
        own = gram(x)
        _check_samples(len(grams[0]) if grams else len(own), len(own), debiased)
        plain = torch.linalg.vector_norm(own, dtype=torch.float64)
        own = _without_bias(own) if debiased else own
        norm = torch.linalg.vector_norm(own, dtype=torch.float64)
        if norm**2 <= ROUNDING * plain**2:
            warnings.warn(UNDEFINED.format(f"layer {len(grams)}"), stacklevel=2)
            norm = norm * math.nan
        grams.append((own / norm).float())
    if not grams:
        raise ValueError("expected features of at least one layer, got none")
    return symmetric_table(grams, _inner)


def gram(x: Features) -> Tensor:
    """The products of all pairs of samples, float32 [N, N], of centred features of about unit size.

    ``x``: [N, ...], as for :func:`linear_cka`, and raises as that.
    """
    x = _centred(x).float()
    return x @ x.T


def debiased_cka(a: Tensor, b: Tensor) -> float:
    """Debiased linear CKA of two layers from their :func:`gram` matrices [N, N]: what :func:`linear_cka` gives of their
    features, and NaN with a warning as there. Raises ``ValueError`` for fewer than four samples, and for different N.
    """
    _check_samples(len(a), len(b), True)
    plain, (a, b) = [_inner(a, a), _inner(b, b)], (_without_bias(a), _without_bias(b))
    return _ratio((_inner(a, b), 0), (_inner(a, a), plain[0]), (_inner(b, b), plain[1]))


def _ratio(xy, xx, yy):
    """CKA from (HSIC, its plain estimate) of each pair."""
    for side, (value, plain) in (("the first side", xx), ("the second side", yy)):
        if value <= ROUNDING * plain:
            warnings.warn(UNDEFINED.format(side), stacklevel=3)
            return math.nan
    return xy[0] / math.sqrt(xx[0] * yy[0])


def _hsic(x, y, debiased):
    """(HSIC times a factor that is the same for all pairs of sides, its plain estimate) of centred features."""
    (n, d), e = x.shape, y.shape[1]
    if d * e <= n * (d + e):
        return _of_products(n, debiased, *_products(x, y))
    a, b = x @ x.T, y @ y.T
    plain = _inner(a, b)
    return (_inner(_without_bias(a), _without_bias(b)) if debiased else plain), plain


def _products(x, y):
    """The sums over samples from which both estimators follow, float64."""
    a, b = x.square().sum(1), y.square().sum(1)
    return [total.double() for total in (x.T @ y, x.sum(0), y.sum(0), a @ y, b @ x, a.sum(), b.sum(), a @ b)]


def _of_products(n, debiased, xy, x, y, ay, bx, a, b, ab):
    """As :func:`_hsic`, from :func:`_products` of ``n`` samples, their means taken out here.

    Of centred features with squared norms a and b, Song et al.'s equation 5 times n (n - 3) is
    ‖Xᵀ Y‖² - n / (n - 2) Σ aᵢ bᵢ + Σ aᵢ Σ bᵢ / ((n - 1) (n - 2)).
    """
    p, q = x / n, y / n
    pp, qq = p @ p, q @ q
    plain = (xy - n * p[:, None] * q).square().sum().item()
    if not debiased:
        return plain, plain
    both = ab - 2 * (q @ ay + p @ bx) + qq * a + pp * b + 4 * p @ xy @ q - 3 * n * pp * qq
    alone = (a - n * pp) * (b - n * qq)
    return plain - (n / (n - 2) * both - alone / ((n - 1) * (n - 2))).item(), plain


def _without_bias(gram):
    """A Gram matrix without its diagonal, centred so that inner products of two are n (n - 3) times the unbiased HSIC
    (Székely and Rizzo 2014), float64."""
    gram = gram.double().clone()
    n = len(gram)
    gram.fill_diagonal_(0)
    rows, total = gram.sum(1, keepdim=True) / (n - 2), gram.sum() / ((n - 1) * (n - 2))
    return (gram - rows - rows.T + total).fill_diagonal_(0)


def _check_samples(n, m, debiased):
    if n != m:
        raise ValueError(f"expected features of the same samples, got {n} and {m}")
    if debiased and n < 4:
        raise ValueError(f"expected four samples or more, got {n}: debiased CKA has no value for fewer "
                         "(debiased=False for the plain one)")


def _unit(x):
    largest = torch.stack(x.aminmax()).abs().amax()
    return largest if largest > 0 else 1


def _centred(x):
    """Centred features of about unit size: their products neither overflow nor vanish."""
    x = as_features(x)
    x = x - x[0]  # exactly zero where nothing varies; keeps the digits beside a large common offset
    x.div_(_unit(x))
    return x.sub_(x.mean(0))


def _inner(a, b):
    return sum((p * q).sum(dtype=torch.float64) for p, q in zip(a.split(256), b.split(256))).item()
