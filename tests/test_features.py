"""Features: the right tensors, from the right layers, with the model left as it was."""

import pytest
import torch
from torch import nn

from rrahelpers import models
from rrahelpers.features import each_layer, extract, layer_names


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 64, 5), nn.Dropout(0.9))


@pytest.fixture
def images():
    return torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_resnet20_layers_are_numbered_as_in_figure_4():
    names = layer_names(models.build("resnet20"))
    assert len(names) == 13
    assert (names[0], names[1], names[2], names[10], names[11], names[12]) == ("input", "stem", "stages.0.0", "stages.2.2", "pool", "fc")


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
