"""The dissertation's small networks: two perceptrons and an autoencoder."""

from collections import OrderedDict

import torch
from torch import nn

from rrahelpers.models.families import scaled


class SkipPerceptron(nn.Module):
    """A perceptron whose first layer's output is added again after ``skipped`` further layers (4.3, figure 34a)."""

    def __init__(self, inputs: int, units: int, skipped: int, after: int, num_classes: int, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.first = nn.Sequential(nn.Flatten(), *_dense(inputs, units))
        self.skipped = nn.Sequential(*(_dense(units, units) for _ in range(skipped)))
        self.after = nn.Sequential(*(_dense(units, units) for _ in range(after)))
        self.fc = nn.Linear(units, num_classes)
        _he_initialisation(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = self.skipped(x) + x if self.skip else self.skipped(x)
        return self.fc(self.after(x))


def skip_perceptron(*, num_classes: int = 10, in_channels: int = 1, image_size: int = 28, width: float = 1,
                    depth: float = 1, skip: bool = True) -> SkipPerceptron:
    """The dissertation's form of Alain & Bengio's perceptron: 128 units and ReLU in every layer (4.3, figure 34).

    Layer 1, 128 layers that the shortcut passes by, so that it joins layers 1 and 129, then 8 layers and the logits.

    Parameters
    ----------
    num_classes, in_channels, image_size: of the square images; the defaults are MNIST's.
    width: factor of the units. depth: factor of the number of layers that are passed by.
    skip: False leaves the shortcut out.
    """
    return SkipPerceptron(in_channels * image_size**2, scaled(width, 128), scaled(depth, 128, "depth", "layers"), 8,
                          num_classes, skip)


def perceptron(*, units: int = 128, num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Sequential:
    """The three-layer perceptron of appendix B: 256 units, then ``units`` (there 8, 16, 32, 64 or 128), then logits.

    ``in_channels``, ``image_size``: of the square images (the data set isn't printed).
    """
    if units < 1:
        raise ValueError(f"expected at least one unit, got {units}")
    return _he_initialisation(nn.Sequential(OrderedDict(
        flatten=nn.Flatten(), hidden1=nn.Linear(in_channels * image_size**2, 256), relu1=nn.ReLU(),
        hidden2=nn.Linear(256, units), relu2=nn.ReLU(), fc=nn.Linear(units, num_classes))))


class Autoencoder(nn.Module):
    """A convolutional autoencoder; ``encoder`` and ``decoder`` are sequences of layers."""

    def __init__(self, in_channels: int, width: float) -> None:
        super().__init__()
        narrow, wide = scaled(width, 8), scaled(width, 16)
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in (
            (in_channels, wide), (wide, narrow), (narrow, narrow),
            (narrow, narrow), (narrow, narrow), (narrow, wide), (wide, in_channels))]
        down = [(convolution, nn.ReLU(), nn.MaxPool2d(2)) for convolution in convolutions[:3]]
        up = [(convolution, nn.ReLU(), nn.Upsample(scale_factor=2)) for convolution in convolutions[3:6]]
        self.encoder = nn.Sequential(*(layer for step in down for layer in step))
        self.decoder = nn.Sequential(*(layer for step in up for layer in step), convolutions[6], nn.ReLU())
        _he_initialisation(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


def autoencoder(*, in_channels: int = 3, width: float = 1) -> Autoencoder:
    """The convolutional autoencoder of the dissertation's table 1: images [N, C, H, W] to their reconstruction.

    The sides should be multiples of 8; else the reconstruction is that much smaller. ``encoder`` ends in the code:
    8 H/8 W/8 values, 6,272 for the 224 pixels of table 1. (Table 3 prints 8,192, which 256 pixels would give.)
    """
    return Autoencoder(in_channels, width)


def _dense(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU())


def _he_initialisation(model):
    """He et al. 2015's, "for all models throughout this work" (8.3.1)."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return model
