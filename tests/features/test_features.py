"""Features: the right tensors, from the right layers, with the model left as it was."""

import numpy as np
import pytest
import torch
from torch import nn

from rrahelpers import models
from rrahelpers.base.torchvision import torchvision
from rrahelpers.class_similarity import classrepsim
from rrahelpers.eigenspace import covariances
from rrahelpers.features import analysed_layers, each_layer, extract, layer_names
from rrahelpers.features.pooled import each_pooled_layer


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(),
                         nn.Linear(4 * 64, 5), nn.Dropout(0.9))


@pytest.fixture
def images():
    return torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_resnet20_layers_are_numbered_as_in_figure_4():
    names = layer_names(models.build("resnet20"))
    assert len(names) == 13
    assert (names[0], names[1], names[2], names[10], names[11], names[12]) == ("input", "stem", "stages.0.0",
                                                                               "stages.2.2", "pool", "fc")


def test_other_models_give_their_weighted_layers(network):
    assert layer_names(network) == ["input", "0", "4"]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 500])
def test_extract_equals_a_forward_pass_by_hand(network, images, batch_size):
    network.eval()
    convolution = network[0](images)
    expected = {"input": images, "0": convolution, "4": network(images)}
    network.train()
    found = extract(network, images, ["4", "input", "0"], batch_size=batch_size)
    assert list(found) == ["4", "input", "0"]
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


def test_in_place_layers_do_not_spoil_what_was_kept(network, images):
    normalised = extract(network, images, ["1"])["1"]
    assert (normalised < 0).any(), "the in-place ReLU behind the batch norm has changed the kept features"


@pytest.mark.parametrize("as_array", [False, True])
def test_a_network_that_works_in_place_on_its_input_leaves_the_images(images, as_array):
    class Normalises(nn.Sequential):
        def forward(self, x):
            return super().forward(x.sub_(0.5).div_(0.25))

    model, before = Normalises(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3)).eval(), images.clone()
    expected = model[1](before.sub(0.5).div(0.25).relu())
    found = dict(each_layer(model, images.numpy() if as_array else images, ["input", "1"]))
    torch.testing.assert_close(found["1"], expected)
    assert torch.equal(found["input"], before) and torch.equal(images, before)


def test_a_layer_named_twice_comes_once(network, images):
    assert [name for name, _ in each_layer(network, images, ["0", "4", "0"])] == ["0", "4"]


def test_the_model_is_left_as_it_was(network, images):
    network.train()
    network[1].eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(RuntimeError):
        extract(network, images[:, :1], ["0"])  # the wrong number of channels, in the middle of a pass
    extract(network, images, ["0"])
    assert [m.training for m in network] == [True, False, True, True, True, True]
    assert not any(m._forward_hooks for m in network.modules())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_each_layer_gives_the_same_under_any_memory_bound(network, images):
    names = ["input", "0", "3", "4"]
    expected = extract(network, images, names)
    for memory in (0, 8000, 2**30):
        found = dict(each_layer(network, images, names, memory=memory))
        assert list(found) == names
        for name in names:
            torch.testing.assert_close(found[name], expected[name])


def test_each_layer_runs_as_few_passes_as_the_memory_allows(network, images):
    passes = []
    network.register_forward_hook(lambda *_: passes.append(1))
    list(each_layer(network, images, ["0", "3", "4"], memory=2**30))
    many = len(passes)
    passes.clear()
    list(each_layer(network, images, ["0", "3", "4"], memory=0))
    assert (many, len(passes)) == (2, 4)  # one image to learn the sizes, then one pass against three


def test_a_pass_ends_with_the_last_layer_that_was_asked_for(network, images):
    calls = []
    network[4].register_forward_hook(lambda *_: calls.append(1))
    kept = extract(network, images, ["0"], batch_size=3)["0"]
    assert len(calls) == 1  # the first batch goes through, so that a layer's second call is found
    torch.testing.assert_close(kept, extract(network, images, ["0"])["0"])
    extract(network, images, ["input"])
    assert len(calls) == 2


def test_bad_input_is_named(network, images):
    with pytest.raises(ValueError, match="unknown layers.*nowhere.*expected"):
        extract(network, images, ["nowhere"])
    with pytest.raises(ValueError, match="at least one image"):
        extract(network, images[:0], ["0"])


def test_a_layer_that_runs_twice_or_answers_with_a_tuple_is_refused(images):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.recurrent, self.unused = nn.ReLU(), nn.LSTM(8, 2), nn.ReLU()

        def forward(self, x):
            return self.recurrent(self.twice(self.twice(x)).mean(1))[0]

    with pytest.raises(ValueError, match=r"run once.*'twice': 2"):
        extract(Odd(), images, ["twice"])
    with pytest.raises(ValueError, match=r"run once.*'unused': 0"):
        extract(Odd(), images, ["unused"])
    with pytest.raises(TypeError, match="'recurrent' answers with tuple"):
        extract(Odd(), images, ["recurrent"])


