"""Residual networks as He et al. 2016 and torchvision have them, with the dissertation's variants.

The dissertation's ResNet18, 34 and 50 (sections 8.3 to 11): ``stem="imagenet"`` is torchvision's architecture, whose
weights load unchanged; ``stem="cifar"``, its "Cifar10 optimized" network, has one 3x3 convolution of stride 1 in place
of the 7x7 convolution and the pooling (9.4.1); ``skip=False`` takes out every shortcut, projections too (9.3.1).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from rrahelpers.attention import REDUCED, WINDOW, refuse_without_attention
from rrahelpers.models.attached import attach
from rrahelpers.models.families import scaled

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Windows

REDUCTION = 16  # of hidden channels, in the papers of SE and CBAM
STEMS = {"imagenet": (7, 2, 3), "cifar": (3, 1, 1)}  # kernel, stride and padding of the first convolution


class HeResNet(nn.Module):
    """Stem, four stages of torchvision's blocks, global average pooling, linear classifier.

    Parameters
    ----------
    block: "BasicBlock" or "Bottleneck".
    depths: blocks of each stage.
    num_classes, in_channels, width: as everywhere; ``width`` is a factor of all channels.
    stem: "imagenet" or "cifar".
    skip: False turns each block into a plain sequence of its layers, of the same names.
    attention, placement, window, kernels, reduction, gate, stages: as for :func:`rrahelpers.models.attach`. The
        defaults are the dissertation's (10.1) but for the gate, which 3.3.6 has as a softmax: in every block, after its
        last layer and before the addition; hidden channels reduced by the :data:`REDUCTION` of the modules' own papers
        (the number isn't printed); a network with fewer channels in a block needs a smaller one.
    """

    def __init__(self, block: str, depths: Sequence[int], *, num_classes: int = 10, in_channels: int = 3,
                 width: float = 1, stem: str = "imagenet", skip: bool = True, attention: str | None = None,
                 placement: str = "standard", window: Windows = WINDOW,
                 kernels: Sequence[int] | None = None, reduction: int | None = None,
                 gate: str = "sigmoid", stages: Iterable[int] | None = None) -> None:
        super().__init__()
        from rrahelpers.base.torchvision import torchvision

        if stem not in STEMS:
            raise ValueError(f"stem must be one of {tuple(STEMS)}, got {stem!r}")
        block = getattr(torchvision.models.resnet, block)
        kernel, stride, padding = STEMS[stem]
        inputs = scaled(width, 64)
        self.conv1 = nn.Conv2d(in_channels, inputs, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else nn.Identity()
        for number, size in enumerate(depths, start=1):
            channels = scaled(width, 64 * 2 ** (number - 1))
            setattr(self, f"layer{number}", _stage(block, inputs, channels, size, 1 if number == 1 else 2))
            inputs = channels * block.expansion
        self.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if attention is None:
            refuse_without_attention(placement=placement, window=window, kernels=kernels, stages=stages,
                                     reduction=reduction, gate=gate)
        else:
            if reduction is None and attention in REDUCED:
                reduction = REDUCTION
            attach(self, attention, placement=placement, window=window, kernels=kernels, reduction=reduction,
                   gate=gate, stages=stages)
        if not skip:
            for owner in list(self.modules()):
                for name, child in owner.named_children():
                    if isinstance(child, block):
                        setattr(owner, name, _without_shortcut(child))

    @property
    def layer_names(self) -> list[str]:
        """The main path (10.1.1): input, every convolution outside shortcuts and attention, logits."""
        names = (name for name, _ in self.named_modules())
        return ["input", *(name for name in names if re.search(r"(^|\.)conv[123]$", name)), "fc"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[operator]  # set by their numbers
        return self.fc(self.avgpool(x))


def _stage(block, inputs, channels, size, stride):
    outputs = channels * block.expansion
    projection = None
    if stride != 1 or inputs != outputs:
        projection = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    later = (block(outputs, channels) for _ in range(size - 1))
    return nn.Sequential(block(inputs, channels, stride, projection), *later)


def _without_shortcut(block):
    layers = OrderedDict()
    for number in "123":
        if hasattr(block, f"conv{number}"):
            layers |= {f"{kind}{number}": getattr(block, f"{kind}{number}") for kind in ("conv", "bn")}
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)
