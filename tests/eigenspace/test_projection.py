"""Projected networks against the formula written out in NumPy; a network that was projected is left as it was."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from rrahelpers import data, models
from rrahelpers.base import files
from rrahelpers.eigenspace import (
    Covariance,
    PCAProjection,
    covariances,
    eigenvalues,
    n_components,
    project,
    projected_accuracies,
)
from rrahelpers.plots import eigenspace as plots
from rrahelpers.study import results
from rrahelpers.training import runs
from rrahelpers.training.records import FORMAT


@pytest.fixture
def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(inplace=True), nn.Flatten(),
                          nn.Linear(12 * 36, 10))
    model(3 + torch.randn(64, 3, 8, 8))  # batch norm has seen something
    return model.eval()


@pytest.fixture
def images():
    return 3 + torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def correlated(*shape, features=8):
    """Activations [*shape, features] whose variance falls off by direction, far from the origin."""
    rotation = torch.linalg.qr(torch.randn(features, features)).Q
    return (torch.randn(*shape, features) * 0.5 ** torch.arange(features)) @ rotation + 20


def fitted(x, delta, axis=None, **options):
    projection = PCAProjection(delta, axis=axis, **options)
    projection(x)
    return projection.eval()


def numpy_projection(x, delta, centred=True):
    """Equation 12 for rows [n, D], of deviations from the mean or of the rows themselves."""
    mean = x.mean(0) if centred else 0
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    p = vectors[:, ::-1][:, :n_components(values, delta)].T
    return mean + (x - mean) @ p.T @ p


@pytest.mark.parametrize("delta", [0.5, 0.9, 0.99, 0.999])
def test_linear_sequence_and_convolutional_outputs_equal_equation_12(delta):
    rows = correlated(600)
    expected = numpy_projection(rows.double().numpy(), delta)
    np.testing.assert_allclose(fitted(rows, delta)(rows), expected, rtol=1e-6)
    sequence = rows.view(20, 30, 8)
    np.testing.assert_allclose(fitted(sequence, delta)(sequence).reshape(600, 8), expected, rtol=1e-6)
    maps = rows.view(6, 10, 10, 8).permute(0, 3, 1, 2)
    for layout in (maps, maps.contiguous()):
        projected = fitted(layout, delta)(layout)
        assert projected.stride() == layout.stride() and projected.dtype == layout.dtype
        np.testing.assert_allclose(projected.permute(0, 2, 3, 1).reshape(600, 8), expected, rtol=1e-6)


def test_equation_12_as_it_is_printed_loses_what_the_mean_has_outside_of_the_subspace():
    x = correlated(200)
    uncentred = fitted(x, 0.9, centred=False)(x)
    np.testing.assert_allclose(uncentred, numpy_projection(x.double().numpy(), 0.9, centred=False), atol=1e-4)
    assert (uncentred - fitted(x, 0.9)(x)).norm(dim=1).mean() > 1  # the mean is far from the origin
    around_zero = x - x.mean(0)
    torch.testing.assert_close(fitted(around_zero, 0.9, centred=False)(around_zero),
                               fitted(around_zero, 0.9)(around_zero))


def test_a_network_can_be_projected_without_centring(network, images):
    found = covariances(network, images, ["0"])
    with project(network, 0.9, found, centred=False), torch.no_grad():
        answer = network(images)
        x = network[0](images)  # its hook projects it
    rows = torch.nn.functional.conv2d(images, network[0].weight, network[0].bias).movedim(1, -1)
    expected = numpy_projection(rows.detach().reshape(-1, 12).double().numpy(), 0.9, centred=False)
    np.testing.assert_allclose(x.movedim(1, -1).reshape(-1, 12), expected, atol=1e-4)
    assert not torch.allclose(answer, network(images))


@pytest.mark.parametrize("random", [None, 5])
def test_projecting_twice_changes_nothing_more(random):
    x = correlated(300)
    projection = fitted(x, 0.9, random=random)
    once = projection(x)
    torch.testing.assert_close(projection(once), once, rtol=1e-6, atol=1e-5)
    spread = torch.linalg.svdvals((once - once.mean(0)).double())
    assert int((spread > 1e-4 * spread[0]).sum()) == projection.rank < 8
    torch.testing.assert_close(projection(x.mean(0, keepdim=True)), x.mean(0, keepdim=True))  # centred


def test_random_subspaces_hold_less_of_the_variance():
    x = correlated(300)
    projection = fitted(x, 0.9)
    loss = (projection(x) - x).square().sum()
    for seed in range(5):
        projection.random = seed
        assert (projection(x) - x).square().sum() > 3 * loss
        assert torch.equal(projection(x), fitted(x, 0.9, random=seed)(x))


def test_a_large_mean_costs_no_precision():
    x = correlated(400).double()
    shifted = (x + 2.0**20).float()
    near = (fitted(shifted, 0.9)(shifted).double() - 2.0**20)
    exact = fitted((shifted.double() - 2.0**20), 0.9)(shifted.double() - 2.0**20)
    assert (near - exact).abs().max() <= 2.0**20 * 2**-23  # float32's own spacing there


def test_training_passes_through_and_starts_anew_after_an_evaluation():
    first, second = correlated(100), 5 - 3 * correlated(100)
    projection = PCAProjection(0.9)
    assert projection(first) is first
    projection.eval()(first)
    projection.train()(second)
    assert torch.equal(projection.eval()(second), fitted(second, 0.9)(second))


def test_a_look_in_between_takes_nothing_away_from_what_is_collected():
    first, second = correlated(100), 5 - 3 * correlated(100)
    projection = PCAProjection(0.9)
    projection(first)
    assert projection.rank == fitted(first, 0.9).rank
    projection(second)
    both = torch.cat([first, second])
    assert projection.rank == fitted(both, 0.9).rank
    torch.testing.assert_close(projection.eval()(both), fitted(both, 0.9)(both))


def test_what_was_collected_in_inference_mode_serves_outside_of_it():
    x, projection, covariance = correlated(100), PCAProjection(0.9), Covariance(correlated(1).shape[1])
    with torch.inference_mode():
        projection(x)
        projection.eval()(x)
        covariance.update(x[:50])
    covariance.update(x[50:])
    torch.testing.assert_close(covariance.matrix(), fitted_covariance(x))
    y = x.clone().requires_grad_()
    projection(y).sum().backward()
    assert y.grad.isfinite().all()


def fitted_covariance(x):
    whole = Covariance(x.shape[1])
    whole.update(x)
    return whole.matrix()


def test_the_threshold_needs_no_second_pass():
    x = correlated(300)
    projection = fitted(x, 0.5)
    projection(x)
    for delta in (0.9, 0.5, 0.999, 1.0):
        projection.delta = delta
        assert torch.equal(projection(x), fitted(x, delta)(x))
    for delta in (0, 1.01, 99, float("nan")):
        with pytest.raises(ValueError, match="a share of the variance, in"):
            projection.delta = delta


def test_autocast_and_half_precision_do_not_coarsen_the_projection():
    x = correlated(300) - 20
    projection = fitted(x, 0.99)
    plain = projection(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(projection(x), plain)
    half = projection(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, projection(x.bfloat16().float()).bfloat16())


def test_gradients_pass():
    x = correlated(50)
    projection, y = fitted(x, 0.9), x.clone().requires_grad_()
    projection(y).square().sum().backward()
    assert (y.grad.double() @ projection._vectors[:, projection.rank:]).abs().max() < 1e-4 * y.grad.abs().max()


def test_bad_use_is_named():
    with pytest.raises(RuntimeError, match="no covariance to project with"):
        PCAProjection().eval()(torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"expected 8 features along axis -1, got shape \(3, 4\)"):
        fitted(correlated(30), 0.9)(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="finite activations"):
        fitted(torch.full((30, 2), float("nan")), 0.9)(torch.zeros(3, 2))


# --- whole networks -------------------------------------------------------------------------------------------------


def test_delta_1_changes_no_prediction(network, images):
    expected = network(images)
    with project(network, 1.0, covariances(network, images)) as projections:
        assert torch.equal(network(images), expected)
        projections.random = 3
        assert torch.equal(network(images), expected)
        projections.random, projections.delta = None, 0.9999999
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)


def test_a_projected_network_by_hand(network, images):
    found = covariances(network, images)
    with torch.no_grad(), project(network, 0.8, found) as projections:
        projected = network(images)
        table = projections.table()
    maps = network[0](images).detach().double().permute(0, 2, 3, 1)
    maps = torch.from_numpy(numpy_projection(maps.reshape(-1, 12).numpy(), 0.8)).view(maps.shape).permute(0, 3, 1, 2)
    logits = network[4](network[1](maps.float()).relu().flatten(1)).detach().double()
    mean, vectors = found["4"].mean, torch.linalg.eigh(found["4"].matrix())[1].flip(1)[:, :table.dimensions[1]]
    torch.testing.assert_close(projected.double(), mean + (logits - mean) @ vectors @ vectors.T, rtol=1e-4, atol=1e-4)
    assert table.layer.tolist() == ["0", "4"] and table.features.tolist() == [12, 10]
    assert table.dimensions.tolist() == [n_components(eigenvalues(found[name].matrix()), 0.8) for name in ("0", "4")]


def test_taken_out_the_network_is_what_it_was_bit_for_bit(network, images):
    expected, found = network(images), covariances(network, images)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    attributes = [set(vars(module)) for module in network.modules()]
    with pytest.raises(KeyboardInterrupt), project(network, 0.5, found):
        assert not torch.equal(network(images), expected)
        assert list(network.state_dict()) == list(state)
        raise KeyboardInterrupt
    projections = project(network, 0.5, found, layers=["4"])
    assert projections.table().layer.tolist() == ["4"]
    projections.remove()
    projections.remove()
    assert torch.equal(network(images), expected)
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    assert [set(vars(module)) for module in network.modules()] == attributes
    assert not any(module._forward_hooks for module in network.modules())


def test_without_covariances_training_mode_collects_them(network, images):
    network[1].eval()
    network.train()
    network[1].eval()  # frozen, so that both passes give the same activations
    with project(network, 0.8) as projections:
        network(images)
        network.eval()
        collected = network(images)
        dimensions = projections.table().dimensions.tolist()
    with project(network, 0.8, covariances(network, images)) as projections:
        assert torch.equal(network(images), collected)
        assert projections.table().dimensions.tolist() == dimensions
        network.train()
        network[1].eval()
        network(5 - images**2)
        assert torch.equal(network.eval()(images), collected), "given covariances are kept"
    with project(network.eval(), 0.8), pytest.raises(RuntimeError, match="run in training mode first"):
        network(images)


def test_every_layer_has_a_random_basis_of_its_own():
    model, x = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)).eval(), torch.randn(200, 6)
    for layer in model:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    with project(model, 0.5, covariances(model, x), random=0):
        once = torch.linalg.matrix_rank(model[0](x).double() - model[0](x).double().mean(0), rtol=1e-5)
        assert once == torch.linalg.matrix_rank(model(x).double() - model(x).double().mean(0), rtol=1e-5) == 3
        assert not torch.allclose(model(x), model[0](x), atol=1e-2)


def test_layers_of_other_kinds():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.twice = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 6)

        def forward(self, x):
            y, state = self.lstm(x)
            self.kept = y, state
            return self.twice(self.twice(y.data if isinstance(y, PackedSequence) else y))

    model, x = Recurrent().eval(), torch.randn(20, 5, 3)
    found = covariances(model, x)
    assert found["twice"].observations == 2 * found["lstm"].observations == 200
    model(x)
    raw, (hidden, _) = model.kept
    with project(model, 0.7, found) as projections:
        model(x)
        sequence, (after, _) = model.kept
        assert torch.equal(hidden, after)
        rows = raw.detach().double().reshape(-1, 6).numpy()
        np.testing.assert_allclose(sequence.detach().reshape(-1, 6), numpy_projection(rows, 0.7), atol=1e-6)
        model(pack_padded_sequence(x, [5] * 20, batch_first=True))
        assert isinstance(model.kept[0], PackedSequence)
        torch.testing.assert_close(torch.nn.utils.rnn.pad_packed_sequence(model.kept[0], True)[0], sequence)
        assert projections.table().layer.tolist() == ["lstm", "twice"]


def test_a_compiled_network_is_refused(network, images):
    compiled = torch.compile(network, backend="eager")
    for call in (lambda: covariances(compiled, images), lambda: project(compiled, 0.5)):
        with pytest.raises(ValueError, match="give the model that was compiled"):
            call()


def test_covariances_must_fit_the_layers(network, images):
    found = covariances(network, images)
    with pytest.raises(ValueError, match=r"no covariance for the layers \['1'\]; there are some for: 0, 4"):
        project(network, 0.9, found, layers=["0", "1"])
    with pytest.raises(ValueError, match="unknown layers.*'nowhere'"):
        project(network, 0.9, {"nowhere": found["0"]})
    with pytest.raises(ValueError, match="more than 0 observations"):
        project(network, 0.9, {"0": Covariance(12)})
    with pytest.raises(ValueError, match="layer '0': expected 10 features along axis -3"):
        with project(network, 0.9, {"0": found["4"]}):
            network(images)
    assert not any(module._forward_hooks for module in network.modules())


def test_accuracies_over_thresholds(network, images):
    with torch.no_grad():
        labels = network(images).argmax(1)
    labels[:16] = (labels[:16] + 1) % 10
    found = covariances(network, images)
    table = projected_accuracies(network, images, labels, found, [0.5, 0.9, 1], draws=2, batch_size=20, progress=False)
    assert list(zip(table.delta, table.subspace, table.draw)) == [
        (delta, *kind) for delta in (0.5, 0.9, 1) for kind in (("eigenspace", 0), ("random", 0), ("random", 1))]
    assert table[table.delta == 1].accuracy.tolist() == [0.75] * 3 and table.relative.iloc[-1] == 1
    np.testing.assert_allclose(table.difference, 0.75 - table.accuracy)
    with torch.no_grad(), project(network, 0.5, found) as projections:
        assert table.accuracy[0] == (network(images).argmax(1) == labels).double().mean()
        assert table.dimensions[0] == projections.table().dimensions.sum()
    with pytest.raises(ValueError, match="in .0, 1., got 99"):
        projected_accuracies(network, images, labels, found, [0.9, 99])
    with pytest.raises(ValueError, match="one label for each of 64"):
        projected_accuracies(network, images, labels[:3], found, [0.9])


# --- stored runs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    config = runs.RunConfig("resnet20", "digits", options={"width": 0.25}, data_checksum=data.checksum("digits"))
    folder, build = runs.store_root() / config.name, {"width": 0.25, "num_classes": 10, "in_channels": 1}
    runs.save_weights(folder, models.build("resnet20", **build).state_dict())
    files.write_json(folder / "record.json", {"format": FORMAT, "status": "complete", "config": config.as_dict(),
                                              "build": build, "mean": [0.3], "std": [0.4],
                                              "history": [{"test_accuracy": 0.5}]})
    return runs.Run(folder)


def test_a_stored_runs_saturation_is_computed_once(run, monkeypatch):
    assert results.saturation_table(run, 60, compute=False) is None
    table = results.saturation_table(run, 60)
    assert table["index"].tolist() == list(range(22)) and table.layer.iloc[-1] == "fc"
    assert (table.observations.iloc[-1], table.seed.iloc[0]) == (60, run.config.seed)
    monkeypatch.setattr(results.eigenspaces, "covariances", lambda *_: pytest.fail("computed again"))
    again = results.saturation_table(run, 60)
    assert again.saturation.tolist() == table.saturation.tolist()


def test_a_stored_runs_projected_accuracy_is_computed_once(run, monkeypatch):
    table = results.projected_accuracy_table(run, 50, [0.9, 1], test_samples=40)
    assert table.relative[table.delta == 1].tolist() == [1, 1]
    assert table.dimensions[0] < table.dimensions.max()
    monkeypatch.setattr(results.eigenspaces, "covariances", lambda *_: pytest.fail("computed again"))
    assert results.projected_accuracy_table(run, 50, [0.9, 1], test_samples=40).equals(table)


def test_the_layers_that_are_projected_can_be_chosen(run):
    table = results.projected_accuracy_table(run, 50, [1], layers=["stem.0", "fc"])
    assert table.dimensions.tolist() == [4 + 10] * 2  # 4 channels at this width, 10 logits
    assert len(results.projected_accuracy_table(run, 50, [1], layers=["fc"])) == 2  # stored apart
    assert results.projected_accuracy_table(run, 50, [1], layers=["fc"], centred=False, compute=False) is None


# --- plots ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def test_relative_accuracy_shows_means_over_networks_and_draws(ax):
    table = pd.DataFrame({"delta": [0.9, 0.99] * 3, "subspace": ["eigenspace"] * 2 + ["random"] * 4,
                          "relative": [0.8, 1.0, 0.1, 0.2, 0.3, 0.4]})
    plots.relative_accuracy(table, ax, chance=0.1)
    eigenspace, random, guessing = ax.lines
    np.testing.assert_allclose(eigenspace.get_xydata(), [[0.9, 0.8], [0.99, 1.0]])
    np.testing.assert_allclose(random.get_xydata(), [[0.9, 0.2], [0.99, 0.3]])
    assert len(ax.collections) == 1, "one band: the eigenspace has a single network"


def test_saturation_is_drawn_in_the_order_of_the_forward_pass(ax):
    table = pd.DataFrame({"epoch": [1, 1, 2, 2], "split": ["train"] * 4, "layer": ["b", "a"] * 2, "index": [1, 0] * 2,
                          "saturation": [0.5, 0.1, 0.7, 0.3]})
    plots.saturation_over_layers(table[table.epoch == 2], ax)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0.3], [1, 0.7]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    ax.clear()
    plots.saturation_over_epochs(table, ax)
    assert [line.get_label() for line in ax.lines] == ["a", "b", "mean"]
    np.testing.assert_allclose(ax.lines[2].get_xydata(), [[1, 0.3], [2, 0.5]])


def test_the_logarithmic_fit_is_found(ax):
    saturation = np.array([0.05, 0.1, 0.2, 0.4])
    table = pd.DataFrame({"model": ["vgg11", "vgg11", "vgg16", "vgg16"], "saturation": saturation,
                          "accuracy": 0.6 - 0.1 * np.log(saturation)})
    plots.average_saturation(table, ax)
    assert [line.get_label() for line in ax.lines] == ["vgg11", "vgg16", "0.60 − 0.10 ln s"]
    ax.clear()
    many = pd.DataFrame({"model": [f"m{i}" for i in range(14)], "saturation": np.linspace(0.1, 0.5, 14),
                         "accuracy": 0.5})
    plots.average_saturation(many, ax)
    assert len({line.get_color() for line in ax.lines[:14]}) == 14 and ax.lines[13].get_label() == "m13"


def test_reconstructions_are_shown_row_by_row():
    pictures = torch.rand(2, 3, 4, 4)
    figure = plots.reconstructions({"picture": pictures, "twice as bright": 2 * pictures})
    shown = [ax.images[0].get_array() for ax in figure.axes]
    expected = [x.permute(1, 2, 0).numpy() for x in (*pictures, *(2 * pictures).clamp(max=1))]
    assert all((a == b).all() for a, b in zip(shown, expected)) and len(shown) == 4
    assert [ax.get_ylabel() for ax in figure.axes] == ["picture", "", "twice as bright", ""]
    plt.close(figure)


@pytest.mark.parametrize("model, shape", [
    (nn.Conv2d(3, 2, 3), r"\(5, 2, 4, 4\) of torch.float32 for 5 images"),
    (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(0, 2)), r"\(40, 4\)"),
])
def test_what_answers_with_no_logits_has_no_accuracy(model, shape):
    images = torch.randn(5, 3, 6, 6)
    with pytest.raises(ValueError, match=rf"answers with shape {shape}.*expected logits, real numbers \[N, classes\]"):
        projected_accuracies(model, images, [0] * 5, covariances(model, images), [0.9], progress=False)


@pytest.mark.parametrize("deltas, draws", [([], 1), ([0.9], -1), ([0.9], 1.5), ([0.9], True)])
def test_no_thresholds_and_impossible_draws_are_refused(deltas, draws):
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.randn(5, 1, 2, 2)
    with pytest.raises(ValueError, match=f"got {len(deltas)} and {draws}"):
        projected_accuracies(model, images, torch.zeros(5, dtype=int), covariances(model, images), deltas, draws=draws)
