"""FLOPs and parameters of a network, layer by layer, from one forward pass with hooks.

Two conventions. "published" is the counting that reproduces tables 1 to 5 of the STAC paper, the one of thop
(https://github.com/Lyken17/pytorch-OpCounter): multiply-accumulates of convolutions (padding in full, no bias) and
linear layers; 4 for each element of an affine normalisation and 2 without affine parameters; one for each output
element of average pooling and nearest up-sampling; input plus output elements for adaptive average pooling;
nothing for activations, maximum pooling, sums and products. "macs" is the first item alone.

Only what runs as a module is seen: ``torch.nn.functional`` calls and operators count nothing.
"""

import warnings
from contextlib import ExitStack, contextmanager
from numbers import Integral
from typing import NamedTuple

import pandas as pd
import torch
from torch import nn

from rrahelpers.features import evaluation_mode
from rrahelpers.base.modules import check_model, is_leaf, kind, named_layers, own_parameters

# thop's operations for each output element
UPSAMPLING = {"nearest": 1, "nearest-exact": 1, "linear": 5, "bilinear": 11, "trilinear": 31, "bicubic": 259}


class Complexity(NamedTuple):
    """What one image costs: ``flops`` in the chosen convention, ``params`` trainable or not, both plain numbers."""

    flops: int
    params: int


def count(model, input_shape, convention="published"):
    """FLOPs of one image [C, H, W] and parameters of ``model``: the sums of :func:`per_layer`, which says more.

    >>> count(torch.nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32))
    Complexity(flops=442368, params=448)
    """
    table = per_layer(model, input_shape, convention)
    return Complexity(int(table["flops"].sum()), int(table["params"].sum()))


def per_layer(model, input_shape, convention="published"):
    """One row for each call of a layer, in the order of the calls.

    Parameters
    ----------
    model: any module that takes one batch of images; on the device "meta" nothing is computed. It is left as it was.
    input_shape: (C, H, W) of one image.
    convention: "published" or "macs", see the module's docstring.

    Returns a DataFrame with the columns ``layer`` (its name in the model), ``kind`` (its class), ``output_shape``
    (without the batch; None for outputs that are no tensor), ``flops`` and ``params``. A layer is a module that a rule
    counts, that has no submodules, or that owns parameters. One that is called twice has two rows: its FLOPs in both,
    its parameters in the first. Layers that were never called come last with no FLOPs, and a warning names
    those whose FLOPs a rule would have counted.

    Raises ``ValueError`` for an unknown convention or a malformed ``input_shape``, and as
    :func:`rrahelpers.base.modules.check_model`.
    """
    if convention not in RULES:
        raise ValueError(f"unknown convention {convention!r}; expected one of {', '.join(map(repr, RULES))}")
    check_model(model)
    shape = _image_shape(input_shape)
    names = {module: name for name, module in named_layers(model).items()}
    rows, called, seen = [], set(), set()

    def record(module, output_shape, flops):
        fresh = {id(p): p.numel() for p in own_parameters(module) if id(p) not in seen}
        seen.update(fresh)
        rows.append((names[module], kind(module), output_shape, flops, sum(fresh.values())))

    def hook(module, args, kwargs, output):
        called.add(module)
        output_shape = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else None
        record(module, output_shape, _flops(module, next(iter((*args, *kwargs.values())), None), output, convention))

    layers = [module for module in names if _is_layer(module)]
    with _hooked(model, layers, hook), torch.no_grad():
        model(_zeros(model, shape))
    for module in (module for module in layers if module not in called):
        record(module, None, 0)
    if unseen := [names[module] for module in layers if module not in called and _rule(module, convention)]:
        listed = ", ".join(unseen[:5]) + (f" and {len(unseen) - 5} more" if len(unseen) > 5 else "")
        warnings.warn(f"not called as modules, so counted as 0 FLOPs: {listed}", stacklevel=2)
    return pd.DataFrame(rows, columns=["layer", "kind", "output_shape", "flops", "params"])


def _products(module, x, y):
    # each output (of a transposed convolution: each input) meets one kernel [C_in / groups, *sides]
    positions = x if getattr(module, "transposed", False) else y
    return positions.numel() * module.weight[0].numel()


MACS = ((nn.modules.conv._ConvNd, _products), (nn.Linear, _products))
RULES = {
    "published": (
        *MACS,
        ((nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm),
         lambda module, x, y: (2 if module.weight is None else 4) * y.numel()),
        ((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), lambda module, x, y: y.numel()),
        ((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
         lambda module, x, y: x.numel() + y.numel()),
        (nn.Upsample, lambda module, x, y: UPSAMPLING[module.mode] * y.numel()),
    ),
    "macs": MACS,
}


def _rule(module, convention):
    return next((rule for kinds, rule in RULES[convention] if isinstance(module, kinds)), None)


def _flops(module, x, y, convention):
    rule = _rule(module, convention)
    return rule(module, x, y) if rule else 0


def _is_layer(module):
    return bool(own_parameters(module)) or is_leaf(module) or _rule(module, "published") is not None


def _image_shape(shape):
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()  # torch.Size is a tuple
    if len(sizes) != 3 or not all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise ValueError(f"input_shape must be (C, H, W) of one image, three positive integers; got {shape!r}")
    return sizes


def _zeros(model, shape):
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    return torch.zeros(1, *shape, device=like.device, dtype=like.dtype)


@contextmanager
def _hooked(model, layers, hook):
    """Evaluation mode with ``hook`` on every layer; afterwards no hook is left, and each module's mode is restored."""
    with evaluation_mode(model), torch.inference_mode(False), ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_hook(hook, with_kwargs=True).remove)
        yield
