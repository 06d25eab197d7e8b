"""Probes against scikit-learn, an equation solved by hand, the gradient, and loops of themselves."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from rrahelpers import data, models
from rrahelpers.base.files import write_json
from rrahelpers.features.pooled import each_pooled_layer, pool
from rrahelpers.probes import fit_probe, logistic, probe_layers, probe_positions
from rrahelpers.study import results
from rrahelpers.training.config import RunConfig
from rrahelpers.training.runs import Run, save_weights

pytestmark = pytest.mark.usefixtures("one_thread")


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def problem(n, d, classes, seed=0, spread=1.0):
    """Overlapping classes with features of very different sizes and means: x [n, d] and labels."""
    y = torch.arange(n) % classes
    x = spread * normal(classes, d, seed=seed)[y] + normal(n, d, seed=seed + 1)
    return x * torch.logspace(-1, 1, d, dtype=torch.float64) + 5 * normal(1, d, seed=seed + 2), y


def reference(x, y, C=1.0):
    return LogisticRegression(C=C, solver="newton-cg", tol=1e-10, max_iter=1000).fit(x.numpy(), y.numpy())


def objective(result, x, y, C=1.0):
    """scikit-learn's, for coefficients [K, D]; two classes share the one score that is the difference of ours."""
    w, b = (t.double().clone().requires_grad_() for t in (result.coefficients, result.intercepts))
    penalty = (w[1] - w[0]).square().sum() / 2 if len(w) == 2 else w.square().sum() / 2
    value = C * F.cross_entropy(x.double() @ w.T + b, torch.searchsorted(result.classes, y), reduction="sum") + penalty
    return value, torch.autograd.grad(value, (w, b))


def fit(x, y, **options):
    return fit_probe(x, y, x, y, **options)


# --- the optimum


@pytest.mark.parametrize("C", [0.01, 1, 100])
@pytest.mark.parametrize("n, d, classes", [(240, 12, 4), (200, 6, 2), (60, 90, 3)], ids=["tall", "two classes", "wide"])
def test_coefficients_are_scikit_learns_and_the_gradient_is_zero(n, d, classes, C):
    x, y = problem(n, d, classes)
    result, sklearn = fit(x, y, C=C, tol=1e-16), reference(x, y, C)
    ours = result.coefficients if classes > 2 else result.coefficients[1:] - result.coefficients[:1]
    b = result.intercepts
    intercepts = b - b.mean() if classes > 2 else b[1:] - b[:1]
    expected = sklearn.intercept_ - (sklearn.intercept_.mean() if classes > 2 else 0)
    np.testing.assert_allclose(ours, sklearn.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(intercepts, expected, rtol=1e-4, atol=1e-3)
    assert result.train_accuracy == sklearn.score(x.numpy(), y.numpy())
    value, gradients = objective(result, x, y, C)
    assert all(g.abs().max() < 1e-5 * value for g in gradients)
    assert result.converged and result.gap <= 1e-16


@pytest.mark.parametrize("n, d", [(400, 4), (60, 200)])
@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_one_large_feature_hides_no_others(n, d, scale):
    y = torch.arange(n) % 3
    x = torch.randn(n, d, dtype=torch.float64)
    x[:, :3] += 2 * F.one_hot(y, 3)
    x[:, 3] *= scale
    exact, found = (fit_probe(features, y, x, y) for features in (x, x.float()))
    assert found.converged and found.accuracy == pytest.approx(exact.accuracy, abs=0.02)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-7), (torch.float32, 1e-4)])
