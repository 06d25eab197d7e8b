"""The graph of what sees what, recorded while a network looks at one image.

Operations are watched below the modules, where torch has few of them (ATen), so that layers of one's own, functional
calls and control flow over shapes need no special care. Values are never looked at: on the device "meta" nothing is
computed.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from rrahelpers.base.modules import is_leaf, kind, named_layers, unwrapped
from rrahelpers.features import evaluation_mode
from rrahelpers.receptive_field.edges import Call, Edge, Step, Traced
from rrahelpers.receptive_field.layout import UnknownLayout, along, atoms, plain, regroup
from rrahelpers.receptive_field.rules import rule_of

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor

VALUELESS = ("empty", "zeros", "ones", "full", "rand", "new_", "bernoulli")  # beginnings of names: take shapes alone


class Node(NamedTuple):
    """What combines or moves what its parents see: the operation's ``name`` and its edges."""

    name: str
    edges: tuple[Edge, ...]


@dataclass
class LayerCall:
    """One call of a layer: nodes that it got and gave, its windows (operation, kernel, stride, dilation), map's sides.

    ``leaf``: as :func:`rrahelpers.base.modules.is_leaf` tells, or itself a functional call.
    """

    layer: str
    kind: str
    leaf: bool
    inputs: tuple[int, ...]
    output: int | None = None
    windows: tuple[tuple, ...] = ()
    sides: tuple[int, ...] = ()


class Graph(NamedTuple):
    """``nodes`` in the order of computation (the first is the image), ``calls`` in the order of their beginning."""

    nodes: list[Node]
    calls: list[LayerCall]
    outputs: tuple[int, ...]


def record(model: nn.Module, image: ImageTensor) -> Graph:
    """The :class:`Graph` of ``model`` on ``image`` [1, C, H, W], in evaluation mode; the model stays as it was.

    Raises ``NotImplementedError`` that names the layer and the operation whose reach is unknown, ``ValueError`` for an
    image that the network refuses.
    """
    trace = _Trace(image)
    with evaluation_mode(model), torch.no_grad(), ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)  # a fused operation would hide what attention does
        for name, module in named_layers(model).items():
            if name:
                stack.callback(module.register_forward_pre_hook(trace.enter(name), with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(trace.leave).remove)
        try:
            with trace:
                output = model(image)
        except NotImplementedError:
            raise
        except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:  # the network's own
            raise ValueError(f"{type(model).__name__} refuses an image of {list(image.shape[1:])} (channels, height, "
                             f"width); choose another input_size. It says: {error or type(error).__name__}") from error
    outputs = trace.nodes_of(output)
    if not outputs:
        raise ValueError(f"nothing in the output of {type(model).__name__} depends on the image")
    return Graph(trace.nodes, [call for call in trace.calls if call.inputs and call.output is not None], outputs)


def _shapes(func, args):
    """What batch norm answers on the device "meta", where torch takes milliseconds for it; None of anything else."""
    if func is not torch.ops.aten.native_batch_norm.default or not args[0].is_meta:
        return None
    return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)


