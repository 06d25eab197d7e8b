"""Where features lie is followed through a forward pass, also where sizes tell nothing: every side here is 4."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rrahelpers.features.axes import Axes, known_axis

CONV, LINEAR, NORM = nn.Conv2d(4, 4, 1), nn.Linear(4, 4), nn.LayerNorm(4)


@pytest.mark.parametrize("function, axis", [
    (CONV, 1), (lambda x: CONV(x).relu() + 1, 1), (lambda x: F.batch_norm(x, None, None, training=True), 1),
    (lambda x: CONV(x).permute(0, 2, 3, 1), 3), (lambda x: NORM(CONV(x).permute(0, 2, 3, 1)), 3),
    (lambda x: F.gelu(LINEAR(CONV(x).movedim(1, -1))), 3),
    (lambda x: x + LINEAR(CONV(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), 1),  # ConvNeXt's block
    (lambda x: CONV(x).flatten(2), 1), (lambda x: CONV(x).flatten(2).transpose(1, 2), 2),
    (lambda x: CONV(x).flatten(2).mT, 2),
    (lambda x: torch.roll(LINEAR(CONV(x).permute(0, 2, 3, 1)), 1, 1).view(4, 2, 2, 2, 2,
                                                                          4).transpose(2, 3).reshape(16, 4, 4), 2),
    (lambda x: torch.cat([CONV(x), CONV(x)], 1)[:, 1:], 1), (lambda x: F.adaptive_avg_pool2d(CONV(x), 2), 1),
    (lambda x: F.dropout(CONV(x), training=False).contiguous().chunk(2, 1)[1], 1),
    (lambda x: CONV(x) + CONV(x).permute(0, 2, 3, 1), None),  # two answers
    (lambda x: torch.einsum("nchw,cd->nhwd", x, torch.eye(4)), None), (lambda x: x @ torch.eye(4), 3),
    (lambda x: F.linear(CONV(x).flatten(2), torch.ones(4, 16)), None),  # mixes places
])
def test_the_axis_is_followed(function, axis):
    with torch.no_grad(), Axes() as axes:
        x = torch.randn(4, 4, 4, 4)
        axes.set(x, 1)
        y = function(x)
    assert axes.of(y) == axis


def test_what_a_tensor_feeds_tells_too():
    with torch.no_grad(), Axes() as axes:
        x = torch.randn(4, 4, 4, 4)
        known = x.cumsum(0)
        NORM(known)
        y = x.sin()
        CONV(y)
    assert (axes.of(x), axes.of(known), axes.of(y)) == (None, 3, 1)


def test_places_of_convolutions_are_kept():
    with torch.no_grad(), Axes() as axes:
        F.conv_transpose1d(F.conv1d(CONV(torch.randn(2, 4, 6, 5)).flatten(2), torch.ones(4, 4, 3)), torch.ones(4, 4, 2))
    assert axes.maps == [(6, 5), (28,), (29,)]


def test_kinds_of_layers():
    class Maps(nn.LayerNorm):
        pass

    kinds = [nn.Conv1d(2, 2, 1), nn.ConvTranspose2d(2, 2, 1), nn.Linear(2, 2), nn.GRU(2, 2), nn.LayerNorm(2),
             nn.LayerNorm((2, 3, 3)),
             nn.BatchNorm2d(2), nn.GroupNorm(1, 2), Maps(2), nn.ReLU()]
    assert [known_axis(kind, 4) for kind in kinds] == [2, 1, 3, 3, 3, 1, 1, 1, None, None]
    assert known_axis(nn.ReLU(), 2) == 1