def test_a_case_solved_by_hand(dtype, tolerance):
    """n samples at -1 and n at 1: the one weight w solves w = 2 n C / (1 + exp(w)), and the intercept is 0."""
    n, C = 50, 0.1
    x, y = torch.tensor([[-1.0], [1.0]], dtype=dtype).repeat(n, 1), torch.tensor([0, 1]).repeat(n)
    w = brentq(lambda w: w - 2 * n * C / (1 + np.exp(w)), 0, 100)
    result = fit(x, y, C=C, tol=1e-14 if dtype == torch.float64 else 1e-8)
    np.testing.assert_allclose(result.coefficients, [[-w / 2], [w / 2]], rtol=tolerance)
    np.testing.assert_allclose(result.intercepts, [0, 0], atol=tolerance)
    assert result.coefficients.dtype == dtype and result.accuracy == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_default_tolerance_on_real_images(dtype):
    pixels, labels = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
    x, x_test, y, y_test = pixels[:1200].to(dtype), pixels[1200:].to(dtype), labels[:1200], labels[1200:]
    result, sklearn = fit_probe(x, y, x_test, y_test, C=0.01), reference(x.double(), y, 0.01)
    assert abs(result.accuracy - sklearn.score(x_test.numpy(), y_test.numpy())) <= 1 / len(y_test)  # one sample
    np.testing.assert_allclose(result.coefficients, sklearn.coef_, atol=0.01 * abs(sklearn.coef_).max())
    best = torch.from_numpy(sklearn.coef_), torch.from_numpy(sklearn.intercept_)
    least = 0.01 * F.cross_entropy(x.double() @ best[0].T + best[1], y, reduction="sum") + best[0].square().sum() / 2
    excess = objective(result, x, y, 0.01)[0] / least - 1
    assert -1e-9 < excess < 50 * result.gap  # an estimate, not a bound


def test_scores_of_shifted_and_scaled_features():
    x, y = problem(150, 8, 3)
    base = fit(x, y, tol=1e-16)
    for factor, shift in ((1e-3, 0), (1e9, 0), (1, 1e4)):  # C is for the features as they are
        other = fit(x * factor + shift, y, C=factor**-2, tol=1e-16)
        torch.testing.assert_close(other.coefficients * factor, base.coefficients, rtol=1e-4, atol=1e-6)
    other = fit((x + 1e4).float(), y)
    assert other.train_accuracy == pytest.approx(base.train_accuracy, abs=0.02)
    assert fit((x * 1e25).float(), y, C=1e-30).converged and fit((x * 1e-25).float(), y).converged


@pytest.mark.parametrize("n, d", [(30, 5), (8, 20)], ids=["tall", "wide"])
def test_the_metric_is_inverted(n, d):
    x, g, a = normal(2, n, d), normal(2, 3, d, seed=1), torch.tensor([0.05, 0.2], dtype=torch.float64)
    penalty = torch.full((2, 1, d), 0.01, dtype=torch.float64)
    problems = logistic._Problems(x, torch.zeros(n, dtype=torch.int64), 3, penalty)
    metric = a[:, None, None] * x.mT @ x / n + 0.01 * torch.eye(d, dtype=torch.float64)
    torch.testing.assert_close(problems.factor(a)(g), torch.linalg.solve(metric, g.mT).mT)


def test_several_blocks_of_samples_give_the_same(monkeypatch):
    x, y = problem(230, 20, 3)
    one = fit(x, y, tol=1e-14)
    monkeypatch.setattr(logistic, "CELLS", 500)  # 23 samples
    torch.testing.assert_close(fit(x, y, tol=1e-14).coefficients, one.coefficients, rtol=1e-5, atol=1e-7)


def test_separable_classes_and_next_to_no_penalty():
    x, y = problem(120, 10, 3, spread=20)
    result = fit(x, y, C=1e4, tol=1e-10)
    assert result.converged and result.accuracy == 1
    value, gradients = objective(result, x, y, 1e4)
    assert all(g.abs().max() < 1e-2 * value for g in gradients)
    with pytest.warns(UserWarning, match=r"1 of 1 probes .* 3 iterations; raise max_iter \(now 3\), lower C"):
        result = fit(x, y, C=1e4, max_iter=3)
    assert not result.converged and result.iterations == 3 and result.gap > 1e-6
    assert fit(x.float(), y, C=1e4).converged


def test_where_rounding_ends_the_search_it_says_so_and_keeps_the_best():
    x, y = problem(150, 8, 3)
    with pytest.warns(UserWarning, match="float64 features against rounding"):
        result = fit(x.float(), y, tol=1e-30)
    assert not result.converged and result.iterations < 1000
    value, exact = objective(result, x, y)[0], objective(fit(x, y, tol=1e-14), x, y)[0]
    assert value / exact - 1 < 1e-6


# --- labels and degenerate features


