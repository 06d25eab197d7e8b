"""Forward passes of a network whose layers are listened to, the network left exactly as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rrahelpers.base.memory import kept_buffers
from rrahelpers.base.modules import WEIGHTED, kind, whole
from rrahelpers.features.batches import Batches

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor


class _Enough(Exception):
    """Every layer that was asked for has answered: the rest of the forward pass is of no use."""


def run(model: nn.Module, images: Batches, layers: Sequence[str], take: Callable[[str, torch.Tensor, int], object],
        batch_size: int | None = None) -> None:
    """Call ``take(layer, output, place)`` with what each layer answers to each batch, as it is.

    ``images``: :class:`rrahelpers.features.batches.Batches`; everything else, and what it raises, as for
    :func:`rrahelpers.features.layers.visit`.
    """
    modules = dict(model.named_modules())
    inputs, layers = "input" in layers, [name for name in layers if name != "input"]
    if "" in layers and isinstance(model, WEIGHTED):
        raise ValueError(f"the model is a single {kind(model)} without a name; put it into nn.Sequential")
    if unknown := [name for name in layers if name == "" or name not in modules]:
        raise ValueError(f"unknown layers {unknown}; expected 'input' or some of: {', '.join(n for n in modules if n)}")
    calls, place = dict.fromkeys(layers, 0), 0
    shapes: dict[str, torch.Size] = {}

    def answer(name, output):
        calls[name] += 1
        if calls[name] > 1:  # whatever it answers now: the pass' end tells
            return
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"layer {name!r} answers with {type(output).__name__}; expected a tensor")
        output = whole(output)
        if output.ndim == 0 or len(output) != len(batch):
            raise ValueError(f"layer {name!r} answers with shape {tuple(output.shape)} for {len(batch)} images; "
                             "expected one row for each image along the first axis")
        if shapes.setdefault(name, output.shape[1:]) != output.shape[1:]:
            raise ValueError(f"layer {name!r} answers with shape {tuple(shapes[name])} for an image and "
                             f"{tuple(output.shape[1:])} for another; expected one shape for all images")
        take(name, output, place)
        if place and all(calls.values()):
            raise _Enough

    with contextlib.ExitStack() as hooks, kept_buffers():
        for name in calls:
            handle = modules[name].register_forward_hook(lambda _, __, output, name=name: answer(name, output))
            hooks.callback(handle.remove)
        for batch in images.split(batch_size) if calls or inputs else ():
            calls.update(dict.fromkeys(calls, 0))
            if inputs:
                if shapes.setdefault("input", batch.shape[1:]) != batch.shape[1:]:
                    raise ValueError(f"expected images of one shape, got {tuple(shapes['input'])} and "
                                     f"{tuple(batch.shape[1:])}")
                take("input", batch, place)
            with contextlib.suppress(_Enough):
                if calls:
                    forward(model, batch)
            if wrong := {name: n for name, n in calls.items() if n != 1}:
                raise ValueError(f"expected each layer to run once for an image, got {wrong} times; name an enclosing "
                                 "or another layer")
            place += len(batch)


def forward(model: nn.Module, batch: ImageTensor) -> Any:
    with evaluation_mode(model), torch.inference_mode(False), torch.no_grad():
        return model(as_taken(model, batch))


def as_taken(model: nn.Module, batch: ImageTensor) -> ImageTensor:
    """A copy of some images on the device, and in the precision, of a model's parameters."""
    parameter = next((p for p in model.parameters() if p.is_floating_point()), batch)
    if parameter.is_meta:
        raise ValueError(f'{kind(model)} is on the device "meta", without numbers; expected one with its weights')
    return batch.to(parameter.device, parameter.dtype, copy=True)  # a network may work in place on what it is given


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[nn.Module]:
    """Put a model into evaluation mode and every module's own flag back afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, training in flags:
            module.training = training
