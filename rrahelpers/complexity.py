"""FLOPs, parameters and memory of a network, layer by layer, from one forward pass with hooks.

Two conventions. "published" is the counting that reproduces tables 1 to 5 of the STAC paper, the one of thop
(https://github.com/Lyken17/pytorch-OpCounter): multiply-accumulates of convolutions (padding in full, no bias) and
linear layers; at each step of recurrent layers and cells, all weights and biases, one for each activation and for each
product and sum of the gates; 4 for each element of an affine normalisation and 2 without affine parameters; one for
each output element of average pooling and nearest up-sampling; input plus output elements for adaptive average pooling;
nothing for activations, maximum pooling, sums and products. "macs" is multiply-accumulates of weights alone, as
PyTorch's
own counter has it: half of its FLOPs.

Only what runs as a module is counted: ``torch.nn.functional`` calls and operators count nothing, and a warning names
the modules in which they multiply matrices or convolve (attention, layers of one's own).
"""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pandas as pd
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.modules import RECURRENT, check_model, is_leaf, kind, named_layers, own_parameters, whole
from rrahelpers.features import evaluation_mode

# thop's operations for each output element
GATES = {nn.LSTM: (4, 4), nn.LSTMCell: (4, 4), nn.GRU: (3, 4), nn.GRUCell: (3, 4)}  # activations, sums and products
UPSAMPLING = {"nearest": 1, "nearest-exact": 1, "linear": 5, "bilinear": 11, "trilinear": 31, "bicubic": 259}


MULTIPLY = ("mv", "addmv", "dot", "vdot", "addbmm", "_trilinear")  # what PyTorch's counter of FLOPs passes over


class Complexity(NamedTuple):
    """What one image costs: ``flops`` in the chosen convention, ``params`` trainable or not, both plain numbers."""

    flops: int
    params: int


def count(model: nn.Module, input_shape: Sequence[int], convention: str = "published") -> Complexity:
    """FLOPs of one image [C, H, W] and parameters of ``model``: the sums of :func:`per_layer`, which says more.

    >>> count(torch.nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32))
    Complexity(flops=442368, params=448)
    """
    table = per_layer(model, input_shape, convention)
    return Complexity(int(table["flops"].sum()), int(table["params"].sum()))


def per_layer(model: nn.Module, input_shape: Sequence[int], convention: str = "published") -> pd.DataFrame:
    """One row for each call of a layer, in the order of the calls.

    Parameters
    ----------
    model: any module that takes one batch of images; on the device "meta" nothing is computed. It is left as it was.
    input_shape: (C, H, W) of one image.
    convention: "published" or "macs", see the module's docstring.

    Returns a DataFrame with the columns ``layer`` (its name in the model), ``kind`` (its class), ``output_shape``
    (without the batch; None for outputs that are no tensor), ``flops``, ``params`` and ``memory`` (see :func:`memory`).
    A layer is a module that a rule counts, that has no submodules, or that owns parameters. One that is called twice
    has two rows: its FLOPs in both, its parameters in the first. Layers that were never called come last with no
    FLOPs. Warnings name those whose FLOPs a rule would have counted, and the modules that multiply beside the layers
    for which there are rules.

    Raises ``ValueError`` for an unknown convention, a malformed ``input_shape`` and an image that the network refuses,
    and as :func:`rrahelpers.base.modules.check_model`.
    """
    check_convention(convention)
    check_model(model)
    shape = _image_shape(input_shape)
    names = {module: name for name, module in named_layers(model).items()}
    rows, called, seen = [], set(), set()

    def record(module, output_shape, flops, memory=0):
        fresh = {id(p): p.numel() for p in own_parameters(module) if id(p) not in seen}
        seen.update(fresh)
        rows.append((names[module], kind(module), output_shape, flops, sum(fresh.values()), memory))

    def hook(module, args, kwargs, output):
        called.add(module)
        x, output = tree_map(whole, (next(iter((*args, *kwargs.values())), None), output))
        output_shape = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else None
        record(module, output_shape, _flops(module, x, output, convention), _bytes(x, output))

    layers = [module for module in names if _is_layer(module)]
    with _hooked(model, layers, hook), _Unruled(names) as unruled, torch.no_grad():
        try:
            model(_zeros(model, shape))
        except NotImplementedError:
            raise
        except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:  # the network's own
            raise ValueError(f"{kind(model)} refuses an image of {list(shape)} (channels, height, width); choose "
                             f"another input_shape. It says: {error or type(error).__name__}") from error
    for module in (module for module in layers if module not in called):
        record(module, None, 0)
    if unseen := [names[module] for module in layers if module not in called and _rule(module, convention)]:
        warnings.warn(f"not called as modules, so counted as 0 FLOPs: {_listed(unseen)}", stacklevel=2)
    if found := [f"{names[module] or 'the model'} ({kind(module)})" for module in unruled.found]:
        warnings.warn("there is no rule for what these multiply themselves, so it counts as 0 FLOPs: " + _listed(found),
                      stacklevel=2)
    return pd.DataFrame(rows, columns=["layer", "kind", "output_shape", "flops", "params", "memory"])