def test_any_integers_are_labels_and_an_unseen_class_is_an_error():
    x, y = problem(120, 6, 3)
    names = torch.tensor([-5, 7, 1000])
    plain, named = fit(x, y), fit(x, names[y])
    assert named.classes.tolist() == [-5, 7, 1000] and torch.equal(plain.coefficients, named.coefficients)
    assert named.accuracy == plain.accuracy > 0.5
    unseen = torch.cat([names[y], torch.full((40,), 8)])
    assert fit_probe(x, names[y], torch.cat([x, x[:40]]), unseen).accuracy == pytest.approx(120 / 160 * plain.accuracy)


def test_constant_features():
    y = torch.tensor([0] * 30 + [1] * 60 + [2] * 10)
    result = fit(torch.full((100, 4), 3.0), y)
    assert result.coefficients.abs().max() == 0 and result.accuracy == 0.6
    np.testing.assert_allclose(result.intercepts.softmax(0), [0.3, 0.6, 0.1], atol=1e-3)
    x, y = problem(90, 5, 3)
    with_one = fit(torch.cat([x, torch.full((90, 1), 7.0, dtype=torch.float64)], 1), y, tol=1e-14)
    assert with_one.coefficients[:, 5].abs().max() < 1e-12
    torch.testing.assert_close(with_one.coefficients[:, :5], fit(x, y, tol=1e-14).coefficients, rtol=1e-5, atol=1e-7)


def test_duplicate_features_and_a_dead_channel_share_the_weight():
    x, y = problem(90, 5, 3)
    doubled = fit(torch.cat([x, x, torch.zeros(90, 3, dtype=torch.float64)], 1), y, C=0.5, tol=1e-15)
    torch.testing.assert_close(2 * doubled.coefficients[:, :5], fit(x, y, tol=1e-15).coefficients, rtol=1e-5, atol=1e-7)
    assert doubled.coefficients[:, 10:].abs().max() == 0


def test_arrays_whole_numbers_and_maps_are_features():
    x, y = problem(80, 12, 2)
    x = (10 * x).round()
    expected = fit(x.float(), y).coefficients
    for same in (x.numpy().astype(np.int16), x.half().view(80, 3, 2, 2), x.float().numpy()):
        plain = torch.as_tensor(same).float().flatten(1)
        torch.testing.assert_close(fit(same, y.numpy()).coefficients, fit(plain, y).coefficients)
    torch.testing.assert_close(fit(x.float().numpy(), y).coefficients, expected)


def with_value(value):
    x = torch.zeros(20, 3)
    x[4, 1] = x[9, 0] = x[9, 2] = value
    return x


Y = torch.arange(20) % 2


@pytest.mark.parametrize("x, y, options, error, message", [
    (with_value(torch.nan), Y, {}, ValueError, "training samples: expected finite features, got 3 NaN .* of 60"),
    (with_value(torch.inf), Y, {}, ValueError, "got 3 NaN or infinite"),
    (torch.zeros(20, 3), Y * 0 + 4, {}, ValueError, r"at least two classes, got 20 of class \[4\]"),
    (torch.zeros(20, 3), Y[:19], {}, ValueError, "one label for each of 20 samples"),
    (torch.zeros(20, 3), Y.float(), {}, TypeError, "labels must be integers"),
    (torch.zeros(20), Y, {}, ValueError, r"\[N, D\].*got shape \(20,\)"),
    (torch.zeros(0, 3), Y[:0], {}, ValueError, r"at least one sample .*\(0, 3\)"),
    (torch.zeros(20, 0), Y, {}, ValueError, r"one feature.*\(20, 0\)"),
    (torch.zeros(20, 3, dtype=torch.complex64), Y, {}, TypeError, "training samples: .* got torch.complex64"),
    (torch.zeros(20, 3), Y, {"C": 0}, ValueError, "C above 0 and finite, got 0"),
    (torch.zeros(20, 3), Y, {"C": float("inf")}, ValueError, "C above 0 and finite, got inf"),
    (torch.zeros(20, 3), Y, {"tol": -1}, ValueError, "tol above 0"),
    (torch.zeros(20, 3), Y, {"max_iter": 0}, ValueError, "max_iter above 0"),
])
def test_bad_input(x, y, options, error, message):
    with pytest.raises(error, match=message):
        fit_probe(x, y, torch.zeros(20, 3), Y, **options)


@pytest.mark.parametrize("x, y, message", [
    (torch.zeros(20, 4), Y, "got 3 to train and 4 to test"),
    (torch.zeros(20, 3), Y[:5], "one label for each of 20 samples"),
    (with_value(torch.nan), Y, "test samples: expected finite features"),
])
def test_bad_test_samples(x, y, message):
    with pytest.raises(ValueError, match=message):
        fit_probe(torch.zeros(20, 3), Y, x, y)


