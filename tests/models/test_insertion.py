"""What is added to networks, against the same networks written by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers import models
from rrahelpers.models.insertion import with_downsampling, with_shortcuts
from rrahelpers.receptive_field import receptive_fields


def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1),
                         nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_pooling_before_a_layer_by_hand():
    model, images = plain(), torch.randn(2, 3, 8, 8)
    before = copy.deepcopy(model.state_dict())
    changed = with_downsampling(model, ["2", "4"])
    x = F.max_pool2d(model[0](images).relu(), 2)
    x = F.max_pool2d(model[2](x).relu(), 2)
    torch.testing.assert_close(changed(images), model[8](model[4](x).relu().mean((2, 3))))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert set(changed.state_dict()) == set(before)
    assert receptive_fields(changed, 8).set_index("layer").r_max["4"] == 3 + 1 + 4 + 2 + 8


def test_pooling_before_a_residual_block_pools_its_shortcut():
    model, images = models.build("resnet18", width=1 / 16, stem="cifar").eval(), torch.randn(2, 3, 32, 32)
    changed = with_downsampling(model, ["layer1.1.conv1"])
    x = model.layer1[0](model.relu(model.bn1(model.conv1(images))))
    x = model.layer1[1](F.max_pool2d(x, 2))
    for stage in (model.layer2, model.layer3, model.layer4):
        x = stage(x)
    torch.testing.assert_close(changed(images), model.fc(model.avgpool(x)))
    assert not any(module.training for module in changed.modules())


def test_a_shortcut_by_hand():
    model, images = plain(), torch.randn(2, 3, 8, 8)
    changed = with_shortcuts(model, {"2": "4", "4": "6"})
    x = model[0](images).relu()
    x = x + model[2](x).relu()
    x = x + model[4](x).relu()
    torch.testing.assert_close(changed(images), model[8](x.mean((2, 3))))
    table = receptive_fields(changed, 8).set_index("layer")
    assert (table.r_min["4"], table.r_max["4"]) == (5, 7)  # its input has seen 3 along the shortcut, or 5


def test_what_was_added_is_trained_and_copied():
    changed = with_shortcuts(with_downsampling(plain(), ["2"]), {"2": "4"})
    F.cross_entropy(changed(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 0, 1])).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in changed.get_submodule("0").parameters())
    images = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(copy.deepcopy(changed)(images), changed(images))


def test_places_that_are_none_are_named():
    for call in (lambda: with_downsampling(plain(), ["9"]), lambda: with_shortcuts(plain(), {"9": "2"})):
        with pytest.raises(ValueError, match=r"unknown layers \['9'\]; expected some of: 0, 1"):
            call()
    shared = nn.Sequential(*[nn.Conv2d(3, 3, 3)] * 2)
    with pytest.raises(ValueError, match="can't pool before '0': it is called 2 times"):
        with_downsampling(shared, ["0"])
