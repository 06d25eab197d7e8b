"""CKA against its definition, the U-statistic over pairs written out, a case worked by hand, and degenerate input."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from rrahelpers.similarity import LinearCKA, debiased_cka, gram, linear_cka, linear_cka_matrix


def plain(x, y):
    """HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) with the centring matrix written out (Kornblith et al., section 3)."""
    n = len(x)
    centring = np.eye(n) - 1 / n
    k, l = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


def debiased(x, y):
    """The same of HSIC as the U-statistic that it is: over all ordered quadruples of different samples."""
    k, l = x @ x.T, y @ y.T
    quadruples = np.array(list(permutations(range(len(x)), 4))).T

    def hsic(k, l):
        i, j, q, r = quadruples
        return (k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])).mean()

    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def related(n, d, e):
    generator = np.random.default_rng(n * d + e)
    x, y = generator.normal(size=(n, d)) + 7, generator.normal(size=(n, e))
    y[:, :3] += x[:, :3]
    return x, y


def streamed(x, y, sizes, **options):
    cka = LinearCKA()
    for a, b in zip(torch.as_tensor(x).split(sizes), torch.as_tensor(y).split(sizes)):
        cka.update(a, b)
    assert cka.samples == len(x)
    return cka.value(**options)


SHAPES = [(3, 5), (200, 300), (4, 200)]  # features of the two sides: fewer and more than samples


@pytest.mark.parametrize("d, e", SHAPES)
@pytest.mark.parametrize("definition", [plain, debiased])
def test_linear_cka_by_its_definition(d, e, definition):
    x, y = related(12, d, e)
    options, expected = {"debiased": definition is debiased}, definition(x, y)
    assert linear_cka(x, y, **options) == pytest.approx(expected, rel=1e-9)
    assert linear_cka(torch.tensor(x).float(), y, **options) == pytest.approx(expected, rel=1e-4)
    assert streamed(x, y, [5, 1, 6], **options) == pytest.approx(expected, rel=1e-9)
    matrix = linear_cka_matrix([x, torch.tensor(y).float(), 1e20 * x], **options)
    matrix = matrix.pivot(index="i", columns="j", values="value")
    np.testing.assert_allclose(matrix, [[1, expected, 1], [expected, 1, expected], [1, expected, 1]], rtol=1e-4)
    if definition is debiased:
        assert debiased_cka(gram(x), gram(y)) == pytest.approx(expected, rel=1e-4)


def test_cases_worked_by_hand():
    # centred: (-1, 0, 1) and (0, -1, 1); inner product 1, norms 2 and 2
    x, y = torch.tensor([[0.0], [1], [2]]), torch.tensor([[5.0], [4], [6]])
    assert linear_cka(x, y, debiased=False) == pytest.approx((1 / 2)**2)
    # Products of different samples, with their means over rows taken out, are 4/3 for two pairs of each side and -2/3
    # for the other four. No pair is among the 4/3 of both: 4 (4/3) (-2/3) + 2 (2/3)² = -24/9 against 48/9.
    x, y = torch.tensor([[-1.0], [-1], [1], [1]]), torch.tensor([[-1.0], [1], [-1], [1]])
    assert linear_cka(x, y) == pytest.approx(-1 / 2) and linear_cka(x, y, debiased=False) == pytest.approx(0)


def test_independent_features_have_none_however_many_they_are():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(100, 5000, generator=generator) for _ in range(2))
    assert abs(linear_cka(x, y)) < 0.02 < 0.95 < linear_cka(x, y, debiased=False)


def test_batches_are_added_up_and_not_averaged():
    """Nguyen et al.'s estimator compares the samples of each batch alone: another number for other batches."""
    x, y = related(600, 6, 5)
    assert streamed(x, y, 7) == pytest.approx(streamed(x, y, 600), rel=1e-12)
    assert streamed(x, y, 7) == pytest.approx(linear_cka(x, y), rel=1e-9)
    far = 1e4 + torch.tensor(x).float()  # digits are kept beside a large common offset
    assert streamed(far, y, 7) == pytest.approx(linear_cka(far, y), rel=1e-5)


