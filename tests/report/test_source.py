"""A report's images come in batches that the memory of their answers allows."""

import itertools

import pytest
import torch

from rrahelpers.report.preprocessing import Preprocessing
from rrahelpers.report.source import Pixels


@pytest.mark.parametrize(("side", "sizes"), [(32, [100, 100, 50]), (224, [27] * 3), (2048, [1] * 3)])
def test_large_images_come_in_smaller_batches(side, sizes):
    images = torch.zeros((), dtype=torch.uint8).expand(250, 3, side, side)
    assert [len(batch) for batch in itertools.islice(Pixels(images, None, Preprocessing()), 3)] == sizes