def test_maps_with_their_features_last_come_out_with_channels_first():
    """ConvNeXt's blocks norm and multiply [N, H, W, C]; torchvision's LayerNorm2d, a LayerNorm, has maps as usual."""
    torch.manual_seed(0)
    convnext = torchvision.models.convnext
    model, x = nn.Sequential(convnext.LayerNorm2d(6), convnext.CNBlock(6, 1e-6, 0)), torch.randn(2, 6, 5, 4)
    found = extract(model, x, ["0", "1.block.0", "1.block.2", "1.block.3"])
    assert [tuple(t.shape[1:]) for t in found.values()] == [(6, 5, 4), (6, 5, 4), (6, 5, 4), (24, 5, 4)]
    torch.testing.assert_close(found["1.block.3"], model[1].block[:4](found["0"]).permute(0, 3, 1, 2))
    assert covariances(model, x)["1.block.3"].dim == 24 and covariances(model, x, ["1.block.2"])["1.block.2"].dim == 6


class Reused(nn.Module):
    """One ReLU with maps of two shapes, and pooling whose answer's shape depends on the images."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.odd = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Identity()

    def forward(self, x):
        self.odd(x[:, :, :4 if x.mean() > 0 else 5])
        return self.relu(self.conv(self.relu(x)))


@pytest.mark.parametrize("ask", [
    lambda model, x: extract(model, x, ["relu"]), lambda model, x: list(each_layer(model, x, ["conv", "relu"])),
    lambda model, x: classrepsim(model, x, torch.zeros(7, dtype=int), layers=["relu"], k=2, progress=False),
    lambda model, x: list(each_pooled_layer(model, [x], ["relu"], (2,))),
])
def test_a_layer_that_runs_again_with_another_shape_is_refused_as_any_other_that_runs_twice(images, ask):
    with pytest.raises(ValueError,
                       match=r"run once for an image, got \{'relu': 2\} times; name an enclosing or another layer"):
        ask(Reused(), images)


def test_an_answer_of_another_shape_for_other_images_is_refused(images):
    both = torch.cat([images.abs(), -images.abs()])
    with pytest.raises(ValueError,
                       match=r"'odd' answers with shape \(3, 4, 8\) for an image and \(3, 5, 8\) for another"):
        extract(Reused(), both, ["odd"], batch_size=7)


class Auxiliary(nn.Module):
    """A second classifier for training alone, a layer that runs twice, and one that sees every other image."""

    def __init__(self):
        super().__init__()
        self.stem, self.auxiliary, self.twice, self.every_other = (nn.Conv2d(3, 3, 1) for _ in range(4))

    def forward(self, x):
        x = self.stem(x)
        if self.training:
            self.auxiliary(x)
        self.every_other(x[::2])
        return self.twice(self.twice(x))


def test_layers_that_do_not_run_once_are_left_out_unless_they_are_asked_for(images):
    with pytest.warns(UserWarning,
                      match=r"left out, .*: auxiliary \(0 times\), twice \(2 times\), every_other \(1 rows for 2 "
                            r"images\)"):
        assert analysed_layers(Auxiliary(), images) == ["input", "stem"]
    with pytest.raises(ValueError, match="auxiliary"):
        extract(Auxiliary(), images, analysed_layers(Auxiliary(), images, ["stem", "auxiliary"]))
    assert analysed_layers(Auxiliary(), images, ["stem", "stem"]) == ["stem"]
    with pytest.raises(ValueError, match="at least one layer"):
        analysed_layers(Auxiliary(), images, [])


def test_a_layer_without_an_answer_for_each_image_is_refused(images):
    with pytest.raises(ValueError,
                       match=r"'every_other' answers with shape \(4, 3, 8, 8\) for 7 images; expected one row"):
        extract(Auxiliary(), images, ["every_other"])


@pytest.mark.parametrize("images, message", [
    (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "got bytes .uint8.: normalise them"),
    ([[1.0]], "a numpy array, got float"),
    (torch.zeros(2, 3, 8, 8, dtype=torch.int64), r"float \[N, C, H, W\], got torch.int64"),
    (np.zeros((2, 3, 8, 8), np.uint16), "got torch.uint16"),
    ({"z": torch.zeros(2, 3, 8, 8)}, "under one of pixel_values, images, image, x, got a dict with z"),
    ([()], "got an empty tuple"),
    ("folder/", "got str"), (3, "got int"), ([torch.zeros(2, 3, 8, 8).byte()], "got bytes"),
])
def test_images_that_are_none(network, images, message):
    with pytest.raises(TypeError, match=message):
        extract(network, images, ["0"])


def test_arrays_and_other_precisions_are_images_too(network, images):
    expected = extract(network, images, ["4"])["4"]
    torch.testing.assert_close(extract(network, images.double().numpy(), ["4"])["4"], expected)
    found = extract(network.bfloat16(), images, ["4"])["4"]
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.05)


def test_the_images_are_a_layer_also_beside_a_module_called_input():
    torch.manual_seed(0)
    model, images = nn.Sequential(), torch.randn(4, 3, 6, 6)
    for name, layer in (("input", nn.Conv2d(3, 4, 3)), ("flat", nn.Flatten()), ("head", nn.Linear(64, 2))):
        model.add_module(name, layer)
    assert layer_names(model) == ["input", "head"]
    with pytest.warns(UserWarning, match='"input" stands for the images: the module of that name; give it another'):
        assert analysed_layers(model, images) == ["input", "head"]


def test_a_model_that_is_one_layer_is_told_how_to_get_a_name():
    with pytest.raises(ValueError, match="the model is a single Conv2d without a name; put it into nn.Sequential"):
        classrepsim(nn.Conv2d(3, 4, 3), torch.randn(6, 3, 8, 8), torch.arange(6) % 2, k=2, progress=False)