# --- places


@pytest.fixture
def maps():
    """Maps [150, 4, 3, 2], labels, and as many for testing; the classes are clearer towards the last place."""
    y = torch.arange(150) % 3
    means, clear = normal(3, 4, 1, 1, seed=3), torch.linspace(0, 2, 6, dtype=torch.float64).view(3, 2)
    return [(clear * means[y] + normal(150, 4, 3, 2, seed=seed), y) for seed in (4, 5)]


@pytest.mark.parametrize("memory", [1, 4 * (5 * 8 * 4 * 150), 2**30], ids=["one place at a time", "four", "all"])
def test_places_are_single_probes(maps, memory):
    (x, y), (x_test, y_test) = maps
    table = probe_positions(x, y, x_test, y_test, tol=1e-12, memory=memory)
    assert list(zip(table.row, table.column)) == [(i, j) for i in range(3) for j in range(2)]
    for place in table.itertuples():
        here, there = (m[:, :, place.row, place.column] for m in (x, x_test))
        single = fit_probe(here, y, there, y_test, tol=1e-12)
        assert (place.value, place.train, place.converged) == (single.accuracy, single.train_accuracy, True)
    assert table.value.iloc[0] < 0.5 < table.value.iloc[-1]


def test_places_that_end_at_different_times_keep_their_optimum(maps):
    (x, y), _ = maps
    fits = logistic.fit(x.flatten(2).permute(2, 0, 1), y, 3, 100.0, 1e-14, 500)
    assert len(set(fits.iterations.tolist())) > 1
    for place in range(6):
        single = fit(x.flatten(2)[:, :, place], y, C=100.0, tol=1e-14)
        torch.testing.assert_close(fits.weights[place], single.coefficients, rtol=1e-5, atol=1e-6)


def test_bad_maps(maps):
    (x, y), (x_test, y_test) = maps
    with pytest.raises(ValueError, match=r"\[N, C, H, W\], got shape \(150, 24\)"):
        probe_positions(x.flatten(1), y, x_test, y_test)
    with pytest.raises(ValueError, match=r"maps differ: \(4, 3, 2\) and \(4, 2, 2\)"):
        probe_positions(x, y, x_test[:, :, :2], y_test)
    with pytest.warns(UserWarning, match="6 of 6 probes ended"):
        probe_positions(x, y, x_test, y_test, max_iter=1)


# --- layers


@pytest.fixture
def network():
    model = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3), nn.Flatten(),
                          nn.Linear(24, 3))
    y = torch.arange(90) % 3
    x = (normal(3, 1, 8, 8)[y] + 2 * normal(90, 1, 8, 8, seed=1)).float()
    return model, x[:60], y[:60], x[60:], y[60:]


@pytest.mark.parametrize("memory", [1, 2**30])
def test_every_layer_is_probed_on_its_pooled_features(network, memory):
    model, x, y, x_test, y_test = network
    table = probe_layers(model, x, y, x_test, y_test, sizes=(1, 4, 7), memory=memory, batch_size=7, progress=False)
    assert table.layer.tolist() == [layer for layer in ("input", "0", "3", "5") for _ in range(3)]
    assert table["index"].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 and table["size"].tolist() == [1, 4, 7] * 4
    assert table.features.tolist() == [1, 16, 49, 5, 80, 245, 6, 24, 24, 3, 3, 3]  # never up-sampled
    with torch.no_grad():
        by_hand = {("input", 4): lambda m: F.avg_pool2d(m, 2), ("0", 1): lambda m: model[0](m).mean((2, 3)),
                   ("3", 7): model[:4], ("5", 1): model}
        for (layer, size), features in by_hand.items():
            single = fit_probe(features(x), y, features(x_test), y_test)
            row = table[(table.layer == layer) & (table["size"] == size)].iloc[0]
            assert (row.value, row.train) == (single.accuracy, single.train_accuracy)


