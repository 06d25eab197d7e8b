"""What the eigenvalues of a layer's covariance say: intrinsic dimensionality, saturation and their kin.

Everything that counts components asks :func:`n_components`, here and in the projections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from rrahelpers.base.arrays import as_tensor
from rrahelpers.eigenspace.covariance import Covariance, check_covariance, feature_axis

if TYPE_CHECKING:
    from jaxtyping import Float64

    from rrahelpers.base.shapes import Array, Eigenvalues, Square, Values

DELTA = 0.99  # of the variance; the dissertation's standard (8.1)
ROUNDING = 1e-12  # of the total variance: sums of eigenvalues are no more exact than this
WIDE = 3072  # features from which on the leading eigenvalues are tried first


def n_components(eigenvalues: Eigenvalues, delta: float = DELTA) -> int:
    """How many of the largest eigenvalues explain at least the share ``delta`` of the variance (dissertation 7.1).

    Parameters
    ----------
    eigenvalues: of a covariance, in any order, [D]. Negative ones within rounding count as zero.
    delta: share of the total in (0, 1]. At 1 the answer is the covariance's rank.

    Returns an integer: at least 1, or 0 where there is no variance at all. Raises ``ValueError`` for eigenvalues that
    are not finite, not one-dimensional or clearly negative, and for ``delta`` out of range.
    """
    values = _descending(eigenvalues)
    left = values[::-1].cumsum()[::-1]  # left[k]: the variance outside the first k; small numbers first
    return max(1, _first(left, check_delta(delta), left[0])) if left[0] > 0 else 0


def saturation(eigenvalues: Eigenvalues, delta: float = DELTA) -> float:
    """The share of a layer's dimensions that its data occupy (dissertation 8.1): n_components / D, in [0, 1]."""
    return n_components(eigenvalues, delta) / len(_descending(eigenvalues))


def log_determinant(eigenvalues: Eigenvalues) -> float:
    """The natural logarithm of the covariance's determinant (which itself underflows); -inf where it is singular.

    ``eigenvalues``: as for :func:`n_components`. One below 1e-12 of the total variance counts as zero.
    """
    values = _descending(eigenvalues)
    return float(np.log(values).sum()) if values[-1] > ROUNDING * values.sum() else -np.inf


def eigenvalues(matrix: Square | Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, " d"]:
    """The eigenvalues of a symmetric [D, D], largest first: float64 [D], an array."""
    return torch.linalg.eigvalsh(as_tensor(matrix).double(), UPLO="U").flip(0).cpu().numpy()


def eigenvectors(matrix: Square | Float64[np.ndarray, "d d"]) -> tuple[Values, Square]:
    """Eigenvalues (largest first, float64 [D]) and eigenvectors (columns, [D, D]) of a symmetric matrix, as tensors.

    Of the two directions of a vector, the one whose largest coordinate is positive.
    """
    values, vectors = torch.linalg.eigh(as_tensor(matrix).double(), UPLO="U")
    values, vectors = values.flip(0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return values, vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors)


def count(matrix: Square | Float64[np.ndarray, "d d"], delta: float = DELTA) -> int:
    """:func:`n_components` of a covariance matrix [D, D], for wide ones without most of the eigenvalues.

    The leading eigenvalues are bounded by the Rayleigh-Ritz values of a subspace and by what leaks out of it. Where the
    bounds leave two answers, and for narrow matrices, all eigenvalues are computed.
    """
    matrix = as_tensor(matrix).double()
    decided = _leading(matrix, delta) if len(matrix) >= WIDE else None
    return n_components(eigenvalues(matrix), delta) if decided is None else decided


def describe(covariance: Covariance, delta: float = DELTA, extended: bool = False) -> dict[str, float]:
    """What the dissertation reads off a layer's :class:`Covariance` (6.1.4), as a dictionary.

    ``features``, ``observations``, ``intrinsic_dimension`` (:func:`n_components`), ``saturation`` and ``trace``; with
    ``extended`` also ``diagonal_trace`` (the sum of the eigenvalues: the trace again, but for rounding) and
    ``log_determinant``, which need all eigenvalues. Raises ``ValueError`` for NaN or infinite observations, or none,
    ``TypeError`` for what is no :class:`Covariance`.
    """
    matrix = check_covariance(covariance).compact()
    values = np.pad(eigenvalues(matrix), (0, covariance.dim - len(matrix))) if extended else None
    components = count(matrix, delta) if values is None else n_components(values, delta)
    about = {"features": covariance.dim, "observations": covariance.observations, "intrinsic_dimension": components,
             "saturation": components / covariance.dim, "trace": matrix.trace().item()}
    if values is not None:
        about |= {"diagonal_trace": float(_descending(values).sum()), "log_determinant": log_determinant(values)}
    return about


