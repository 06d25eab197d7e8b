"""Which layers are looked at, where their features lie, and hooks that see them and go away."""

import contextlib
from functools import partial

import torch
from torch import nn

from rrahelpers.eigenspace.covariance import Covariance, feature_axis
from rrahelpers.features import evaluation_mode, features_last
from rrahelpers.base.modules import RECURRENT, WEIGHTED, check_model, kind, named_layers


def weighted_layers(model):
    """The names of all convolutional, linear and recurrent layers (dissertation 6.1.2), in the order of the model."""
    check_model(model, compiled=True)  # which a tracker can follow from its first call
    return [name for name, module in _modules(model).items() if isinstance(module, (*WEIGHTED, *RECURRENT))]


def covariances(model, images, layers=None, *, batch_size=100):
    """The covariance of each layer's output, from one pass in evaluation mode.

    Parameters
    ----------
    model: any ``nn.Module``, left as it was.
    images: float [N, …], as the model takes them; or batches of such, or of tuples that begin with one (a DataLoader).
    layers: names; default :func:`weighted_layers`.
    batch_size: images for each forward pass, where ``images`` is one tensor.

    Returns {layer: :class:`Covariance`} in the order in which the layers ran; one that did not run is left out.
    Memory: 8 D² bytes for a layer with D features. Raises ``ValueError`` for unknown layers and where none ran, and as
    :func:`rrahelpers.base.modules.check_model`.
    """
    found = {}
    check_model(model, layers)

    def record(name, x, axis):
        found.setdefault(name, Covariance(x.shape[axis])).update(x, axis)

    device = next((p.device for p in model.parameters()), None)
    with attach(model, layers, record), evaluation_mode(model), torch.no_grad():
        for batch in images.split(batch_size) if isinstance(images, torch.Tensor) else images:
            model((batch[0] if isinstance(batch, (tuple, list)) else batch).to(device))
    if not any(covariance.observations for covariance in found.values()):
        raise ValueError("no layer ran: expected at least one image, and a model that calls its layers as modules")
    return found


def recomputing():
    """Whether a layer that runs now does so for the second time, in a backward pass: ``torch.utils.checkpoint``."""
    return torch._C._current_graph_task_id() != -1


def attach(model, layers, function):
    """Call ``function(name, x, axis)`` whenever a layer has run; a tensor that it answers takes the output's place.

    ``x`` is the layer's output (of several, the first: a recurrent layer's sequence) with its features along ``axis``.
    Errors of ``function`` name the layer. Returns an ``ExitStack`` that removes the hooks when it is closed. Raises
    ``ValueError`` for unknown layers, or none.
    """
    layers = weighted_layers(model) if layers is None else list(layers)
    check_model(model, layers, compiled=True)
    modules = _modules(model)
    if unknown := [name for name in layers if name not in modules]:
        raise ValueError(f"unknown layers {unknown}; expected some of: {', '.join(modules)}")
    if not layers:
        raise ValueError(f"expected at least one layer; {type(model).__name__} has no convolutional, linear or "
                         "recurrent ones, name others with layers=[…]")
    hooks = contextlib.ExitStack()
    for name in dict.fromkeys(layers):
        hooks.callback(modules[name].register_forward_hook(partial(_hook, name, function)).remove)
    return hooks


def _hook(name, function, module, _inputs, output):
    x = _first(output)
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"layer {name!r} answers with {type(x).__name__}; expected a tensor, or a tuple that begins so")
    if isinstance(module, nn.modules.conv._ConvNd):
        axis = -1 - len(module.kernel_size)
    else:
        axis = -1 if features_last(module) or isinstance(module, RECURRENT) else feature_axis(x)
    try:
        answer = function(name, x, axis)
    except ValueError as error:
        raise ValueError(f"layer {name!r}: {error}") from error
    return None if answer is None else _with_first(output, answer)


def _first(output):
    return _first(output[0]) if isinstance(output, tuple) and output else output


def _with_first(output, x):
    """``output`` with its first tensor replaced; named tuples (packed sequences) stay what they are."""
    if not isinstance(output, tuple):
        return x
    first = _with_first(output[0], x)
    return output._replace(**{output._fields[0]: first}) if hasattr(output, "_fields") else (first, *output[1:])


def _modules(model):
    """{name: module}; a model that is a single layer goes by its class's name."""
    return {name or kind(model): module for name, module in named_layers(model).items()}
