"""Small networks and images for the tests of reports."""

import math

import pandas as pd
import torch
from torch import nn


def network(channels=3, classes=3):
    """Three convolutions, the last behind its border at 16 pixels, and a linear layer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Conv2d(8, 12, 5, padding=2), nn.BatchNorm2d(12), nn.ReLU(),
                          nn.Conv2d(12, 12, 7, padding=3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(12, classes))
    nn.init.constant_(model[4].running_mean, 0.01)  # as if it had seen images
    return model


def broken():
    """The same with answers that aren't finite from the last convolution on."""
    model = network()
    with torch.no_grad():
        model[6].weight[0, 0, 0, 0] = math.nan
    return model


def same(report, other):
    """Assert that two reports tell the same; notes of several passes may come in another order."""
    for name in ("layers", "scales", "pairs", "dimensions"):
        pd.testing.assert_frame_equal(getattr(report, name), getattr(other, name))
    assert sorted(report.notes) == sorted(other.notes)
    assert list(report.grams) == list(other.grams) == list(report.graphs)
    for layer, gram in other.grams.items():
        torch.testing.assert_close(report.grams[layer], gram)


def images(count=60, size=16, classes=3, channels=3):
    """Noise around a pattern for each class, float [N, C, H, W], and labels in turn."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % classes
    patterns = torch.randn(classes, channels, size, size, generator=generator)
    return patterns[labels] + torch.randn(count, channels, size, size, generator=generator), labels


class Residual(nn.Module):
    """A block with a shortcut."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(self.conv1(x).relu_())
