"""Attention in torchvision's residual networks, in the two places of the STAC paper's figure 6."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from rrahelpers.attention import (
    ATTENTION,
    BAM,
    CBAM,
    STAC,
    WINDOW,
    SpatialAttention,
    SqueezeExcitation,
    attention_module,
    stage_windows,
)

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Network, Windows

MODULES = (STAC, SqueezeExcitation, BAM, SpatialAttention, CBAM)


def attach(model: Network, attention: str, *, placement: str = "standard", window: Windows = WINDOW,
           kernels: Sequence[int] | None = None, reduction: int | None = None, gate: str = "sigmoid",
           stages: Iterable[int] | None = None) -> Network:
    """Insert an untrained attention module into each residual block of ``model``, in place, and return ``model``.

    torchvision's forward code stays as it is: "standard" turns the last norm of the residual branch into norm and
    attention, "post" turns the block into block and attention. Names in the state dict change accordingly
    ("layer1.0.bn2.weight" becomes "layer1.0.bn2.norm.weight", or "layer1.0.block.bn2.weight"), so load weights first,
    and build the optimiser afterwards.

    Parameters
    ----------
    model: a torchvision ``ResNet`` of ``BasicBlock`` or ``Bottleneck`` (ResNet, ResNeXt, Wide ResNet), or another
        network with such blocks in stages of these names, as :class:`rrahelpers.models.HeResNet`.
    attention: "stac", "se", "bam", "spatial" or "cbam".
    placement, window, kernels, stages: as for :func:`rrahelpers.models.build`; the stages are ``layer1`` to ``layer4``.
    reduction: divides the hidden channels of "se", "bam" and "cbam"; default: as in :mod:`rrahelpers.attention`.
    gate: of "se" and "spatial": "sigmoid" or "softmax".

    Raises ``TypeError`` for other networks and blocks, ``ValueError`` for an unknown option or a stage that has
    attention already; ``model`` is then unchanged. A window larger than a stage's map raises ``ValueError`` in the
    forward pass.
    """
    if not all(isinstance(getattr(model, f"layer{number}", None), nn.Sequential) for number in range(1, 5)):
        raise TypeError(f"expected a torchvision ResNet, got {type(model).__module__}.{type(model).__name__}")
    if attention not in ATTENTION:
        raise ValueError(f"unknown attention {attention!r}; expected one of {ATTENTION}")
    replacements = []
    for number, size in stage_windows(4, placement, window, stages).items():
        stage = model.get_submodule(f"layer{number}")
        if any(isinstance(module, MODULES) for module in stage.modules()):
            raise ValueError(f"layer{number} has attention already; start without it, or choose other stages")
        for index, block in stage.named_children():
            convolution, norm = _last_of_branch(block, f"layer{number}.{index}")
            added = attention_module(attention, convolution.out_channels, size, kernels, reduction, gate)
            added.to(convolution.weight).train(block.training)
            if placement == "standard":
                inner = OrderedDict(norm=block.get_submodule(norm), attention=added)
                replacements.append((block, norm, nn.Sequential(inner)))
            else:
                replacements.append((stage, index, nn.Sequential(OrderedDict(block=block, attention=added))))
    for owner, name, replacement in replacements:
        replacement.training = owner.training  # alone: a norm may be frozen in evaluation mode
        setattr(owner, name, replacement)
    return model


def _last_of_branch(block, name):
    """The last convolution of a block's residual branch, and the name of the norm after it."""
    from rrahelpers.base.torchvision import torchvision

    if isinstance(block, torchvision.models.resnet.BasicBlock):
        return block.conv2, "bn2"
    if isinstance(block, torchvision.models.resnet.Bottleneck):
        return block.conv3, "bn3"
    raise TypeError(f"expected BasicBlock or Bottleneck at {name}, got {type(block).__name__}")
