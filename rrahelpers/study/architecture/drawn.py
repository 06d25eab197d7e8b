"""The networks that the dissertation draws layer by layer: figures 35 to 37 (section 4.4) and 58 (section 10.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from rrahelpers.receptive_field import receptive_fields
from rrahelpers.study import grids

Stages = Sequence[Sequence[Sequence[int]]]  # for each stage its branches, for each of these its kernel sizes


def reach(layers: Sequence[tuple[int, int]]) -> list[int]:
    """The receptive field of the input and after each of some one-dimensional convolutions, (kernel, stride)."""
    model = nn.Sequential(*(nn.Conv2d(1, 1, (1, kernel), (1, stride)) for kernel, stride in layers))
    return [1, *receptive_fields(model, (1, 1, 32)).r_max]


class Branches(nn.Module):
    """The sum of sequences of convolutions."""

    def __init__(self, branches: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(nn.Conv2d(1, 1, kernel, padding=kernel // 2) for kernel in kernels))
            for kernels in branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(branch(x) for branch in self.branches)


def bounds(stages: Stages) -> dict[str, tuple[list[int], int]]:
    """The paths of the largest and of the smallest receptive field: {"max", "min": (branch of each stage, pixels)}.

    The last stage has one branch: its layer is the one whose receptive field is told.
    """
    growth = [[sum(kernel - 1 for kernel in kernels) for kernels in branches] for branches in stages]
    last = receptive_fields(nn.Sequential(*map(Branches, stages)), (1, 32, 32)).iloc[-1]
    return {bound: ([int(choose(sizes)) for sizes in growth], int(last[f"r_{bound}"]))
            for bound, choose in {"max": np.argmax, "min": np.argmin}.items()}


def multipath(label: str) -> list[list[list[int]]]:
    """The stem and the first stage of an MPNet of :data:`rrahelpers.study.grids.NETWORKS`, as stages."""
    model = grids.untrained(label)
    first = model.get_submodule("stages.0").children()
    return [[_kernels(model.stem)], *([_kernels(block.small), _kernels(block.large)] for block in first)]


def _kernels(path):
    return [layer.kernel_size[0] for layer in path.modules() if isinstance(layer, nn.Conv2d)]
