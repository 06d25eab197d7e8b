"""Which layers are looked at, where their features lie, and hooks that see them and go away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rrahelpers.base.modules import WEIGHTED, check_model, kind, layer_list, named_layers
from rrahelpers.eigenspace.covariance import Covariance
from rrahelpers.features import evaluation_mode
from rrahelpers.features.axes import RECURRENT, Axes, check_axis, known_axis
from rrahelpers.features.batches import as_batches
from rrahelpers.features.passes import as_taken

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes, Images


def weighted_layers(model: nn.Module) -> list[str]:
    """The names of all convolutional, linear and recurrent layers (dissertation 6.1.2), in the order of the model."""
    check_model(model, in_a_loop=True)
    return [name for name, module in _modules(model).items() if isinstance(module, (*WEIGHTED, *RECURRENT))]


def covariances(model: nn.Module, images: Images, layers: Iterable[str] | None = None, *,
                batch_size: int | None = None, axis: FeatureAxes | None = None,
                device: str | torch.device | None = None) -> dict[str, Covariance]:
    """The covariance of each layer's output, from one pass in evaluation mode; every place and every token is an
    observation.

    Parameters
    ----------
    model: any ``nn.Module``, left as it was.
    images: float [N, …], as the model takes them, or batches of such (a DataLoader): see
        :class:`rrahelpers.features.batches.Batches`.
    layers: names; default :func:`weighted_layers`.
    batch_size: images for each forward pass, where ``images`` is one tensor; default
        :func:`rrahelpers.features.batches.at_a_time`.
    axis: {layer: axis of its features, 1 or -1}, where it isn't known.
    device: where covariances are computed; default the model's.

    Returns {layer: :class:`Covariance`} in the order in which the layers ran; one that did not run is left out.
    Memory: 8 D² bytes for a layer with D features. Raises ``ValueError`` for unknown layers, where none ran, and for
    layers of which nothing tells where their features lie, and as :func:`rrahelpers.base.modules.check_model`.
    """
    found: dict[str, Covariance] = {}
    layers = None if layers is None else layer_list(layers)
    check_model(model, layers)

    def record(name, x, axis):
        found.setdefault(name, Covariance(x.shape[axis], device)).update(x, axis)

    images = as_batches(images)
    with attach(model, layers, record, axis), evaluation_mode(model), torch.no_grad():
        for batch in images.split(batch_size):
            model(as_taken(model, batch))
    if not any(covariance.observations for covariance in found.values()):
        raise ValueError("no layer ran: expected at least one image, and a model that calls its layers as modules")
    return found


def recomputing() -> bool:
    """Whether a layer that runs now does so for the second time, in a backward pass: ``torch.utils.checkpoint``."""
    return torch._C._current_graph_task_id() != -1


def attach(model: nn.Module, layers: Iterable[str] | None,
           function: Callable[[str, torch.Tensor, int], torch.Tensor | None],
           axis: FeatureAxes | None = None,
           look: Callable[[nn.Module, Any], object] | None = None) -> contextlib.ExitStack:
    """Call ``function(name, x, axis)`` whenever a layer has run; a tensor that it answers takes the output's place.

    ``x`` is the layer's output (of several, the first: a recurrent layer's sequence), or what ``look(layer, output)``
    makes of it, with its features along ``axis`` (from the right), as told for some, known by the layer's kind, or
    followed by :class:`rrahelpers.features.axes.Axes`. Errors of ``function`` name the layer. Returns an ``ExitStack``
    that removes the hooks when it is closed. Raises ``ValueError`` for unknown layers, or none.
    """
    layers = weighted_layers(model) if layers is None else layer_list(layers)
    check_model(model, layers, in_a_loop=True)
    modules = _modules(model)
    if unknown := [name for name in layers if name not in modules]:
        raise ValueError(f"unknown layers {unknown}; expected some of: {', '.join(modules)}")
    if not layers:
        raise ValueError(f"expected at least one layer; {type(model).__name__} has no convolutional, linear or "
                         "recurrent ones, name others with layers=[…]")
    told, hooks, axes = check_axis(axis, layers), contextlib.ExitStack(), Axes()
    for name in layers:
        hook = partial(_hook, name, function, told.get(name), axes, look or _whole)
        hooks.callback(modules[name].register_forward_hook(hook).remove)
    if any(known_axis(modules[name], 4) is None and name not in told for name in layers):
        hooks.callback(model.register_forward_pre_hook(partial(_follow, axes)).remove)
        hooks.callback(model.register_forward_hook(lambda *_: axes.__exit__(None, None, None), always_call=True).remove)
    return hooks


def _follow(axes, _model, inputs):
    axes.maps.clear()  # of the batch before
    axes.__enter__()
    if inputs and isinstance(inputs[0], torch.Tensor) and inputs[0].ndim > 3:
        axes.set(inputs[0], 1)


def _hook(name, function, axis, axes, look, module, _inputs, output):
    x = look(module, output)
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"layer {name!r} answers with {type(x).__name__}; expected a tensor, or a tuple that begins so")
    if axis is None and (axis := known_axis(module, x.ndim)) is None and (axis := axes.of(x, module)) is None:
        raise ValueError(f"layer {name!r} answers with shape {tuple(x.shape)}, and nothing tells which axis is that "
                         f"of its features; say it with axis={{{name!r}: 1}}, or -1 for the last")
    try:
        answer = function(name, x, axis % x.ndim - x.ndim)
    except ValueError as error:
        raise ValueError(f"layer {name!r}: {error}") from error
    return None if answer is None else _with_first(output, answer)


def _whole(_module, output):
    return first_tensor(output)


def first_tensor(output: object) -> object:
    """What a layer answers, or the first that it answers where it is several things."""
    return first_tensor(output[0]) if isinstance(output, tuple) and output else output


def _with_first(output, x):
    """``output`` with its first tensor replaced; named tuples (packed sequences) stay what they are."""
    if not isinstance(output, tuple):
        return x
    first = _with_first(output[0], x)
    return output._replace(**{output._fields[0]: first}) if hasattr(output, "_fields") else (first, *output[1:])


def _modules(model):
    """{name: module}; a model that is a single layer goes by its class's name."""
    return {name or kind(model): module for name, module in named_layers(model).items()}