def saturation_by_delta(covariances: Mapping[str, Covariance], deltas: Iterable[float]) -> pd.DataFrame:
    """Saturation of each layer for several shares of the variance (dissertation, table 16's last columns).

    ``covariances``: {layer: :class:`Covariance`}. Returns rows of delta, layer, index, features, intrinsic_dimension,
    saturation; ``groupby("delta").saturation.agg(["mean", "std"])`` is what the table prints. Raises as
    :func:`describe` and :func:`n_components`.
    """
    deltas, rows = [check_delta(delta) for delta in deltas], []
    for index, (layer, covariance) in enumerate(covariances.items()):
        dim, values = check_covariance(covariance).dim, eigenvalues(covariance.compact())
        for delta in deltas:
            components = n_components(values, delta)
            rows.append({"delta": delta, "layer": layer, "index": index, "features": dim,
                         "intrinsic_dimension": components, "saturation": components / dim})
    return pd.DataFrame(rows)


def embed(covariance: Covariance, x: Array, axis: int | None = None,
          dimensions: int = 2) -> Float64[torch.Tensor, "observations dimensions"]:
    """Activations in the first eigendirections of a covariance: float64 [observations, dimensions] (6.1.4).

    ``x``, ``axis``: as for :meth:`Covariance.update`.
    """
    x, covariance = as_tensor(x), check_covariance(covariance)
    rows = x.movedim(feature_axis(x) if axis is None else axis, -1).reshape(-1, covariance.dim).double()
    return (rows - covariance.mean) @ eigenvectors(covariance.matrix())[1][:, :dimensions]


def check_delta(delta: float) -> float:
    """``delta``, or a ``ValueError`` where it is no share of the variance."""
    if not 0 < delta <= 1:
        raise ValueError(f"expected delta, a share of the variance, in (0, 1], got {delta}")
    return float(delta)


def _first(left, delta, total):
    """The first place at which no more than 1 - ``delta`` of the total is left; ``left`` does not grow."""
    return int((left > (1 - delta + ROUNDING) * total).sum())


def _descending(eigenvalues):
    values = eigenvalues.detach().cpu() if isinstance(eigenvalues, torch.Tensor) else eigenvalues
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"expected eigenvalues [D], got shape {values.shape}")
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"expected finite eigenvalues, got {bad} NaN or infinite of {len(values)}")
    if values.min() < -1e-6 * np.abs(values).max():
        raise ValueError(f"expected eigenvalues of a covariance, got {values.min():.3g} beside {values.max():.3g}")
    return np.sort(values.clip(min=0))[::-1]


def _leading(matrix, delta):
    """The count by bounds on the leading eigenvalues, or None where they do not decide it.

    With orthonormal V [D, w], Y = A V and B = VᵀY, A is [[B, Eᵀ], [E, C]] in a basis that begins with V. The Ritz
    values θ (of B) are lower bounds of A's eigenvalues: so many of them as reach delta are enough. One less is not
    enough where even upper bounds stay below: λ_i <= θ_i + ‖E‖² / (θ_i - ‖C‖) for θ_i > ‖C‖ (Li and Li 2005), with ‖E‖²
    the largest eigenvalue of YᵀY - B² and ‖C‖ at most its Frobenius norm, √(‖A‖² - ‖B‖² - 2 ‖E‖²).
    """
    total, square = matrix.trace().item(), torch.linalg.norm(matrix).item() ** 2
    start = torch.randn(len(matrix), len(matrix) // 7, generator=torch.Generator().manual_seed(0)).to(matrix.device)
    single = matrix.float()
    basis = torch.linalg.qr(single @ start).Q
    image = single @ basis
    if not 0 < check_delta(delta) * total < (basis * image).sum().item():
        return None  # the subspace is too small
    basis = torch.linalg.qr(image.double()).Q
    image = matrix @ basis
    inner = basis.T @ image
    ritz = torch.linalg.eigvalsh(inner).flip(0).cpu().numpy()
    leak = max(0, torch.linalg.eigvalsh(image.T @ image - inner @ inner)[-1].item())
    inside, outside = (ritz**2).sum(), torch.linalg.norm(image).item() ** 2
    rest = np.sqrt(max(0, square + inside - 2 * outside) + 1e-14 * square)  # ‖E‖² = ‖Y‖² - ‖B‖², Frobenius
    enough = _first(total - ritz.cumsum(), delta, total) + 1
    below = ritz[:enough - 1]
    if enough > len(ritz) or (below <= rest).any():
        return None
    highest = below.sum() + (leak / (below - rest)).sum()
    return enough if enough == 1 or _first(np.array([total - highest]), delta, total) else None
