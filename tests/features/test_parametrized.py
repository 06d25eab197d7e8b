"""Layers whose weights are made of others (weight norm, spectral norm, pruning, …): in every measure as the plain
layer."""

import copy
import warnings

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from rrahelpers.advisor import advise, propose, truncate, without_downsampling
from rrahelpers.complexity import count, per_layer
from rrahelpers.eigenspace import SaturationTracker, covariances, project
from rrahelpers.features import extract, layer_names
from rrahelpers.receptive_field import border_layer, receptive_fields

MEASURED = {"0": 0.5, "3": 0.4, "6": 0.1}


class Double(nn.Module):
    """A parametrization with a layer inside."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(1, 1)

    def forward(self, weight):
        return weight * (1 + self.scale.weight.squeeze() ** 2)


def old(function):
    def apply(layer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and still in use
            return function(layer)
    return apply


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", 0.3)


def custom(layer):
    parametrize.register_parametrization(layer, "weight", Double())
    return layer


class Normed(nn.Conv2d):
    """A convolution that keeps a norm of its own inside, as some libraries have it."""

    def __init__(self, layer):
        super().__init__(layer.in_channels, layer.out_channels, layer.kernel_size, padding=layer.padding)
        self.norm = nn.Identity()

    def forward(self, x):
        return self.norm(super().forward(x))


KINDS = {"weight norm": parametrizations.weight_norm, "spectral norm": parametrizations.spectral_norm,
         "orthogonal": parametrizations.orthogonal, "custom": custom, "old weight norm": old(weight_norm),
         "old spectral norm": old(spectral_norm), "pruned": pruned,
         "children": lambda layer: Normed(layer) if isinstance(layer, nn.Conv2d) else layer}


def build(f):
    return nn.Sequential(f(nn.Conv2d(3, 8, 7, padding=3)), nn.BatchNorm2d(8), nn.MaxPool2d(2),
                         f(nn.Conv2d(8, 8, 7, padding=3)),
                         nn.ReLU(), nn.Identity(), f(nn.Conv2d(8, 8, 3, padding=1)), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(),
                         nn.LayerNorm(8), f(nn.Linear(8, 4)))


@pytest.fixture(params=KINDS)
def model(request):
    model = build(KINDS[request.param])
    if request.param in ("weight norm", "custom"):  # norms, too
        KINDS["custom"](model[1])
        KINDS["custom"](model[9])
    model(torch.randn(9, 3, 18, 18)).sum().backward()  # a step of training: some keep its tensors
    return model


@pytest.fixture
def plain(model):
    """The same network of plain layers, which compute with what the weights of ``model`` are in evaluation mode."""
    model.eval()(torch.zeros(1, 3, 18, 18))
    twin = build(lambda layer: layer).train()
    with torch.no_grad():
        for own, other in zip(twin, model):
            for name in ("weight", "bias", "running_mean", "running_var"):
                if hasattr(own, name):
                    getattr(own, name).copy_(getattr(other, name))
    model.train()
    return twin


@pytest.fixture
def images():
    return torch.randn(12, 3, 18, 18)


def same(model, plain):
    """A table without the rows that a convolution's own submodules have."""
    rows = model[~model.layer.str.contains(".", regex=False)].reset_index(drop=True)
    return rows.drop(columns=["index", "params"], errors="ignore").replace({"Normed": "Conv2d"}), plain.drop(
        columns=["index", "params"], errors="ignore")


def test_receptive_fields_and_costs_have_the_layers_own_names(model, plain):
    found, expected = receptive_fields(model, 18), receptive_fields(plain, 18)
    pd.testing.assert_frame_equal(*same(found, expected))
    assert [border_layer(table, 18) for table in (found, expected)] == ["6", "6"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what makes a weight is no layer that multiplies
        costs = per_layer(model, (3, 18, 18))
    pd.testing.assert_frame_equal(*same(costs, per_layer(plain, (3, 18, 18))))
    assert count(model, (3, 18, 18)).params == sum(p.numel() for p in model.parameters())


def test_advice_is_the_plain_networks(model, plain):
    advice, expected = advise(model, 18, MEASURED), advise(plain, 18, MEASURED)
    pd.testing.assert_frame_equal(*same(advice, expected))
    found, plainly = propose(model, 18, MEASURED), propose(plain, 18, MEASURED)
    assert found.change.tolist() == plainly.change.tolist() and found.flops.tolist() == plainly.flops.tolist()
    assert found.params.tolist()[:1] == [sum(p.numel() for p in model.parameters())]
    assert not found.reason.str.contains("can't be done").any()


def test_features_covariances_and_projections_go_by_the_layers_own_names(model, plain, images):
    names = [name for name in layer_names(model) if not name.startswith("0.")]
    assert names == layer_names(plain) == ["input", "0", "3", "6", "10"]
    found, expected = extract(model, images, ["0", "9", "10"]), extract(plain, images, ["0", "9", "10"])
    torch.testing.assert_close(found, expected)
    mine, theirs = covariances(model, images), covariances(plain, images)
    assert list(mine) == list(theirs) == ["0", "3", "6", "10"]
    for name in mine:
        torch.testing.assert_close(mine[name].matrix(), theirs[name].matrix())
    with SaturationTracker(model.eval()) as tracker, torch.no_grad():
        model(images)
    assert tracker.table.layer.tolist() == ["0", "3", "6", "10"]
    with torch.no_grad(), project(model, 0.8, mine), project(plain.eval(), 0.8, theirs):
        torch.testing.assert_close(model(images), plain(images), rtol=1e-4, atol=1e-4)


class NormAct(nn.BatchNorm2d):
    """A norm with an activation inside, which takes another course in training, as timm has it."""

    def __init__(self, channels):
        super().__init__(channels)
        self.act = nn.ReLU()

    def forward(self, x):
        x = super().forward(x) if self.training else nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, self.momentum, self.eps)
        return self.act(x)


