"""Self-attention modules for convolutional feature maps, [N, C, H, W] in and out.

Each gates its input; the modules differ in how far the gate sees and in whether it varies over channels,
over places, or over both. Hyperparameters default to what reproduces the parameter and FLOP counts
printed in the STAC paper (Hryniowski & Wong, "Systematic Architectural Design of Scale Transformed
Attention Condenser DNNs", tables 1 to 5), which differs from the modules' own papers where said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, overload

import torch
import torch.fx
from torch import nn

from rrahelpers.base.arrays import is_whole

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Window, Windows

ATTENTION = ("stac", "se", "bam", "spatial", "cbam")
REDUCED = ("se", "bam", "cbam")  # those with hidden channels
GATES = ("sigmoid", "softmax")
GATED = ("se", "spatial")  # those whose gate can be either
WINDOW = 8  # STAC's default (section 5)
PLACEMENTS = ("standard", "post")  # STAC paper, figure 6: before the addition of a residual block, or after the block


@torch.fx.wrap  # a trace keeps the check, without looking into it
def _check_window(window, height, width):
    if window != "global" and window > min(height, width):
        raise ValueError(f"STAC: window {window} is larger than the {height}x{width} map; "
                         f"expected at most {min(height, width)}, or 'global'")


class STAC(nn.Module):
    """Spatial transformed attention condenser (STAC paper, section 4, figure 5).

    Average pooling over ``window`` x ``window`` condenses the map, convolution-ReLU-convolution-sigmoid makes
    an attention map of every channel, nearest-neighbour up-sampling expands it, and the product gates the input.

    Parameters
    ----------
    channels: number of channels of the map.
    window: side of the pooling window in pixels, or "global" for one window over the whole map.
    kernels: sides of the two convolution kernels. Default (3, 3); (1, 1) for the global window, where only the
        centre of a padded kernel would ever act (this gives table 4's row "GAP" and makes it SE).

    A window that doesn't divide the map leaves smaller windows at the right and bottom borders. A window
    larger than the map raises ``ValueError``.
    """

    def __init__(self, channels: int, window: Window = WINDOW, kernels: Sequence[int] | None = None) -> None:
        super().__init__()
        if window != "global" and not is_whole(window):
            raise ValueError(f"STAC: window must be a positive integer or 'global', got {window!r}")
        kernels = kernels or ((1, 1) if window == "global" else (3, 3))
        pair = isinstance(kernels, (list, tuple)) and len(kernels) == 2
        if not pair or not all(is_whole(k) and k % 2 for k in kernels):
            raise ValueError(f"STAC: kernels must be two odd sides, which keep the map's size, got {kernels!r}")
        window = window if window == "global" else int(window)
        first, second = kernels
        self.window = window
        self.condense = nn.AdaptiveAvgPool2d(1) if window == "global" else nn.AvgPool2d(window, ceil_mode=True)
        self.attend = nn.Sequential(
            nn.Conv2d(channels, channels, first, padding=first // 2), nn.ReLU(),
            nn.Conv2d(channels, channels, second, padding=second // 2), nn.Sigmoid(),
        )
        self.expand = nn.Identity() if window == "global" else nn.Upsample(scale_factor=window, mode="nearest")

    def attention_map(self, x: torch.Tensor) -> torch.Tensor:
        """The gate in (0, 1): [N, C, H, W], or [N, C, 1, 1] for the global window."""
        height, width = x.shape[-2:]
        _check_window(self.window, height, width)
        return self.expand(self.attend(self.condense(x)))[..., :height, :width]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.attention_map(x)


class SqueezeExcitation(nn.Module):
    """Channel attention from the globally pooled map (Hu et al. 2018, "Squeeze-and-Excitation Networks").

    ``reduction`` divides the hidden channels: 16 in its own paper, 1 in the STAC paper's tables. ``gate``: "sigmoid" as
    in its own paper, or "softmax" over channels, as the dissertation describes it (3.3.6).
    """

    def __init__(self, channels: int, reduction: int = 1, gate: str = "sigmoid") -> None:
        super().__init__()
        _check_gate("SqueezeExcitation", gate)
        hidden = _hidden("SqueezeExcitation", channels, reduction)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.ReLU(),
            nn.Conv2d(hidden, channels, 1), nn.Sigmoid() if gate == "sigmoid" else nn.Softmax(1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)


class BAM(nn.Module):
    """Bottleneck attention module (Park et al. 2018), x (1 + sigmoid(channel · spatial)).

    The product of the branches follows the authors' code (their text adds them). The STAC paper names a
    compression factor of 4, but its printed counts need ``reduction`` 1, and no batch norm in the spatial branch.
    """

    def __init__(self, channels: int, reduction: int = 1, dilation: int = 4) -> None:
        super().__init__()
        hidden = _hidden("BAM", channels, reduction)
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, channels), nn.Unflatten(1, (channels, 1, 1)),
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation), nn.ReLU(),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + torch.sigmoid(self.channel(x) * self.spatial(x)))


class SpatialAttention(nn.Module):
    """One gate for each place, from the mean and maximum over channels (Woo et al. 2018, CBAM, section 3).

    ``gate``: "sigmoid" as there, or "softmax" over places, as the dissertation describes it (3.3.6, figure 25).
    """

    def __init__(self, kernel: int = 7, gate: str = "sigmoid") -> None:
        super().__init__()
        _check_gate("SpatialAttention", gate)
        self.gate = gate
        if kernel % 2 == 0:
            raise ValueError(f"SpatialAttention: kernel must have an odd side to keep the map's size, got {kernel}")
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summary = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        scores = self.conv(summary)
        if self.gate == "sigmoid":
            return x * torch.sigmoid(scores)
        return x * scores.flatten(2).softmax(2).view_as(scores)


class CBAM(nn.Module):
    """Convolutional block attention module (Woo et al. 2018): channel attention, then spatial attention.

    Channel attention adds the outputs of one shared perceptron for average and maximum pooling. Hidden
    channels are ``channels // reduction``, at least 1.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        if reduction < 1:
            raise ValueError(f"CBAM: reduction must be at least 1, got {reduction}")
        hidden = max(1, channels // reduction)
        self.shared = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.average, self.maximum = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.spatial = SpatialAttention(kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channel = torch.sigmoid(self.shared(self.average(x)) + self.shared(self.maximum(x)))
        return self.spatial(x * channel)


@overload
def attention_module(name: str, channels: int, window: Window = ..., kernels: Sequence[int] | None = ...,
                     reduction: int | None = ..., gate: str = ...) -> nn.Module: ...


@overload
def attention_module(name: None, channels: int, window: Window = ..., kernels: Sequence[int] | None = ...,
                     reduction: int | None = ..., gate: str = ...) -> None: ...


def attention_module(name: str | None, channels: int, window: Window = WINDOW, kernels: Sequence[int] | None = None,
                     reduction: int | None = None, gate: str = "sigmoid") -> nn.Module | None:
    """The attention module called ``name`` for a map of ``channels`` channels, or None for None.

    ``window``, ``kernels``: STAC's. ``reduction``: of those with hidden channels, None for their own default. ``gate``:
    of "se" and "spatial". Raises ``ValueError`` for an unknown name, and for a window, kernels, a reduction or a gate
    where the module has none.
    """
    if name is None:
        return None
    if name not in ATTENTION:
        raise ValueError(f"unknown attention {name!r}; expected one of {ATTENTION} or None")
    if reduction is not None and name not in REDUCED:
        raise ValueError(f"attention {name!r} has no hidden channels to reduce, got reduction {reduction!r}; expected "
                         f"one of {REDUCED}")
    if gate != "sigmoid" and name not in GATED:
        raise ValueError(f"attention {name!r} has no gate to choose, got gate {gate!r}; expected one of {GATED}")
    if name == "stac":
        return STAC(channels, window, kernels)
    if window != WINDOW or kernels is not None:
        raise ValueError(f"window and kernels are for attention 'stac' alone, got window {window!r} and kernels "
                         f"{kernels!r} for {name!r}")
    if name == "spatial":
        return SpatialAttention(gate=gate)
    hidden = {} if reduction is None else {"reduction": reduction}
    if name == "se":
        return SqueezeExcitation(channels, gate=gate, **hidden)
    return {"bam": BAM, "cbam": CBAM}[name](channels, **hidden)


def refuse_without_attention(**options: object) -> None:
    """Raise ``ValueError`` for options of attention modules where there are none: they would be ignored.

    ``options``: placement, window, kernels, stages, reduction or gate, with None for its default.
    """
    defaults = {"placement": "standard", "window": WINDOW, "gate": "sigmoid"}
    if given := {name: value for name, value in options.items() if value != defaults.get(name)}:
        told = " and ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(f"without attention there is nothing for {told}; expected attention to be one of {ATTENTION} "
                         "too")


def stage_windows(count: int, placement: str = "standard", window: Windows = WINDOW,
                  stages: Iterable[int] | None = None) -> dict[int, Window]:
    """Which stages of a network get attention, and the window of each: {stage: window}.

    ``stages`` are some of 1 to ``count``, None for all; ``window`` is one value, or a list of ``count`` values.
    Raises ``ValueError`` for another placement than :data:`PLACEMENTS`, another stage, or too many or few windows.
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"placement must be one of {PLACEMENTS}, got {placement!r}")
    every = range(1, count + 1)
    stages = every if stages is None else stages
    if not isinstance(stages, Iterable) or not (chosen := set(stages)) <= set(every):
        raise ValueError(f"stages must be a list of numbers from 1 to {count}, got {stages!r}")
    windows = list(window) if isinstance(window, (list, tuple)) else [window] * count
    if len(windows) != count:
        raise ValueError(f"window must be one value or one for each of {count} stages, got {window!r}")
    return {stage: windows[stage - 1] for stage in every if stage in chosen}


def _hidden(module, channels, reduction):
    if reduction < 1 or channels // reduction < 1:
        raise ValueError(f"{module}: reduction must lie in 1..{channels} (the channels), got {reduction}")
    return channels // reduction


def _check_gate(module, gate):
    if gate not in GATES:
        raise ValueError(f"{module}: gate must be one of {GATES}, got {gate!r}")
