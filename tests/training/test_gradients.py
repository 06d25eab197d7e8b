"""Gradients of every family at its narrowest, in the memory format that it is trained in, on this processor and as on
others.

Run as a script it prints, for each network, how far its gradients are from those of contiguous float64.
"""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from rrahelpers import models
from rrahelpers.base.devices import memory_format

NARROW = {
    **{name: {"width": 1 / 16} for name in ("resnet20", "resnet18", "resnet34", "resnet50", "mpnet18")},
    "vgg11": {"width": 1 / 32}, "densenet18": {}, "skip_perceptron": {}, "perceptron": {},
    **{name: {"num_classes": 10}
       for name in ("torchvision/resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "regnet_x_400mf")},
}
SIDES = {"skip_perceptron": 28, "squeezenet1_1": 64, "shufflenet_v2_x0_5": 64}
CHANNELS = {"skip_perceptron": 1}


def gradients(name, dtype, layout):
    torch.manual_seed(0)
    model = models.build(name, **NARROW[name]).to(dtype).to(memory_format=layout
                                                            or memory_format(models.build(name, **NARROW[name])))
    # a mask drawn in one precision isn't that of the other, nor is the side of a kink
    for owner in list(model.modules()):
        for child_name, child in owner.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(owner, child_name, torch.nn.SiLU())
            elif isinstance(child, torch.nn.Dropout):
                child.p = 0.0
    side = SIDES.get(name, 32)
    torch.manual_seed(1)
    x, y = torch.randn(16, CHANNELS.get(name, 3), side, side), torch.randint(0, 10, (16,))
    x = x.to(dtype).contiguous(memory_format=layout or memory_format(model)).requires_grad_()
    F.cross_entropy(model.train()(x), y).backward()
    return {"input": x.grad, **{n: p.grad for n, p in model.named_parameters() if p.grad is not None}}


def error(name):
    """The largest distance of a gradient from that in contiguous float64, relative to the larger of its norm and the
    mean norm."""
    true = gradients(name, torch.float64, torch.contiguous_format)
    found = gradients(name, torch.float32, None)
    floor = sum(g.norm() for g in true.values()) / len(true)
    return max(((found[n].double() - g).norm() / max(g.norm(), floor)).item() for n, g in true.items())


@pytest.mark.parametrize("isa", [None, "AVX2"])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_are_right(isa, threads):
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})}
    child = subprocess.run([sys.executable, __file__, str(threads)], env=environment, capture_output=True,
                           encoding="utf-8")
    assert child.returncode == 0, (f"died with {child.returncode}: a network's backward pass wrote out of bounds\n"
                                   f"{child.stdout}{child.stderr}")
    errors = {name: float(value) for name, value in (line.split() for line in child.stdout.splitlines())}
    assert set(errors) == set(NARROW)
    assert {name: value for name, value in errors.items() if not value < 1e-3} == {}


def test_every_family_is_tested():
    assert {name.rstrip("0123456789") for name in models.FAMILIES} - {"autoencoder"} <= {name.rstrip("0123456789")
                                                                                         for name in NARROW}


@pytest.mark.parametrize("layer, safe", [
    (torch.nn.Conv2d(15, 64, 1, 2), False), (torch.nn.Conv2d(15, 64, 1, (1, 2)), False),
    (torch.nn.Conv2d(16, 64, 1, 2), True), (torch.nn.Conv2d(4, 64, 1), True), (torch.nn.Conv2d(4, 64, 3, 2), True),
])
def test_channels_last_is_for_networks_without_narrow_strided_shortcuts(layer, safe):
    found = memory_format(torch.nn.Sequential(torch.nn.ReLU(), layer))
    assert found == (torch.channels_last if safe else torch.contiguous_format)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    for network in NARROW:
        print(network, error(network), flush=True)