def test_a_norm_with_an_activation_inside_is_one_layer(images):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), NormAct(8), *(nn.Conv2d(8, 8, 9, padding=4) for _ in range(3)),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    assert receptive_fields(model, 18).layer.tolist()[:4] == ["0", "1", "1.act", "2"]
    advice = advise(model, 18).set_index("layer")
    assert advice["index"].notna().all() and advice.flops["1"] == 4 * 8 * 18 * 18
    stump = truncate(model, "4")
    torch.testing.assert_close(stump.eval()(images), stump.head(model.eval()[:4](images)))
    assert not propose(model, 18).reason.str.contains("can't be done").any()


def test_a_single_parametrized_layer_is_named_for_its_class():
    layer = parametrizations.weight_norm(nn.Linear(5, 4))
    assert list(covariances(layer, torch.randn(9, 5))) == ["Linear"]


def test_cut_it_computes_what_it_did_and_keeps_its_parametrizations(model, images):
    seen = {}
    model.eval()[6].register_forward_pre_hook(lambda module, args: seen.update(input=args[0]))
    model.train()(images).sum().backward()
    stump = truncate(model, "6", num_classes=5)
    with torch.no_grad():
        torch.testing.assert_close(stump.eval()(images),
                                   stump.head[2](model.eval()(images) is None or seen["input"].mean((2, 3))))
    kept = {name for name, _ in model.named_parameters() if name.split(".")[0] in "0134"}
    assert kept == {name for name, _ in stump.named_parameters() if not name.startswith("head")}
    stump.train()(images).sum().backward()
    assert all(p.grad is not None for name, p in stump.named_parameters() if name in kept and p.requires_grad
               and "scale.bias" not in name)


@pytest.mark.parametrize("inside", [False, True])
def test_changing_a_copy_leaves_the_state_of_a_parametrization(inside, images):
    """Spectral norm moves its vectors each time that its weight is asked for in training mode."""
    with torch.inference_mode(inside):
        model = (nn.Sequential(*(parametrizations.spectral_norm(nn.Conv2d(3, 3, 3, stride=2, padding=1)) for _ in "ab"))
                 .train())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for changed in (truncate(model, "1", 2), without_downsampling(model, ["1"])):
        for other in (model, changed):
            assert all(torch.equal(state[name], tensor) for name, tensor in other.state_dict().items() if name in state)


def test_without_its_stride_a_layer_keeps_what_makes_its_weights(images):
    for name, f in KINDS.items():
        layer = f(nn.Conv2d(3, 8, 3, stride=2, padding=1)) if name != "children" else nn.Conv2d(3, 8, 3, stride=2)
        model = nn.Sequential(layer).eval()
        model(images)
        changed = without_downsampling(model, ["0"])
        assert changed(images).shape == (12, 8, 18, 18)
        assert [n for n, _ in changed.named_parameters()] == [n for n, _ in model.named_parameters()]
        expected = nn.functional.conv2d(images, model[0].weight, model[0].bias, padding=1)
        torch.testing.assert_close(changed(images), expected)
        assert model[0].stride == (2, 2)


def test_a_network_that_keeps_tensors_of_its_last_step_can_be_proposed_for():
    class Keeps(nn.Sequential):
        def forward(self, x):
            self.last = super().forward(x)
            self.history = [{"logits": self.last * 2}]
            return self.last

    model = Keeps(*(nn.Conv2d(3, 3, 5, padding=2) for _ in range(6)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                  nn.Linear(3, 2))
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)
    assert truncate(model, "4")(torch.zeros(2, 3, 8, 8)).shape == (2, 2)
    assert propose(model, 8).proposal.tolist()[:2] == ["as it is", "truncate"]


def test_recurrent_layers_too():
    model = parametrizations.weight_norm(nn.LSTM(5, 4, batch_first=True), "weight_hh_l0")
    assert list(covariances(model, torch.randn(9, 6, 5))) == ["LSTM"]
