"""The dissertation's networks of several paths: MPNet (10.2, figure 58) and two small DenseNets (appendix F.4)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from rrahelpers.models.families import options_of, scaled


class MPBlock(nn.Module):
    """The sum of a path of 3x3 and a path of 7x7 convolutions, each with batch norm and ReLU.

    ``layers``: how many of each kind; ``stride``: of the first convolution of either path.
    """

    def __init__(self, inputs: int, channels: int, layers: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.small = _path(inputs, channels, 3, layers[0], stride)
        self.large = _path(inputs, channels, 7, layers[1], stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.small(x) + self.large(x)


class MPNet(nn.Module):
    """A 3x3 stem, four stages of ``blocks`` blocks with 64 to 512 channels, global average pooling, linear classifier.

    Each stage's first layers, in both paths, have stride 2 (10.2.1). ``layers``: of the two paths in a block.
    """

    def __init__(self, blocks: int, layers: Sequence[int], *, num_classes: int = 10, in_channels: int = 3,
                 width: float = 1) -> None:
        super().__init__()
        inputs = scaled(width, 64)
        self.stem = _layer(in_channels, inputs, 3)
        self.stages = nn.ModuleList()
        for number in range(4):
            channels = scaled(width, 64 * 2**number)
            later = (MPBlock(channels, channels, layers) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(MPBlock(inputs, channels, layers, 2), *later))
            inputs = channels
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def paths(self) -> dict[str, list[str]]:
        """The layers along the smallest and the largest receptive fields, p_min and p_max of figure 59: {"min", "max"}.

        Each goes through one kind of path all along; they share the first and the last layer.
        """
        names = [name for name, module in self.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
        return {"min": [n for n in names if ".large." not in n], "max": [n for n in names if ".small." not in n]}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.fc(self.pool(x))


def _path(inputs, channels, kernel, count, stride):
    later = (_layer(channels, channels, kernel) for _ in range(count - 1))
    return nn.Sequential(_layer(inputs, channels, kernel, stride), *later)


def _layer(inputs, channels, kernel, stride=1):
    convolution = nn.Conv2d(inputs, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


@options_of(MPNet)
def mpnet18(**options: Any) -> MPNet:
    """MPNet18: two blocks in a stage, two layers in either path; 18 layers deep, 34 in all, as printed (10.2.1)."""
    return MPNet(2, (2, 2), **options)


@options_of(MPNet)
def mpnet36(**options: Any) -> MPNet:
    """MPNet36: four blocks in a stage, one 3x3 layer beside two 7x7 layers.

    So in the dissertation's program (PHD-Lab, ``mpnet36_1_2_3_7``); the text prints twice MPNet18's blocks and paths of
    different length. That makes 34 layers in depth, not 36.
    """
    return MPNet(4, (1, 2), **options)


def densenet18(*, num_classes: int = 10, in_channels: int = 3, width: float = 1) -> nn.Module:
    """DenseNet18: dense blocks of 4, 4, 4 and 4 layers, growth 32, torchvision's ``DenseNet`` otherwise.

    ``width``: factor of the growth and of the stem's 64 channels. The text prints no layout: it is PHD-Lab's.
    """
    return _densenet((4, 4, 4, 4), num_classes, in_channels, width)


def densenet65(*, num_classes: int = 10, in_channels: int = 3, width: float = 1) -> nn.Module:
    """DenseNet65: dense blocks of 6, 8, 12 and 6 layers; everything else as :func:`densenet18`."""
    return _densenet((6, 8, 12, 6), num_classes, in_channels, width)


def _densenet(blocks, num_classes, in_channels, width):
    from rrahelpers.base.torchvision import torchvision

    stem = scaled(width, 64)
    model = torchvision.models.DenseNet(scaled(width, 32), blocks, stem, num_classes=num_classes)
    if in_channels != 3:
        model.features.conv0 = nn.Conv2d(in_channels, stem, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(model.features.conv0.weight)  # as torchvision's
    return model
