"""Networks as graphs of torch.fx: traced in training and in evaluation, changed in both, and networks again."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from rrahelpers.base.modules import is_leaf

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Network


def rewired(model: nn.Module, edit: Callable[[fx.Graph], None], where: str, suffix: str,
            added: Mapping[str, nn.Module] | None = None) -> Retraced:
    """A copy of ``model`` on the graph that ``edit`` changes in place, which may call modules that are ``added``.

    Modules keep names, weights and modes. ``where``: what is kept of the network, for messages; ``suffix``: of the new
    class's name. Raises ``ValueError`` where the network can't be traced, and where it is another in training than in
    evaluation: the new one could be only one of them.
    """
    layers, root = dict(model.named_modules()), duplicate(model).eval()
    training, evaluation = trace(duplicate(model).train()), trace(root)
    for graph in (training, evaluation):
        edit(graph)
        for node in graph.nodes:
            node.type = None  # annotations may be texts (PEP 563), which torch.fx can't pickle
    if _course(training) != _course(evaluation):
        raise ValueError(f"{type(model).__name__} takes another course {where} in training than in evaluation; a "
                         f"{suffix} network could take only one. Put what differs (functional dropout?) into modules")
    for name, module in (added or {}).items():  # now: before, a Sequential would have called them by itself
        root.add_module(name, module)
    changed = Retraced(root, evaluation, class_name=f"{type(model).__name__}{suffix.title()}")
    for name, module in changed.named_modules():
        module.training = layers[name].training if name in layers else model.training
    return changed


def got(graph: fx.Graph, name: str, do: str) -> fx.Node:
    """The node of what the layer ``name`` gets, called once. ``do``: what was to be done there, for messages."""
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == name]
    if not calls:
        raise ValueError(f"can't {do} {name!r}: it isn't called, or lies in a module that torch.fx can't trace; "
                         "choose a layer outside of it")
    if len(calls) > 1:
        raise ValueError(f"can't {do} {name!r}: it is called {len(calls)} times; choose a layer called once")
    (seen,) = calls[0].all_input_nodes
    return seen


@torch.inference_mode(False)
def duplicate(model: Network) -> Network:
    """A deep copy of ``model``, also of one that keeps tensors of its last training step (pruning and old weight norm
    do)."""
    memo = {}
    for module in model.modules():
        for value in tree_leaves(vars(module)):
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


class Retraced(fx.GraphModule):
    """A network on a graph, whose copies keep the layers' names, which those of torch.fx lose."""

    layer_names: list[str]

    def __deepcopy__(self, memo: dict) -> fx.GraphModule:
        copied = super().__deepcopy__(memo)
        if "layer_names" in self.__dict__:
            copied.__dict__["layer_names"] = list(self.layer_names)
        return copied


class _Tracer(fx.Tracer):
    """Keeps layers, and ``whole`` modules, as they are; ``inside`` names where a trace broke off."""

    def __init__(self, whole=()):  # the default is for unpickling, which traces once more
        super().__init__()
        self.whole, self.inside = whole, None

    def is_leaf_module(self, module, name):
        return name in self.whole or is_leaf(module) or super().is_leaf_module(module, name)

    def call_module(self, module, forward, args, kwargs):
        try:
            return super().call_module(module, forward, args, kwargs)
        except Exception:
            self.inside = self.inside or self.path_of_module(module)
            raise


def trace(model: nn.Module) -> fx.Graph:
    """The graph of a network in its present mode; modules that can't be traced stay whole."""
    others = list(inspect.signature(model.forward).parameters.values())[1:]
    defaults = {other.name: other.default for other in others if other.default is not other.empty}
    whole: set[str] = set()
    while True:
        tracer = _Tracer(whole)
        try:
            return tracer.trace(model, defaults or None)
        except Exception as error:
            if tracer.inside is None:
                raise ValueError(f"torch.fx can't trace the forward of {type(model).__name__} itself: {error}; "
                                 "move the part whose course depends on values or shapes into a submodule") from error
            whole.add(tracer.inside)


def read_what_was_written(graph: fx.Graph, layers: dict[str, nn.Module]) -> None:
    """Let all that follows an operation in place read its result, which else nothing might seem to need."""
    places = {node: place for place, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node.op == "call_module":
            writes = getattr(layers[node.target], "inplace", False)
        else:
            name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
            operators = getattr(node.target, "__module__", None) == "_operator"  # and_, or_, which write nowhere
            writes = node.kwargs.get("inplace") or re.search("[^_]_$", name) and not operators
        if writes and node.all_input_nodes:
            node.all_input_nodes[0].replace_all_uses_with(node, lambda user: places[user] > places[node])


def _course(graph):
    """What ``graph`` does, whatever its nodes are called."""
    places = {node: place for place, node in enumerate(graph.nodes)}
    return [(node.op, node.target, repr(fx.node.map_arg((node.args, node.kwargs), places.get)))
            for node in graph.nodes if node.op != "placeholder"]
