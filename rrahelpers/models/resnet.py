"""Residual networks of the STAC paper (sections 3.1 and 5), with attention in every chosen stage.

Fitted to the printed FLOPs and parameters: a 3x3 stem of stride 1 without pooling, whose batch norm has no
affine parameters; affine batch norm after each convolution of the blocks; and a bare 1x1 convolution (no norm,
no bias) as the shortcut of the first block of each later stage.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rrahelpers.attention import WINDOW, attention_module, refuse_without_attention, stage_windows
from rrahelpers.models.families import options_of, scaled
from rrahelpers.models.he_resnet import HeResNet

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Windows


class Block(nn.Module):
    """conv-BN-ReLU-conv-BN, [attention], add, ReLU, [attention]: He et al. 2016 with STAC paper figure 6's places."""

    def __init__(self, inputs: int, channels: int, stride: int, standard: nn.Module | None = None,
                 post: nn.Module | None = None, project: bool = False) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels),
        )
        self.standard = standard or nn.Identity()
        self.shortcut = nn.Conv2d(inputs, channels, 1, stride, bias=False) if project else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.post = post or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.post(self.relu(self.standard(self.main(x)) + self.shortcut(x)))


class ResNet(nn.Module):
    """Stem, stages of blocks, global average pooling, linear classifier. [N, in_channels, H, W] to [N, num_classes]."""

    def __init__(self, blocks: Sequence[int], widths: Sequence[int], *, num_classes: int = 10, in_channels: int = 3,
                 width: float = 1, depth: float = 1, stem: str = "cifar", attention: str | None = None,
                 placement: str = "standard", window: Windows = WINDOW,
                 kernels: Sequence[int] | None = None, reduction: int | None = None, gate: str = "sigmoid",
                 stages: Iterable[int] | None = None) -> None:
        super().__init__()
        if stem != "cifar":
            raise ValueError(f"these residual networks have the stem 'cifar' alone, got {stem!r}; "
                             "torchvision's (for instance 'torchvision/resnet18') have the ImageNet stem")
        if attention is None:
            refuse_without_attention(placement=placement, window=window, kernels=kernels, stages=stages,
                                     reduction=reduction, gate=gate)
        blocks = [scaled(depth, size, "depth", "blocks") for size in blocks]
        windows = stage_windows(len(blocks), placement, window, stages)
        widths = [scaled(width, channels) for channels in widths]
        channels = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, affine=False), nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList()
        for number, (size, outputs) in enumerate(zip(blocks, widths), start=1):
            stage = nn.Sequential()
            for index in range(size):
                first = number > 1 and index == 0
                added = (attention_module(attention, outputs, windows[number], kernels, reduction, gate)
                         if number in windows else None)
                stage.append(Block(channels, outputs, 2 if first else 1, project=first, **{placement: added}))
                channels = outputs
            self.stages.append(stage)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(channels, num_classes)

    @property
    def layer_names(self) -> list[str]:
        """The paper's layers in order (figure 4): input, stem, every block, pooling, logits."""
        blocks = [f"stages.{i}.{name}" for i, stage in enumerate(self.stages) for name, _ in stage.named_children()]
        return ["input", "stem", *blocks, "pool", "fc"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.fc(self.pool(x))


@options_of(ResNet)
def resnet20(**options: Any) -> ResNet:
    """ResNet20 for 32x32 images: three stages of three blocks with 16, 32 and 64 channels (He et al. 2016, 4.2)."""
    return ResNet([3, 3, 3], [16, 32, 64], **options)


@options_of(HeResNet)
def resnet18(**options: Any) -> HeResNet:
    """ResNet18 (He et al. 2016): stages of 2, 2, 2 and 2 basic blocks with 64 to 512 channels; a :class:`HeResNet`."""
    return HeResNet("BasicBlock", [2, 2, 2, 2], **options)


@options_of(ResNet, HeResNet)
def resnet34(*, stem: str = "cifar", paper: str | None = None, **options: Any) -> ResNet | HeResNet:
    """ResNet34: stages of 3, 4, 6 and 3 basic blocks with 64 to 512 channels, of one paper or the other.

    ``paper="stac"``, the default with the stem "cifar", is the STAC paper's :class:`ResNet` for 64x64 images;
    ``paper="he"``, the default with the stem "imagenet", is the dissertation's :class:`HeResNet` with either stem. With
    the stem "cifar" they differ in their normalisation alone: He's has batch norm in its shortcuts, and affine
    parameters in that of its stem. Each takes the options of its class.
    """
    paper = paper or ("stac" if stem == "cifar" else "he")
    if paper not in ("stac", "he"):
        raise ValueError(f"paper must be 'stac' or 'he', got {paper!r}")
    network, arguments = {"stac": (ResNet, ([3, 4, 6, 3], [64, 128, 256, 512])),
                          "he": (HeResNet, ("BasicBlock", [3, 4, 6, 3]))}[paper]
    if lacking := set(options) - set(inspect.signature(network).parameters):
        lacking = ", ".join(sorted(lacking))
        raise TypeError(f"resnet34 with paper={paper!r} has no option {lacking}; the other paper's has")
    return network(*arguments, stem=stem, **options)


@options_of(HeResNet)
def resnet50(**options: Any) -> HeResNet:
    """ResNet50 (He et al. 2016): stages of 3, 4, 6 and 3 bottleneck blocks; a :class:`HeResNet`."""
    return HeResNet("Bottleneck", [3, 4, 6, 3], **options)