class _Trace(TorchDispatchMode):
    def __init__(self, image):
        super().__init__()
        self.nodes = [Node("image", ())]
        self.calls, self.open = [], []
        self.traced = WeakTensorKeyDictionary()
        dims = (plain(1), plain(image.shape[1]), along(0, image.shape[2]), along(1, image.shape[3]))
        self.traced[image] = Traced(0, dims)

    def nodes_of(self, value):
        leaves = map(unwrapped, tree_leaves(value))
        found = [self.traced[t].node for t in leaves if isinstance(t, torch.Tensor) and t in self.traced]
        return tuple(dict.fromkeys(found))

    def enter(self, name):
        def hook(module, args, kwargs):
            self.open.append(LayerCall(name, kind(module), is_leaf(module), self.nodes_of((args, kwargs))))
            self.calls.append(self.open[-1])
        return hook

    def leave(self, module, args, output):
        call, output = self.open.pop(), unwrapped(output)
        if isinstance(output, torch.Tensor) and output in self.traced:
            call.output, call.sides = self.traced[output].node, self._sides(output)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        depends = any(t in self.traced for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor))
        depends = depends and not func.overloadpacket.__name__.startswith(VALUELESS)
        known = self._known(func, args, kwargs) if depends else None  # before: the operation may work in place
        output = _shapes(func, args) or func(*args, **kwargs)
        if depends:
            self._follow(func, known, output)
        return output

    def _known(self, func, args, kwargs):
        """Arguments by name, tensors that depend on the image replaced by what is known of them."""
        declared = func._schema.arguments
        values = {a.name: a.default_value for a in declared} | dict(zip((a.name for a in declared), args)) | kwargs
        return {name: tree_map(lambda v: self.traced.get(v, v) if isinstance(v, torch.Tensor) else v, value)
                for name, value in values.items()}

    def _follow(self, func, known, output):
        outputs = output if isinstance(output, (list, tuple)) else [output]
        rule = rule_of(func)
        if not isinstance(outputs[0], torch.Tensor):
            raise self._unknown(func, "reads a value of a tensor, on which the course of the network may depend")
        if rule is None:
            raise self._unknown(func, "has no rule")
        try:
            results = rule(Call(known, [t.shape for t in outputs if isinstance(t, torch.Tensor)], self._descends))
        except UnknownLayout as error:
            raise self._unknown(func, str(error)) from error
        for tensor, result in zip(outputs, results if isinstance(results, list) else [results]):
            result = _settled(result)
            node = self._node(func, result.edges)
            self._write(func, tensor, Traced(node, result.dims, result.gate))
            if result.window:
                self._note(func, result, node, tensor)

    def _node(self, func, edges):
        edges = tuple(dict.fromkeys(edges))
        if len(edges) == 1 and not any(edges[0].steps):
            return edges[0].parent
        self.nodes.append(Node(func.overloadpacket.__name__.strip("_"), edges))
        return len(self.nodes) - 1

    def _write(self, func, tensor, traced):
        base = tensor._base if func._schema.is_mutable else None
        if base is not None and (tensor not in self.traced or self.traced[tensor].node != traced.node):
            if base.numel() != tensor.numel():
                raise self._unknown(func, "writes into a part of a tensor")
            if base in self.traced:
                self.traced[base] = Traced(traced.node, self.traced[base].dims, traced.gate)
            elif _extent(base) == _extent(tensor):
                self.traced[base] = Traced(traced.node, regroup(traced.dims, base.shape), traced.gate)
            else:
                raise self._unknown(func, "writes into a rearranged tensor")
        self.traced[tensor] = traced

    def _descends(self, later, earlier):
        waiting, seen = [later], {later}
        while waiting:
            parents = {edge.parent for edge in self.nodes[waiting.pop()].edges} - seen
            waiting += parents
            seen |= parents
        return later != earlier and earlier in seen

    def _note(self, func, result, node, tensor):
        """A window belongs to the innermost layer; in a module that has others inside, it is a functional call."""
        name = func.overloadpacket.__name__.strip("_")
        call = self.open[-1] if self.open else None
        if call is None or not call.leaf:
            inputs = tuple(edge.parent for edge in result.edges)
            call = LayerCall(f"{call.layer}.{name}()" if call else f"{name}()", name, True, inputs, node,
                             sides=self._sides(tensor))
            self.calls.append(call)
        call.windows += ((name, *result.window),)

    def _sides(self, tensor):
        dims = self.traced[tensor].dims
        sides = [math.prod(atom.size for atom in atoms(dims, axis)) for axis in (0, 1)]
        return tuple(sides) if tensor.ndim == 4 or max(sides) > 1 else ()

    def _unknown(self, func, why):
        where = f"layer {self.open[-1].layer!r} ({self.open[-1].kind})" if self.open else "the network's own forward"
        return NotImplementedError(
            f"receptive field: {func} in {where} {why}. Write it with operations that are known (convolution, pooling, "
            "linear, attention, elementwise, reshapes), put Identity in its place for this analysis, or add a rule to "
            "rrahelpers.receptive_field.rules.RULES"
        )


def _extent(tensor):
    """Sizes and strides, but for dimensions of one place."""
    return [pair for pair in zip(tensor.shape, tensor.stride()) if pair[0] > 1]


def _settled(result):
    """``result`` with step 1 for an axis of which one atom is left: where windows were reduced, the grid is coarser."""
    sizes = [atoms(result.dims, axis) for axis in (0, 1)]
    steps = [found[0].step if len(found) == 1 else 1 for found in sizes]
    if max(steps) == 1:
        return result
    dims = tuple(dim._replace(atoms=tuple(
        atom if atom.axis is None else atom._replace(step=atom.step // steps[atom.axis]) for atom in dim.atoms
    )) for dim in result.dims)
    edges = [edge._replace(steps=tuple((*own, Step(0, 0, step)) for own, step in zip(edge.steps, steps)))
             for edge in result.edges]
    return result._replace(dims=dims, edges=edges)
