"""The covariance of a layer's output, block by block in constant memory (dissertation 6.1.3, equations 10 and 11).

Equation 11 subtracts two large numbers where the mean is large against the deviation. Here every block is moved by one
fixed reference, the mean of the first block, before it is squared: the same covariance, without the cancellation.
Products of float32 activations are taken in float64 on a CPU (twice the time of float32's), in float32 on an
accelerator, where float64 may be 64 times slower, and for half precision; all blocks are summed in float64. (Where
TF32 is allowed for products, the accelerator's blocks have its precision.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from rrahelpers.base.arrays import as_tensor, is_whole
from rrahelpers.base.modules import whole

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Array, Square, Values

BLOCK = 2**18  # numbers of a block: the products' operands stay in the cache
PANEL = 128  # features; the covariance is symmetric, and only the panels right of its diagonal are computed
PARTS = 2  # of a block with a single panel: a product of few rows and columns keeps but one core busy


class Covariance:
    """The streaming covariance of ``dim`` features.

    Memory: 8 dim² bytes, or the observations themselves while they are no more than the features. Workers accumulate
    apart and :meth:`merge`; an instance can be pickled. It lives on ``device``, or on that of the first update.
    """

    def __init__(self, dim: int, device: str | torch.device | None = None) -> None:
        if not is_whole(dim):
            raise ValueError(f"expected a positive whole number of features, got {dim!r}")
        self.dim, self.observations = dim, 0
        self.device = None if device is None else torch.device(device)
        self._kept: list[torch.Tensor] = []  # blocks [n, dim], while there are no more observations than features
        self._shift: torch.Tensor | None = None  # then: a reference [dim]
        self._sum: torch.Tensor  # and sums of x - reference, and of its squares
        self._products: torch.Tensor

    @torch.inference_mode(False)  # what is kept shall serve outside of it too
    @torch.no_grad()
    def update(self, x: Array, axis: int | None = None) -> None:
        """Take in activations: every place along all axes but the features' is an observation.

        Parameters
        ----------
        x: tensor or array of real numbers, [N, dim], sequences [N, T, dim] or feature maps [N, dim, H, W].
        axis: of the features; default 1 for 4 and 5 axes (feature maps), else the last.

        Raises ``ValueError`` where that axis has another size than ``dim``, ``TypeError`` for complex numbers. NaN and
        infinite values are found when the result is read: a look at each batch would make an accelerator wait.
        """
        x = as_tensor(x)
        x = x.cpu() if x.device.type == "mps" else x  # which knows no float64
        x = x if self.device is None else x.to(self.device)
        axis = feature_axis(x) if axis is None else axis
        if x.ndim == 0 or not -x.ndim <= axis < x.ndim or x.shape[axis] != self.dim:
            raise ValueError(f"expected {self.dim} features along axis {axis}, got shape {tuple(x.shape)}")
        axis, x = axis % x.ndim - x.ndim, whole(x)
        with torch.autocast(x.device.type, enabled=False):
            for block in _blocks(x, axis % x.ndim) if x.numel() else ():
                self._take(block)

    @torch.inference_mode(False)
    @torch.no_grad()
    def merge(self, other: Covariance) -> None:
        """Take in what another instance has seen, which stays as it is.

        Raises ``TypeError`` for what is no :class:`Covariance`, ``ValueError`` for another ``dim``.
        """
        check_covariance(other)
        if other.dim != self.dim:
            raise ValueError(f"expected a covariance of {self.dim} features, got {other.dim}")
        if other._shift is None:
            for block in list(other._kept):
                self._take(block)
            return
        own = self._unfold(other._shift)
        device = self._products.device
        sums, move = other._sum.to(device), other._shift.to(device).double() - own.double()
        mixed = torch.outer(sums, move)
        self._products += other._products.to(device) + mixed + mixed.T + other.observations * torch.outer(move, move)
        self._sum += sums + other.observations * move
        self.observations += other.observations

    @torch.inference_mode(False)
    @torch.no_grad()
    def over_processes(self, reference: Values) -> Covariance:
        """The covariance of what all processes of ``torch.distributed`` have seen together, the same in each of them.

        Every process has to call this, with the same ``reference`` [dim] near the mean: the sums are taken about it.
        They are added where ``reference`` lies, on a device that the processes' backend knows.
        """
        total = Covariance(self.dim, reference.device)
        total._unfold(reference)
        total.merge(self)
        observations = torch.tensor(total.observations, device=reference.device)
        for part in (observations, total._sum, total._products):
            dist.all_reduce(part)
        total.observations = int(observations)
        return total

    @property
    def place(self) -> torch.device | None:
        """The device that it lives on; None before the first update where none was chosen."""
        if self._shift is None and not self._kept:
            return self.device
        return (self._kept[0] if self._shift is None else self._shift).device

    @property
    def mean(self) -> Values:
        """The mean of each feature: float64 [dim]. Raises as :meth:`matrix`."""
        self._check()
        if self._shift is None:
            first = self._kept[0][0].double()  # constant features come out exactly
            return first + (torch.cat(self._kept).double() - first).mean(0)
        return self._shift + self._sum / self.observations

    def matrix(self, correction: int = 0) -> Square:
        """The covariance: float64 [dim, dim], divided by observations - ``correction`` (equation 11: 0; numpy.cov: 1).

        Raises ``ValueError`` where that is not positive, and for NaN or infinite values among the observations.
        """
        if self.observations <= correction:
            raise ValueError(f"expected more than {correction} observations, got {self.observations}")
        if self._shift is None:
            deviations = self._deviations()
            return deviations.T @ deviations / (self.observations - correction)
        self._check()
        matrix = torch.addr(self._products, self._sum, self._sum, alpha=-1 / self.observations)
        matrix.div_(self.observations - correction)
        return _mirror(matrix)

    def compact(self) -> Square:
        """A matrix with the covariance's eigenvalues, zeros left out: itself, or [n, n] for n < dim observations."""
        if self._shift is not None or self.observations >= self.dim:
            return self.matrix()
        deviations = self._deviations()
        return deviations @ deviations.T / self.observations

    def _take(self, block):
        """Add a block [n, dim]."""
        if self._shift is None and self.observations + len(block) <= self.dim:
            device = self.device or (self._kept[0] if self._kept else block).device
            self._kept.append(block.to(device, copy=True))
            self.observations += len(block)
            return
        if self._shift is None:
            shift = (self._kept[0] if self._kept else block).double().mean(0)
            self._unfold(shift if block.dtype == torch.float64 else shift.float())  # constant features: exactly theirs
        self._add(block)
        self.observations += len(block)

    def _unfold(self, shift: torch.Tensor) -> torch.Tensor:
        """Go over from kept observations to sums, if that has not happened yet; returns their reference."""
        if self._shift is None:
            shift = self._shift = shift.to(self.device or shift.device, copy=True)
            self._sum = torch.zeros(self.dim, dtype=torch.float64, device=shift.device)
            self._products = torch.zeros(self.dim, self.dim, dtype=torch.float64, device=shift.device)
            kept, self._kept = self._kept, []
            for block in kept:
                self._add(block)
        return self._shift

    def _add(self, block):
        block = block.to(self._products.device)
        exact = block.device.type == "cpu" and block.dtype not in (torch.bfloat16, torch.float16)
        work = torch.promote_types(self._shift.dtype, torch.float64 if exact else torch.float32)
        y = torch.sub(block, self._shift.to(work))  # float64 activations stay float64
        self._sum += y.sum(0, dtype=torch.float64)
        if self.dim <= PANEL and len(y) % PARTS == 0:
            parts = y.view(PARTS, -1, self.dim)
            self._products += (parts.mT @ parts).sum(0, dtype=torch.float64)
            return
        for start in range(0, self.dim, PANEL):
            left, right = y[:, start:start + PANEL].T, y[:, start:]
            target = self._products[start:start + PANEL, start:]
            if y.dtype == torch.float64:
                target.addmm_(left, right)
            else:
                target += left @ right

    def _deviations(self):
        mean = self.mean  # says so where there is no observation
        return torch.cat(self._kept).double() - mean

    def _check(self):
        if self.observations == 0:
            raise ValueError("expected at least one observation, got none: call update first")
        sums = torch.cat(self._kept).double().sum(0) if self._shift is None else self._sum + self._products.diagonal()
        if bad := int((~sums.isfinite()).sum()):
            raise ValueError(f"expected finite activations, got NaN or infinite values in {bad} of {self.dim} features "
                             f"among {self.observations} observations")


