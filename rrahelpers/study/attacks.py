"""Guarantees of nearest-neighbour predictions under attack: data of SI = 1, and perturbations that look for a flip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers import separation

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int64

    from rrahelpers.base.shapes import Values

STEPS, DRAWS, RIVALS = 20, 10, 5  # of the search; directions at random; nearest samples of other labels


def flipped(new: Float[torch.Tensor, "m d"], x: Float[torch.Tensor, "n d"], labels: Int64[torch.Tensor, " n"],
            radius: Values, *, seed: int = 0) -> Bool[torch.Tensor, " m"]:
    """Whether an attack finds, within ``radius`` [M] of a sample, a place whose nearest neighbour has another label.

    Three attacks: straight at each of the nearest samples of another label, in directions at random, and by steps that
    each go from the nearest sample of the prediction's label towards the nearest of another, which is the gradient of
    the difference of their squared distances.
    """
    new, x, radius = new.double(), x.double(), radius.double()[:, None]
    distances = torch.cdist(new, x)
    own = labels[distances.argmin(1)]
    other = labels != own[:, None]
    rivals = distances.masked_fill(~other, torch.inf).topk(RIVALS, largest=False).indices
    random = torch.randn(DRAWS, *new.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    directions = [*(x[rival] - new for rival in rivals.T), *random]
    places = [new + radius * direction / direction.norm(dim=1, keepdim=True) for direction in directions]
    place = new
    for _ in range(STEPS):
        distances = torch.cdist(place, x)
        near, far = (x[distances.masked_fill(mask, torch.inf).argmin(1)] for mask in (other, ~other))
        step = far - near
        move = place + radius / 4 * step / step.norm(dim=1, keepdim=True).clamp(min=1e-12) - new
        place = new + move * (radius / move.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        places.append(place)
    return torch.stack([labels[torch.cdist(at, x).argmin(1)] != own for at in places]).any(0)


def attacked_guarantees(factors: Iterable[float], *, digits: tuple[int, ...] = (0, 6),
                        train: int = 200) -> pd.DataFrame:
    """Digits of a few classes, whose pixels have SI = 1, attacked within so many times the guaranteed error γ.

    ``factors``: of each sample's own γ; up to 1 no label may flip. ``train``: training samples; the others are
    attacked. Returns a row for each factor: factor, flipped (share of the samples with γ > 0), samples, SI.
    """
    x, y, new = separated_digits(digits, train)
    known = separation.margins_of(new, x, y)
    sure = separation.guarantee(known, 0.0)
    rows = [{"factor": factor, "flipped": flipped(new[sure], x, y, factor * known.gamma[sure]).double().mean().item(),
             "samples": int(sure.sum()), "SI": known.index} for factor in factors]
    return pd.DataFrame(rows)


def separated_digits(digits: tuple[int, ...], train: int) -> tuple[Float64[torch.Tensor, "n d"],
                                                                   Int64[torch.Tensor, " n"],
                                                                   Float64[torch.Tensor, "m d"]]:
    """scikit-learn's digits of some classes, pixels in [0, 1]: training samples, their labels, the other samples."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x, y = torch.tensor(bunch.data / 16), torch.tensor(bunch.target, dtype=torch.int64)
    chosen = torch.isin(y, torch.tensor(digits))
    return x[chosen][:train], y[chosen][:train], x[chosen][train:]