def test_many_samples_are_summed_in_double_precision():
    x = torch.randn(3000, 16).relu()
    y = (x @ torch.randn(16, 12)).relu()
    for options in ({"debiased": True}, {"debiased": False}):
        expected = linear_cka(x.double(), y.double(), **options)
        np.testing.assert_allclose(linear_cka_matrix([x, y], **options).value, [1, expected, expected, 1], rtol=1e-6)
        assert linear_cka(x, y, **options) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{"debiased": True}, {"debiased": False}])
def test_invariances(options):
    x = torch.randn(50, 6, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    assert linear_cka(x, -3 * x @ rotation + 100, **options) == pytest.approx(1)
    assert linear_cka(x.float() * 1e-30, x * 1e30, **options) == pytest.approx(1, rel=1e-5)
    y = torch.randn(50, 40)
    beside = (1e5 + y).double()  # what float32 holds of y beside a large offset
    assert linear_cka(beside.float(), y, **options) == pytest.approx(linear_cka(beside - 1e5, y, **options), rel=1e-4)
    maps = torch.randn(50, 2, 4, 4)
    assert linear_cka(maps, x, **options) == linear_cka(maps.flatten(1), x, **options)


# constant features; and one sample for each feature, of which no product of two different ones tells anything
@pytest.mark.parametrize("y, kinds", [(torch.full((50, 4), 0.1), [True, False]), (torch.eye(50), [True])])
def test_features_without_a_value_are_nan_with_a_warning(y, kinds):
    x = torch.randn(50, 6)
    for kind in kinds:
        with pytest.warns(UserWarning, match="second side don't vary"):
            assert math.isnan(linear_cka(x, y, debiased=kind))
        with pytest.warns(UserWarning, match="first side"):
            assert math.isnan(streamed(y, x, 20, debiased=kind))
        with pytest.warns(UserWarning, match="layer 1"):
            table = linear_cka_matrix([x, y], debiased=kind)
        assert table.value.isna().tolist() == [False, True, True, True]
    with pytest.warns(UserWarning, match="second side"):
        assert math.isnan(debiased_cka(gram(x), gram(y)))


@pytest.mark.parametrize("x, y, error, message", [
    (torch.randn(5, 2), torch.randn(6, 2), ValueError, "same samples, got 5 and 6"),
    (torch.full((5, 2), torch.nan), torch.randn(5, 2), ValueError, "finite features, got 10 NaN"),
    (torch.randn(5), torch.randn(5, 2), ValueError, r"\[N, D\].*\(5,\)"),
    (torch.randn(0, 2), torch.randn(0, 2), ValueError, r"at least one sample.*\(0, 2\)"),
    ([[1.0]], torch.randn(1, 2), TypeError, "got list"),
    (torch.ones(5, 2, dtype=torch.bool), torch.randn(5, 2), TypeError, "real numbers, got torch.bool"),
    (torch.randn(3, 2), torch.randn(3, 2), ValueError, "four samples or more, got 3"),
])
def test_bad_features(x, y, error, message):
    with pytest.raises(error, match=message):
        linear_cka(x, y)
    with pytest.raises(error, match=message):
        linear_cka_matrix([x, y])
    with pytest.raises(error, match=message):
        cka = LinearCKA()
        cka.update(x, y)
        cka.value()


def test_bad_batches_and_grams():
    cka = LinearCKA()
    cka.update(torch.randn(5, 2), torch.randn(5, 3))
    before = cka.value()
    with pytest.raises(ValueError, match=r"batches of \[2, 3\] features, as before, got \[2, 4\]"):
        cka.update(torch.randn(5, 2), torch.randn(5, 4))
    assert (cka.samples, cka.value()) == (5, before)  # as it was
    with pytest.raises(ValueError, match="four samples or more, got 0"):
        LinearCKA().value()
    with pytest.raises(ValueError, match="four samples or more, got 3"):
        debiased_cka(torch.eye(3), torch.eye(3))
    with pytest.raises(ValueError, match="at least one layer"):
        linear_cka_matrix([])
