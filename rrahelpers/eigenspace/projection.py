"""A layer that restricts activations to their eigenspace (dissertation 6.1.6)."""

from typing import Self

import torch
from torch import nn

from rrahelpers.eigenspace.covariance import Covariance, check_covariance, feature_axis
from rrahelpers.eigenspace.spectrum import DELTA, check_delta, eigenvectors, n_components


class PCAProjection(nn.Module):
    """The projection of activations onto the eigendirections that explain a share of their variance (equation 12).

    In training mode activations pass unchanged and their covariance is collected, anew after each evaluation (6.1.6).
    In evaluation mode they are projected, x ↦ mean + (x - mean) PᵀP, at every place of a feature map alike (as by a
    1x1 convolution). :meth:`fit` takes a covariance from elsewhere. Equation 12 as it is printed, x ↦ x PᵀP, is
    ``centred=False``: it loses what the mean has outside of the subspace.

    Parameters
    ----------
    delta: share of the variance, in (0, 1]; it can be set at any time, without another pass over the data. 1 stands
        for the unprojected network, the reference of section 7.2.1: activations pass unchanged.
    axis: of the features; default as for :meth:`Covariance.update`.
    random: None, or the seed of a random orthonormal basis of the same rank (7.3); can be set at any time.
    centred: whether deviations from the mean are projected, or the activations themselves.

    Forward: any shape, answered in the same shape, type and memory layout. Raises ``RuntimeError`` in evaluation mode
    while there is no covariance, ``ValueError`` for another number of features and as :meth:`Covariance.matrix`.
    """

    def __init__(self, delta: float = DELTA, *, axis: int | None = None, random: int | None = None,
                 centred: bool = True) -> None:
        super().__init__()
        self.axis, self.delta, self.random, self._centred = axis, delta, random, centred
        self._seen: Covariance | None = None
        self._values: torch.Tensor | None = None
        self._mean = self._vectors = self._made = None
        self._fitted, self._evaluated = 0, False  # observations of _seen that _values are of; whether to begin anew

    @property
    def delta(self) -> float:
        return self._delta

    @delta.setter
    def delta(self, delta: float) -> None:
        self._delta = check_delta(delta)

    @property
    def features(self) -> int:
        """Dimensions of the whole space."""
        return len(self._settle())

    @property
    def rank(self) -> int:
        """Dimensions of the subspace: :func:`n_components` of the covariance's eigenvalues."""
        return n_components(self._settle(), self.delta)

    def fit(self, covariance: Covariance) -> Self:
        """Take the mean and the eigendirections of a :class:`Covariance`. Returns the projection."""
        self._decompose(check_covariance(covariance))
        self._seen = None
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axis = feature_axis(x) if self.axis is None else self.axis
        if self.training:
            if self._evaluated:
                self._seen, self._fitted, self._evaluated = None, 0, False
            self._seen = self._seen or Covariance(x.shape[axis])
            self._seen.update(x, axis)
            return x
        self._evaluated = True
        if x.shape[axis] != self.features:
            raise ValueError(f"expected {self.features} features along axis {axis}, got shape {tuple(x.shape)}")
        if self.delta == 1:
            return x
        mean, matrix = self._mean_and_matrix(x)
        with torch.autocast(x.device.type, enabled=False):
            projected = (x.movedim(axis, -1).to(mean) - mean) @ matrix + mean
        return torch.empty_like(x).copy_(projected.movedim(-1, axis))

    @torch.inference_mode(False)
    @torch.no_grad()
    def _mean_and_matrix(self, x):
        """The mean [D] and PᵀP [D, D] in the precision (at least float32) and on the device of ``x``."""
        key = self.rank, self.random, x.device, torch.promote_types(x.dtype, torch.float32)
        if self._made is None or self._made[0] != key:
            basis = self._vectors[:, :self.rank]
            if self.random is not None:
                generator = torch.Generator().manual_seed(self.random)
                draw = torch.randn(self.rank, self.features, generator=generator, dtype=torch.float64).T
                basis = torch.linalg.qr(draw.to(basis.device)).Q
            mean = self._mean if self._centred else torch.zeros_like(self._mean)
            self._made = key, mean.to(*key[2:]), (basis @ basis.T).to(*key[2:])
        return self._made[1:]

    @torch.inference_mode(False)  # what is kept shall serve outside of it too
    @torch.no_grad()
    def _decompose(self, covariance):
        values, vectors = eigenvectors(covariance.matrix())
        self._mean, self._values, self._vectors, self._made = covariance.mean, values.cpu(), vectors, None
        self._fitted = covariance.observations

    def _settle(self) -> torch.Tensor:
        """The eigenvalues of what has been seen."""
        if self._seen is not None and (self._values is None or self._seen.observations != self._fitted):
            self._decompose(self._seen)
        if self._values is None:
            raise RuntimeError("no covariance to project with: give one to fit, or run in training mode first")
        return self._values