def _mirror(matrix):
    """Copy what is above the diagonal below it, in place; by panels, a third of the time that it takes at once."""
    for start in range(0, len(matrix), PANEL):
        own, right = slice(start, start + PANEL), slice(start + PANEL, None)
        matrix[right, own] = matrix[own, right].T
        square = matrix[own, own]  # its two halves are equal but for rounding
        square.copy_(square.triu() + square.triu(1).T)
    return matrix


def check_covariance(x: object) -> Covariance:
    """``x``, or a ``TypeError`` where it is no :class:`Covariance`."""
    if not isinstance(x, Covariance):
        raise TypeError(f"expected a Covariance, got {type(x).__name__}")
    return x


def feature_axis(x: torch.Tensor) -> int:
    """Where features are by custom: axis 1 of feature maps (4 and 5 axes), else the last."""
    return 1 if x.ndim in (4, 5) else -1


def _blocks(x, axis):
    """Parts of ``x`` as matrices [observations, features], without copies where the features lie together in memory."""
    features = x.shape[axis]
    rows = max(1024, BLOCK // features)
    if axis == x.ndim - 1 or x.movedim(axis, -1).is_contiguous():
        yield from x.movedim(axis, -1).reshape(-1, features).split(rows)
        return
    maps = x[None] if axis == 0 else x
    maps = maps.movedim(axis + (axis == 0), 1).flatten(2)  # [N, features, places]
    for part in maps.split(max(1, rows // maps.shape[2])):
        for piece in part.split(rows, dim=2):
            yield piece.transpose(0, 1).reshape(features, -1).T
