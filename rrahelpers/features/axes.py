"""Where the features of a layer's answer lie: told by the layer's kind, or followed through a forward pass.

Products with weights and normalisations make an axis that of the features (a convolution axis 1, a linear layer the
last one), permutations move it, and everything that keeps the shape keeps it. So a Swin block's [N, H, W, C] and a
ConvNeXt block's [N, C, H, W] are told apart even where C, H and W are equal. What feeds such a function is known by it
too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from rrahelpers.base.modules import RECURRENT

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes

FIRST = (nn.modules.batchnorm._NormBase, nn.GroupNorm)
PLACES = {f"conv{kind}{n}d": n for kind in ("", "_transpose") for n in (1, 2, 3)}  # axes behind the features'
NORMS = {"batch_norm", "instance_norm", "group_norm"}
LAST = {"linear", "rms_norm", "multi_head_attention_forward"}
PRODUCTS = {"matmul", "__matmul__", "bmm", "baddbmm", "einsum", "tensordot"}  # what comes out last is known of none
MOVES = {"permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"}
TRANSPOSED = (torch.Tensor.T.__get__, torch.Tensor.mT.__get__)  # type: ignore[attr-defined]  # descriptors
SHAPES = {"reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "__getitem__"}
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)


def known_axis(module: nn.Module | None, ndim: int) -> int | None:
    """The features' axis in an answer of ``ndim`` axes, counted from the left, or None where the layer's kind doesn't
    tell."""
    if isinstance(module, nn.modules.conv._ConvNd):
        return ndim - 1 - len(module.kernel_size)
    if isinstance(module, (nn.Linear, *RECURRENT)):
        return ndim - 1
    # its subclasses are for maps (torchvision's LayerNorm2d), or not (timm's LayerNorm)
    if isinstance(module, nn.LayerNorm) and type_before_parametrizations(module) is nn.LayerNorm:
        return ndim - 1 if len(module.normalized_shape) == 1 else 1
    return 1 if isinstance(module, FIRST) or module is not None and ndim == 2 else None


def check_axis(axis: FeatureAxes | None, layers: Collection[str]) -> FeatureAxes:
    """{layer: axis} as given for some of ``layers``, or ``ValueError`` for other layers and for an axis that is not 1
    or -1."""
    axis = {} if axis is None else axis
    if not isinstance(axis, dict):
        raise TypeError(f"expected axis={{layer: 1 or -1}}, got {axis!r}")
    if bad := {name: value for name, value in axis.items() if name not in layers or value not in (1, -1)}:
        raise ValueError(f"expected axis={{layer: 1 or -1}} of layers among {', '.join(layers)}; got {bad}")
    return axis


class Axes(TorchFunctionMode):
    """While it is entered, follows the features' axis of every tensor; :meth:`of` tells it, then and afterwards.

    ``maps``: the places (H, W), or (T,), or three sides, of what each convolution answered, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._axes, self._mixed = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()
        self.maps: list[tuple[int, ...]] = []

    def of(self, x: torch.Tensor, module: nn.Module | None = None) -> int | None:
        """The features' axis, from the left, of a tensor that was followed, or by the kind of the module that answers
        it.

        None where nothing tells, and where a linear layer mixes places (an MLP-Mixer's [N, C, T] along T).
        """
        axis = self._axes.get(x)
        return known_axis(module, x.ndim) if axis is None and x not in self._mixed else axis

    def set(self, x: torch.Tensor, axis: int | None) -> None:
        """Say where the features of ``x`` are; None forgets it."""
        self._axes[x] = axis

    def __torch_function__(self, function: Callable[..., object], types: object, args: tuple = (),
                           kwargs: dict | None = None) -> object:
        kwargs = kwargs or {}
        answer = function(*args, **kwargs)
        given = [x for arg in (*args, *kwargs.values())
                 for x in (arg if isinstance(arg, (tuple, list)) else [arg]) if isinstance(x, torch.Tensor)]
        if given:
            for y in answer if isinstance(answer, (tuple, list)) else [answer]:
                if isinstance(y, torch.Tensor) and y.ndim:
                    self.set(y, self._axis(function, args, kwargs, given, y))
        return answer

    def _axis(self, function, args, kwargs, given, y):
        name, x = getattr(function, "__name__", ""), given[0]
        if name in PLACES:
            self.maps.append(tuple(y.shape[-PLACES[name]:]))
            return self._made(x, y.ndim - 1 - PLACES[name])
        if name in NORMS:
            return self._made(x, 1)
        if name == "linear" and self.of(x) not in (None, x.ndim - 1):
            self._mixed[y] = True
            return None
        if name in LAST or name == "layer_norm" and len(kwargs.get("normalized_shape") or args[1]) == 1:
            return self._made(x, y.ndim - 1)
        if name in PRODUCTS:
            return y.ndim - 1 if "matmul" in name and len(given) > 1 and given[1].ndim == 2 else None
        axis = self.of(x)
        if name in MOVES or function in TRANSPOSED:
            return None if axis is None else _moved(function, args, kwargs, x.ndim, axis)
        if name in SHAPES and x.numel() == y.numel():
            return None if axis is None else _reshaped(x.shape, y.shape, axis)
        return self._kept(given, y)

    def _made(self, x, axis):
        """``axis``, also that of the tensor ``x`` that was given, where its own isn't known."""
        if self.of(x) is None and x.ndim > axis:
            self.set(x, axis)
        return axis

    def _kept(self, given, y):
        """The axis of what has the answer's shape, or else as many axes; None where there are two answers."""
        given = [x for x in given if x.ndim == y.ndim and self.of(x) is not None]
        found = {self.of(x) for x in [x for x in given if x.shape == y.shape] or given}
        return found.pop() if len(found) == 1 else None


def _moved(function, args, kwargs, ndim, axis):
    """Where an axis goes: the function is tried on a tensor that has a side of its own for each axis."""
    ghost = torch.empty(PRIMES[:ndim], device="meta")
    args = [ghost if isinstance(arg, torch.Tensor) else arg for arg in args]
    kwargs = {key: ghost if isinstance(arg, torch.Tensor) else arg for key, arg in kwargs.items()}
    return tuple(function(*args, **kwargs).shape).index(PRIMES[axis])


def _reshaped(before, after, axis):
    """The axis of the same size with as much before it, or None."""
    found = [i for i, size in enumerate(after) if size == before[axis]
             and math.prod(after[:i]) == math.prod(before[:axis])]
    return found[0] if found else None