def memory(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Bytes of the activations of one image [C, H, W], the memory footprint (dissertation, 11.1): the outputs of all
    layers together. A training step holds at most these, and in evaluation most are given up again at once.

    What a layer writes in the place of its input, or only views, takes nothing. Sums, products and functional calls
    beside layers count nothing, as for :func:`count`.

    >>> memory(torch.nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32))
    65536
    """
    return int(per_layer(model, input_shape, "macs")["memory"].sum())


def _bytes(x, output):
    """Of a layer's output, where it is a tensor with a place of its own."""
    if not isinstance(output, torch.Tensor) or isinstance(x, torch.Tensor) and torch._C._is_alias_of(x, output):
        return 0
    return output.numel() * output.element_size()


def _products(module, x, y):
    # each output (of a transposed convolution: each input) meets one kernel [C_in / groups, *sides]
    positions = x if getattr(module, "transposed", False) else y
    return positions.numel() * module.weight[0].numel()


def _weights(module):
    """Weights and biases of each layer and direction of a recurrent module, or of a cell."""
    if isinstance(module, nn.RNNBase):
        return module.all_weights
    return [[module.weight_ih, module.weight_hh, *([module.bias_ih, module.bias_hh] if module.bias else [])]]


def _steps(y):
    """How often a recurrent module ran: steps of all sequences. Its output comes first, of a packed sequence the
    data."""
    return _steps(y[0]) if isinstance(y, tuple) else y.numel() // y.shape[-1]


def _recurrent_products(module, x, y):
    return _steps(y) * sum(w.numel() for weights in _weights(module) for w in weights if w.ndim == 2)


def _recurrent(module, x, y):
    gates, more = next((found for cell, found in GATES.items() if isinstance(module, cell)), (1, 0))
    return _steps(y) * sum(sum(w.numel() for w in weights) + (gates + more) * module.hidden_size
                           for weights in _weights(module))


PRODUCTS = ((nn.modules.conv._ConvNd, _products), (nn.Linear, _products))
RULES = {
    "published": (
        *PRODUCTS,
        (RECURRENT, _recurrent),
        ((nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm),
         lambda module, x, y: (2 if module.weight is None else 4) * y.numel()),
        ((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), lambda module, x, y: y.numel()),
        ((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
         lambda module, x, y: x.numel() + y.numel()),
        (nn.Upsample, lambda module, x, y: UPSAMPLING[module.mode] * y.numel()),
    ),
    "macs": (*PRODUCTS, (RECURRENT, _recurrent_products)),
}


def check_convention(convention: str) -> None:
    """Raise ``ValueError`` for an unknown convention."""
    if convention not in RULES:
        raise ValueError(f"unknown convention {convention!r}; expected one of {', '.join(map(repr, RULES))}")


def _rule(module, convention):
    return next((rule for kinds, rule in RULES[convention] if isinstance(module, kinds)), None)


def _flops(module, x, y, convention):
    rule = _rule(module, convention)
    return rule(module, x, y) if rule else 0


class _Unruled(TorchDispatchMode):
    """Finds the modules, in the order of their calls, that multiply by operations of their own and have no rule."""

    def __init__(self, modules):
        super().__init__()
        self.modules, self.open, self.found, self.hooks = modules, [], {}, ExitStack()

    def __enter__(self):
        self.hooks.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)  # a fused operation would hide what attention does
        for module in self.modules:
            self.hooks.callback(module.register_forward_pre_hook(self.enter, prepend=True).remove)
            self.hooks.callback(module.register_forward_hook(self.leave).remove)
        return super().__enter__()

    def __exit__(self, *error):
        self.hooks.close()
        return super().__exit__(*error)

    def enter(self, module, _):
        self.open.append(module)

    def leave(self, *_):
        self.open.pop()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        multiplies = func.overloadpacket in flop_registry or func.overloadpacket.__name__ in MULTIPLY
        if multiplies and self.open and _rule(self.open[-1], "published") is None:
            self.found[self.open[-1]] = True
        return func(*args, **kwargs or {})


def _listed(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _is_layer(module):
    return bool(own_parameters(module)) or is_leaf(module) or _rule(module, "published") is not None


def _image_shape(shape):
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else ()  # torch.Size is a tuple
    if len(sizes) != 3 or not all(map(is_whole, sizes)):
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
