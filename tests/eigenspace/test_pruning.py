"""Garg et al.: as many filters as there are directions in which a layer's output varies."""

import numpy as np
import pytest
import torch

from rrahelpers.eigenspace import (
    Covariance,
    PCAProjection,
    describe,
    embed,
    filters_to_keep,
    project,
    saturation_by_delta,
)


def of_rank(rank, features=12, n=200, noise=0.0):
    torch.manual_seed(rank)
    covariance = Covariance(features)
    covariance.update(torch.randn(n, rank, dtype=torch.float64) @ torch.randn(rank, features, dtype=torch.float64)
                      + noise * torch.randn(n, features, dtype=torch.float64))
    return covariance


def test_ranks_are_kept_and_layers_that_break_the_rise_removed():
    table = filters_to_keep({name: of_rank(rank) for name, rank in zip("abcdef", (3, 5, 4, 5, 9, 2))}, delta=1)
    assert table.layer.tolist() == list("abcdef") and table["index"].tolist() == list(range(6))
    assert table.filters.tolist() == [12] * 6 and table.keep.tolist() == [3, 5, 4, 5, 9, 2]
    assert table["remove"].tolist() == [False, False, True, True, False, True]
    left = table[~table["remove"]].keep
    assert left.is_monotonic_increasing and left.is_unique


def test_a_share_of_the_variance_by_numpy():
    covariance = of_rank(4, noise=0.01)
    values = np.linalg.eigvalsh(covariance.matrix().numpy())[::-1]
    wanted = int(np.argmax(values.cumsum() / values.sum() >= 0.9999)) + 1
    assert filters_to_keep({"a": covariance}).keep.tolist() == [wanted]
    dead = Covariance(3)
    dead.update(torch.zeros(5, 3))
    assert filters_to_keep({"dead": dead})[["keep", "remove"]].values.tolist() == [[0, True]]


@pytest.mark.parametrize("call, message", [
    (lambda: Covariance(3).merge(5), "expected a Covariance, got int"),
    (lambda: filters_to_keep({"a": 5}), "expected a Covariance, got int"),
    (lambda: filters_to_keep([5]), "expected covariances as {layer: Covariance}, got list"),
    (lambda: describe(torch.eye(3)), "expected a Covariance, got Tensor"),
    (lambda: embed(None, torch.eye(3)), "expected a Covariance, got NoneType"),
    (lambda: PCAProjection().fit("a"), "expected a Covariance, got str"),
    (lambda: project(torch.nn.Sequential(torch.nn.Linear(2, 2)), 0.9, {"0": 5}), "expected a Covariance, got int"),
    (lambda: project(torch.nn.Sequential(torch.nn.Linear(2, 2)), 0.9, [5]), "as {layer: Covariance}, got list"),
])
def test_what_is_no_covariance_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
    with pytest.raises(ValueError, match="at least one layer"):
        filters_to_keep({})


def test_saturation_for_several_shares_of_the_variance():
    seen, few = of_rank(4, noise=0.01), Covariance(6)
    few.update(torch.eye(6, dtype=torch.float64)[:3])
    table = saturation_by_delta({"a": seen, "few": few}, [0.9, 0.9999])
    for row in table.itertuples():
        about = describe({"a": seen, "few": few}[row.layer], row.delta)
        assert (row.saturation, row.intrinsic_dimension) == (about["saturation"], about["intrinsic_dimension"])
    assert table["index"].tolist() == [0, 0, 1, 1] and table.saturation[3] == 2 / 6
    with pytest.raises(ValueError, match="share of the variance"):
        saturation_by_delta({"a": seen}, [1.5])
