"""Covariance and what its eigenvalues say, against NumPy and cases worked by hand."""

import pickle

import numpy as np
import pytest
import torch

from rrahelpers.eigenspace import (
    Covariance,
    count,
    describe,
    eigenvalues,
    embed,
    log_determinant,
    n_components,
    saturation,
    spectrum,
)


def numpy_covariance(x, axis):
    """The textbook two passes in float64, one row for each place."""
    rows = np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1).reshape(-1, x.shape[axis])
    return np.cov(rows, rowvar=False, bias=True).reshape(x.shape[axis], -1)


# --- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares, delta, expected", [
    ([0.97, 0.02, 0.01], 0.99, 2), ([0.995, 0.005], 0.99, 1), ([0, 0, 0], 0.99, 0), ([0.1] * 10, 0.95, 10),
    ([0.1] * 10, 0.9, 9), ([0.01, 0.97, 0.02], 0.99, 2), ([3, 0, 1], 1, 2), ([5], 0.01, 1), ([1, -1e-17], 1, 1),
])
def test_cases_worked_by_hand(shares, delta, expected):
    assert n_components(shares, delta) == expected
    assert n_components(torch.tensor(shares), delta) == expected
    assert saturation(shares, delta) == expected / len(shares)
    assert count(torch.diag(torch.tensor(shares, dtype=torch.float64)), delta) == expected


@pytest.mark.parametrize("shares, delta, message", [
    ([1.0, 2.0], 99, r"\(0, 1\], got 99"), ([1.0], 0, "got 0"), ([1.0], float("nan"), "got nan"),
    ([], 0.9, r"\[D\], got shape \(0,\)"), ([[1.0]], 0.9, r"got shape \(1, 1\)"),
    ([1.0, np.nan], 0.9, "1 NaN or infinite of 2"), ([1.0, -0.5], 0.9, "-0.5 beside 1"),
])
def test_impossible_spectra_and_thresholds_are_refused(shares, delta, message):
    with pytest.raises(ValueError, match=message):
        n_components(shares, delta)


def test_log_determinant_where_the_determinant_underflows():
    assert log_determinant([1e-5] * 100) == pytest.approx(100 * np.log(1e-5))
    assert np.prod([1e-5] * 100) == 0
    assert log_determinant([1.0, 0.0]) == -np.inf


@pytest.mark.parametrize("values, decided", [
    (0.8 ** np.arange(350), 1), (0.95 ** np.arange(350), 0.1), (np.ones(350), 0), (np.zeros(350), 0),
    (np.r_[np.linspace(1.2, 0.8, 10), np.full(340, 0.5 / 340)], 0.8)])
def test_counting_by_bounds_never_differs_from_counting_all(values, decided, monkeypatch):
    """The shares include the sum of ten eigenvalues, which the bounds can't tell from a little less."""
    basis = torch.linalg.qr(torch.randn(350, 350, dtype=torch.float64)).Q
    matrix = basis * torch.from_numpy(values) @ basis.T
    monkeypatch.setattr(spectrum, "WIDE", 300)
    bounded, true = [], []
    for delta in (*np.linspace(0.6, 0.99, 15), 1 / 1.05, 0.7621, 0.7739, 1):
        bounded.append(spectrum._leading(matrix, delta))
        true.append(n_components(values, delta))
        assert bounded[-1] in (None, true[-1]), f"at {delta}"
    assert np.mean([k is not None for k in bounded[:15]]) >= decided
    assert count(matrix, 0.99) == true[14]


# --- covariance -----------------------------------------------------------------------------------------------------

SHAPES = [((300, 20), None), ((7, 20), None), ((5, 9, 20), None), ((6, 20, 5, 4), None), ((2, 20, 70, 70), None),
          ((3, 20, 3, 4, 2), None), ((6, 20, 9), 1), ((20, 5, 4), 0), ((6, 5, 4, 20), -1), ((20,), -1)]