def test_pooling():
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert torch.equal(pool(x, 3, "nearest"), x[:, :, ::2, ::2])  # strided sampling
    assert torch.equal(pool(x, 3), F.avg_pool2d(x, 2))
    assert pool(x, 4, "nearest").shape == (1, 1, 4, 4) and torch.equal(pool(x, 9), x)
    assert pool(torch.zeros(2, 3, 2, 8), 4).shape == (2, 3, 2, 4) and pool(torch.zeros(2, 5), 4).shape == (2, 5)


def test_layers_are_pooled_in_few_passes_and_alike_sizes_share_their_features(network):
    model, x, *_ = network
    passes = []
    model.register_forward_pre_hook(lambda _, images: passes.append(len(images[0])))
    # the input by itself needs no pass
    for memory, expected in ((2**30, 1), (60 * 4 * (16 + 49 + 80 + 245), 2), (1, 3)):
        passes.clear()
        pooled = dict(each_pooled_layer(model, [x], ["input", "0", "3", "5"], (4, 7), memory=memory, batch_size=60))
        assert passes == [2] + [60] * expected
        assert [list(sets) for sets in pooled.values()] == [[(4,), (7,)], [(4,), (7,)], [(4, 7)], [(4, 7)]]


@pytest.mark.parametrize("options, error, message", [
    ({"layers": ["0", "conv9"]}, ValueError, r"unknown layers \['conv9'\]"),
    ({"pooling": "max"}, ValueError, "unknown pooling 'max'"),
    ({"sizes": (4, 0)}, ValueError, "from 1 on, got 0"),
    ({"C": -1}, ValueError, "C above 0"),
])
def test_bad_layers(network, options, error, message):
    with pytest.raises(error, match=message):
        probe_layers(*network, progress=False, **options)


def test_labels_are_looked_at_before_the_network_runs(network):
    model, x, y, x_test, y_test = network
    model.register_forward_pre_hook(lambda *_: pytest.fail("ran"))
    for arguments in ((x, y[:9], x_test, y_test), (x, y, x_test, y_test[:9]), (x, y * 0, x_test, y_test)):
        with pytest.raises(ValueError, match="one label for each|two classes"):
            probe_layers(model, *arguments, progress=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda():
    x, y = problem(300, 12, 4)
    here, there = fit(x, y, tol=1e-12), fit(x.cuda(), y.cuda(), tol=1e-12)
    torch.testing.assert_close(there.coefficients.cpu(), here.coefficients, rtol=1e-4, atol=1e-6)
    assert there.coefficients.is_cuda and there.accuracy == here.accuracy


# --- stored runs


@pytest.fixture
def run(data_folder):
    """A stored, untrained perceptron for the bundled digits."""
    options = {"units": 8, "image_size": 8}
    config = RunConfig("perceptron", "digits", options=options, epochs=1, seed=3, data_checksum=data.checksum("digits"))
    build = {**config.options, "num_classes": 10, "in_channels": 1}
    folder = data_folder / "runs" / config.name
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_weights(folder, models.build("perceptron", **build).state_dict())
    write_json(folder / "record.json", {"format": 1, "status": "complete", "config": config.as_dict(), "build": build,
                                        "mean": [0.3], "std": [0.4], "history": [{"test_accuracy": 0.5}]})
    return Run(folder)


def test_a_runs_probes_are_fitted_once_and_layer_by_layer(run, monkeypatch):
    assert results.probe_table(run, 150, compute=False) is None
    first = results.probe_table(run, 150, layers=["fc", "hidden1"])
    assert first.layer.tolist() == ["fc", "hidden1"] and first["index"].tolist() == [0, 1]
    every = results.probe_table(run, 150)
    assert every.layer.tolist() == ["input", "hidden1", "hidden2", "fc"] and every["index"].tolist() == [0, 1, 2, 3]
    assert every.features.tolist() == [16, 256, 8, 10] and set(every.seed) == {3}
    assert every.value.tolist()[1] == first.value.tolist()[1] > 0.3
    monkeypatch.setattr(results.probes, "each_probe", lambda *_, **__: pytest.fail("fitted again"))
    again = results.probe_table(run, 150, compute=False)
    assert again.equals(every) and results.probe_table(run, 140, compute=False) is None


def test_a_runs_places(run):
    assert results.position_table(run, "input", 120, compute=False) is None
    table = results.position_table(run, "input", 120)
    assert len(table) == 64 and set(table.layer) == {"input"} and table.value.between(0, 1).all()
    assert table.equals(results.position_table(run, "input", 120, compute=False))
