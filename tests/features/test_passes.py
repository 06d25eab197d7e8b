"""What a forward pass does beside calling the network."""

import torch

from rrahelpers.base import memory
from rrahelpers.features import passes
from rrahelpers.features.batches import as_batches


def test_a_pass_keeps_its_buffers_while_it_lasts():
    model, during = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3)), []
    passes.run(model, as_batches(torch.rand(3, 1, 8, 8)), ["0"], lambda *_: during.append(memory._open))
    assert during == [1] and memory._open == 0