@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("mean", [0, 1e4])
def test_equals_numpys_covariance(shape, axis, mean):
    batches = [torch.randn(shape) + mean for _ in range(3)]
    covariance = Covariance(20)
    for x in batches:
        covariance.update(x, axis)
    where = axis if axis is not None else 1 if len(shape) > 3 else -1
    rows = np.concatenate([np.moveaxis(x.numpy(), where, -1).reshape(-1, 20) for x in batches]).astype(np.float64)
    assert covariance.observations == len(rows)
    np.testing.assert_allclose(covariance.mean, rows.mean(0), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(covariance.matrix(), np.cov(rows.T, bias=True), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(covariance.matrix(correction=1), np.cov(rows.T), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [300, 384])  # several panels of the symmetric product, the last one whole or not
def test_equals_numpys_covariance_of_many_features(dim):
    batches = [torch.randn(n, dim) @ torch.randn(dim, dim) for n in (250, 401)]
    covariance = Covariance(dim)
    for x in batches:
        covariance.update(x)
    rows = torch.cat(batches).double().numpy()
    matrix = covariance.matrix()
    np.testing.assert_allclose(matrix, np.cov(rows.T, bias=True), rtol=1e-9, atol=1e-9)
    assert torch.equal(matrix, matrix.T)


def test_memory_layout_makes_no_difference():
    x = torch.randn(8, 20, 12, 12)
    results = []
    for y in (x, x.contiguous(memory_format=torch.channels_last), x.flip(3).flip(3)[:, :, :, :], x.permute(3, 1, 2, 0)):
        covariance = Covariance(20)
        covariance.update(y)
        results.append(covariance.matrix())
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_squared_in_float32_also_within_autocast(dtype):
    x = (3 + torch.randn(40, 16, 6, 6)).to(dtype)
    covariance = Covariance(16)
    with torch.autocast("cpu", torch.bfloat16):
        covariance.update(x)
    np.testing.assert_allclose(covariance.matrix(), numpy_covariance(x.double(), 1), atol=2e-6)


@pytest.mark.parametrize("sizes", [(100, 100, 100), (3, 2, 400), (400, 3, 2), (3, 4, 5)])
def test_merging_equals_one_pass(sizes):
    parts, whole = [], Covariance(12)
    for number, size in enumerate(sizes):
        x = torch.randn(size, 12) + 100 * number  # workers that see different data
        parts.append(Covariance(12))
        parts[-1].update(x)
        whole.update(x)
    merged = Covariance(12)
    for part in parts:
        merged.merge(pickle.loads(pickle.dumps(part)))  # as it comes from another process
    assert merged.observations == sum(sizes)
    torch.testing.assert_close(merged.matrix(), whole.matrix(), rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(merged.mean, whole.mean, rtol=1e-13, atol=1e-13)
    with pytest.raises(ValueError, match="12 features, got a.*|covariance of 12 features, got 5"):
        merged.merge(Covariance(5))


def test_what_is_kept_is_a_copy():
    x, covariance = torch.randn(4, 10), Covariance(10)
    covariance.update(x)
    expected = numpy_covariance(x, 1)
    x.relu_()
    np.testing.assert_allclose(covariance.matrix(), expected, atol=1e-14)


def test_constant_features_have_no_variance_at_all():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        covariance = Covariance(60)
        for _ in range(5):
            covariance.update(torch.logspace(-9, 6, 60, dtype=dtype).expand(77, 60))
        assert not covariance.matrix().any()
        assert describe(covariance)["intrinsic_dimension"] == describe(covariance)["saturation"] == 0


def test_fewer_observations_than_features_give_the_same_spectrum():
    x, covariance = torch.randn(9, 30), Covariance(30)
    covariance.update(x)
    assert covariance.compact().shape == (9, 9)
    expected = np.linalg.eigvalsh(numpy_covariance(x, 1))[::-1]
    np.testing.assert_allclose(np.pad(eigenvalues(covariance.compact()), (0, 21)), expected, atol=1e-14)
    about = describe(covariance, extended=True)
    assert about["intrinsic_dimension"] == describe(covariance)["intrinsic_dimension"] == 8
    assert about["trace"] == pytest.approx(expected.sum()) == pytest.approx(about["diagonal_trace"])
    assert about["log_determinant"] == -np.inf


def test_an_embedding_is_centred_uncorrelated_and_ordered():
    x, covariance = torch.randn(500, 6) @ torch.randn(6, 6) + 40, Covariance(6)
    covariance.update(x)
    places = embed(covariance, x)
    assert places.shape == (500, 2)
    np.testing.assert_allclose(np.cov(places.T, bias=True), np.diag(eigenvalues(covariance.matrix())[:2]), atol=1e-10)
    np.testing.assert_allclose(places.mean(0), 0, atol=1e-12)
    assert embed(covariance, torch.randn(3, 6, 4, 5)).shape == (60, 2)


def test_bad_activations_are_named():
    covariance = Covariance(4)
    with pytest.raises(ValueError, match="at least one observation"):
        covariance.mean
    with pytest.raises(ValueError, match="more than 0 observations, got 0"):
        covariance.matrix()
    covariance.update(torch.zeros(0, 4))
    for x, axis in ((torch.zeros(3, 5), None), (torch.zeros(3, 4), 2), (torch.tensor(1.0), None)):
        with pytest.raises(ValueError, match="expected 4 features along axis"):
            covariance.update(x, axis)
    with pytest.raises(TypeError, match="complex64"):
        covariance.update(torch.zeros(3, 4, dtype=torch.complex64))
    for observations in (2, 100):
        covariance = Covariance(4)
        covariance.update(torch.randn(observations, 4).index_fill(1, torch.tensor([2]), float("inf")))
        with pytest.raises(ValueError, match=f"finite.*1 of 4 features.*{observations} observations"):
            covariance.matrix()
    for dim in (0, 2.0, True):
        with pytest.raises(ValueError, match="positive whole number"):
            Covariance(dim)
