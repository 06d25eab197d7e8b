"""What of a layer's output is observed: fewer places of a feature map, one step of a sequence or all together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from rrahelpers.base.arrays import is_whole
from rrahelpers.eigenspace.layers import first_tensor

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Numbers

SHRINKING = ("stride", "nearest", "bilinear")
LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}  # by the axes of the map
STEPS = ("all", "last", "flatten")


def check_sampling(every: int, batches: int | None, side: int | None, interpolation: str, steps: str) -> None:
    """``ValueError`` for numbers of batches that are none, and what :func:`shrunk` and :func:`steps_of` don't know."""
    for name, value in {"every": every, "batches": batches, "side": side}.items():
        if value is not None and not is_whole(value):
            raise ValueError(f"expected {name} to be a positive whole number, got {value!r}")
    if interpolation not in SHRINKING:
        raise ValueError(f"unknown interpolation {interpolation!r}; expected one of {SHRINKING}")
    if interpolation != "stride" and side is None:
        raise ValueError(f"interpolation {interpolation!r} needs the side to make maps smaller to, got side=None")
    if steps not in STEPS:
        raise ValueError(f"unknown steps {steps!r}; expected one of {STEPS}")


def shrunk(x: Numbers, axis: int, side: int, interpolation: str = "stride") -> Numbers:
    """A feature map with at most ``side`` places along each side (dissertation 6.1.3).

    ``x``: [..., D, places ...] with its features along ``axis``; what has no places behind them stays as it is.
    ``interpolation``: "stride" takes every n-th place, the smallest n that leaves no more than ``side``; "nearest" and
    "bilinear" answer ``side`` places, as :func:`torch.nn.functional.interpolate` does (without smoothing before;
    "bilinear" is linear along one side, trilinear along three). Smaller sides stay.
    """
    sides = x.shape[axis % x.ndim + 1:]
    if not sides or max(sides) <= side:
        return x
    if interpolation == "stride":
        every: list[slice] = [slice(None, None, -(-size // side)) for size in sides]
        return x[(Ellipsis, *every)]  # type: ignore[index]
    maps = x.reshape(-1, x.shape[axis], *sides)
    maps = maps if maps.is_floating_point() else maps.float()
    wanted = [min(side, size) for size in sides]
    if interpolation == "nearest":
        return F.interpolate(maps, wanted, mode="nearest")
    return F.interpolate(maps, wanted, mode=LINEAR[maps.ndim], align_corners=False)


def steps_of(layer: nn.Module, output: Any, steps: str = "all") -> object:
    """What is observed of a recurrent layer's sequences; of any other layer, all that it answers.

    ``steps``: "all" (each step is an observation), "last" (the state after the whole sequence, [N, D], of both
    directions where there are two), "flatten" (a sequence is one observation of T D features; ``ValueError`` for packed
    sequences of different lengths).
    """
    if steps == "all" or not isinstance(layer, nn.RNNBase):
        return first_tensor(output)
    sequence, state = output
    if steps == "last":
        state = state[0] if isinstance(state, tuple) else state  # [layers x directions, N, D]
        return torch.cat([*state[-1 - layer.bidirectional:]], -1).reshape(-1, layer_features(layer))
    if isinstance(sequence, PackedSequence):
        sequence, lengths = pad_packed_sequence(sequence, batch_first=True)
        if len(lengths.unique()) > 1:
            raise ValueError(f"sequences of {int(lengths.min())} to {int(lengths.max())} steps can't be flattened; "
                             "expected one length, or steps='all' or 'last'")
    elif sequence.ndim == 3 and not layer.batch_first:
        sequence = sequence.transpose(0, 1)
    return sequence.reshape(1 if sequence.ndim == 2 else len(sequence), -1)


def layer_features(layer: nn.RNNBase) -> int:
    """Features of a recurrent layer's output at one step."""
    return (layer.proj_size or layer.hidden_size) * (1 + layer.bidirectional)
