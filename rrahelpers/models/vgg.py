"""The dissertation's VGG networks (Simonyan & Zisserman 2015, configurations A, B, D, E), with batch norm.

``features`` is torchvision's ``vgg*_bn`` with its names, so that those weights load. The classifier is that of the
dissertation's own program (PHD-Lab, ``phd_lab/models/vgg.py``; the text prints none): global average pooling, one
hidden layer of half the last channels, batch norm and a dropout of 0.25 before each linear layer.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from rrahelpers.models.families import options_of, scaled


class VGG(nn.Module):
    """Convolutions in five stages, each ended by 2x2 maximum pooling; images of 32 pixels or more.

    Parameters
    ----------
    blocks: 3x3 convolutions of each stage.
    num_classes, in_channels: as everywhere.
    width: factor of all channels and hidden units, 1 to 1/16 in sections 7.3 and 8.4.
    dilation: of all convolutions, not of the pooling; the maps keep their size. The dissertation's 3 (9.3.1) makes the
        kernels reach over 7 pixels; it prints 9, with which its own border layer, 5, could not be.
    """

    def __init__(self, blocks: Sequence[int], *, num_classes: int = 10, in_channels: int = 3, width: float = 1,
                 dilation: int = 1) -> None:
        super().__init__()
        layers = []
        for size, channels in zip(blocks, (64, 128, 256, 512, 512)):
            channels = scaled(width, channels)
            for _ in range(size):
                layers += [nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation),
                           nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        hidden = max(1, channels // 2)
        self.classifier = nn.Sequential(
            nn.BatchNorm1d(channels), nn.Dropout(0.25), nn.Linear(channels, hidden), nn.ReLU(inplace=True),
            nn.BatchNorm1d(hidden), nn.Dropout(0.25), nn.Linear(hidden, num_classes),
        )
        for module in self.modules():  # as torchvision's
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.avgpool(self.features(x)))


@options_of(VGG)
def vgg11(**options: Any) -> VGG:
    """VGG11: 1, 1, 2, 2 and 2 convolutions."""
    return VGG([1, 1, 2, 2, 2], **options)


@options_of(VGG)
def vgg13(**options: Any) -> VGG:
    """VGG13: 2, 2, 2, 2 and 2 convolutions."""
    return VGG([2, 2, 2, 2, 2], **options)


@options_of(VGG)
def vgg16(**options: Any) -> VGG:
    """VGG16: 2, 2, 3, 3 and 3 convolutions."""
    return VGG([2, 2, 3, 3, 3], **options)


@options_of(VGG)
def vgg19(**options: Any) -> VGG:
    """VGG19: 2, 2, 4, 4 and 4 convolutions."""
    return VGG([2, 2, 4, 4, 4], **options)
