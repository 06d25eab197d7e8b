"""Networks changed as the advice says: cut off before a layer, or without early down-sampling (dissertation, 11.4)."""

from __future__ import annotations

import copy
import inspect
import itertools
import re
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.modules import check_model, is_leaf, layer_list, named_layers, own_parameters

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Network


@torch.inference_mode(False)  # what is made there can't be trained
def truncate(model: nn.Module, at: str, num_classes: int | None = None) -> nn.Module:
    """The network up to the input of the convolution ``at``, with global average pooling and a linear layer on top.

    This is what section 11.4 does at the border layer, which goes with everything after it (figure 64). The linear
    layer gives logits: the softmax is in the loss. Layers keep their names and weights; the new ones are ``head``, or
    ``head_1`` and so on where something before the cut is called that.
    Where the model declares ``layer_names``, so does the new network: what is left of them, and the linear layer.

    Parameters
    ----------
    model: anything that torch.fx can trace up to ``at``. Submodules that it can't, because their course depends on
        shapes or values, stay as they are. Of arguments beside the images it takes the defaults, and a test on
        their type takes what a tensor doesn't; ``x += y`` is read as ``x = x + y``.
    at: name of a ``Conv2d``, such as :func:`rrahelpers.receptive_field.border_layer` gives.
    num_classes: default that of the network's last linear layer or convolution.

    Where ``at`` lies on one of several parallel paths, what the others have computed beside it is lost; to keep the
    paths together, cut where they begin or after they end.

    Returns a new module with weights of its own; ``model`` is left as it was. Raises ``ValueError`` where ``at`` is no
    ``Conv2d``, where it can't be reached or is called several times, where what comes before it needs more than the
    images, and where training and evaluation differ before it in more than the modes of modules (functional dropout),
    which the new network could not follow.
    """
    check_model(model)
    layers = dict(model.named_modules())
    if not isinstance(cut := layers.get(at), nn.Conv2d):
        known = ", ".join(name for name, layer in layers.items() if isinstance(layer, nn.Conv2d))
        raise ValueError(f"expected the name of a Conv2d, got {at!r}; there are: {known}")
    if num_classes is not None and not is_whole(num_classes):
        raise ValueError(f"expected num_classes to be a positive whole number, got {num_classes!r}")
    root = duplicate(model).eval()
    training, evaluation = _trace(duplicate(model).train()), _trace(root)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(cut.in_channels, num_classes or _classes(root, evaluation)))
    for graph in (training, evaluation):
        _cut(graph, at, layers)
    if _course(training) != _course(evaluation):
        raise ValueError(f"{type(model).__name__} takes another course before {at!r} in training than in evaluation; a "
                         "truncated network could take only one. Put what differs (functional dropout?) into modules")
    stump = _Truncated(root, evaluation, class_name=f"{type(model).__name__}UpTo")
    for name, module in stump.named_modules():
        module.training = layers[name].training if name in layers else model.training
    top = _put_on_top(stump, head.to(own_parameters(cut)[0]).train(model.training))
    called = {node.target for node in evaluation.nodes if node.op == "call_module"}
    if left := [name for name in getattr(model, "layer_names", ()) if name in called]:
        stump.layer_names = ["input", *left, f"{top}.2"]
    return stump


@torch.inference_mode(False)
def without_downsampling(model: nn.Module, layers: Iterable[str]) -> nn.Module:
    """A copy of ``model`` in which some layers keep the size of the map: convolutions at stride 1, poolings left out.

    A kernel larger than 3 becomes 3, newly drawn, and no longer parametrized or pruned: so the dissertation's "Cifar10
    optimized" ResNets come from the others (9.4.1). ``layers``: names of ``Conv2d`` and of pooling modules; raises
    ``ValueError`` for others. In a residual block both paths have to keep the size: name the convolution of its
    shortcut too.
    """
    check_model(model)
    model = duplicate(model)
    known = dict(model.named_modules())
    for name in layer_list(layers):
        if name not in known:
            places = (n for n, module in known.items() if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)))
            raise ValueError(f"unknown layer {name!r}; convolutions and poolings: {', '.join(places)}")
        layer = known[name]
        if isinstance(layer, nn.Conv2d):
            (height, width), like = layer.kernel_size, own_parameters(layer)[0]
            kernel = min(3, height), min(3, width)
            fresh = nn.Conv2d(layer.in_channels, layer.out_channels, kernel, 1, "same",
                              (layer.dilation[0], layer.dilation[1]), layer.groups, layer.bias is not None,
                              layer.padding_mode, like.device, like.dtype)
            if kernel == layer.kernel_size:
                kept = {name: vars(fresh)[name] for name in ("stride", "padding", "_reversed_padding_repeated_twice")}
                vars(layer).update(kept)
                continue
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            fresh = nn.Identity()
        else:
            raise ValueError(f"expected a Conv2d, MaxPool2d or AvgPool2d at {name!r}, got {type(layer).__name__}")
        model.set_submodule(name, fresh.train(layer.training))
    return model


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


class _Truncated(fx.GraphModule):
    """A traced network whose copies keep the layers' names, which those of torch.fx lose."""

    layer_names: list[str]

    def __deepcopy__(self, memo):
        copied = super().__deepcopy__(memo)
        if "layer_names" in self.__dict__:
            copied.layer_names = list(self.layer_names)
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


def _trace(model):
    others = list(inspect.signature(model.forward).parameters.values())[1:]
    defaults = {other.name: other.default for other in others if other.default is not other.empty}
    whole = set()
    while True:
        tracer = _Tracer(whole)
        try:
            return tracer.trace(model, defaults or None)
        except Exception as error:
            if tracer.inside is None:
                raise ValueError(f"torch.fx can't trace the forward of {type(model).__name__} itself: {error}; "
                                 "move the part whose course depends on values or shapes into a submodule") from error
            whole.add(tracer.inside)


def _cut(graph, at, layers):
    """End ``graph`` with the input of ``at``, in place."""
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == at]
    if not calls:
        raise ValueError(f"can't cut before {at!r}: it isn't called, or lies in a module that torch.fx can't trace; "
                         "choose a convolution outside of it")
    if len(calls) > 1:
        raise ValueError(f"can't cut before {at!r}: it is called {len(calls)} times; choose a convolution called once")
    _read_what_was_written(graph, layers)
    (seen,), (output,) = calls[0].all_input_nodes, [node for node in graph.nodes if node.op == "output"]
    output.args = (seen,)
    for node in reversed(graph.nodes):
        node.type = None  # annotations may be texts (PEP 563), which torch.fx can't pickle
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)
    if needed := [node.target for node in graph.nodes if node.op == "placeholder" and node.users][1:]:
        raise ValueError(f"what comes before {at!r} needs more than the images: {', '.join(needed)}")


def _put_on_top(stump, head):
    """Add ``head`` on the output of ``stump`` under a name that nothing in it has, and return that name."""
    names = itertools.chain(["head"], (f"head_{i}" for i in itertools.count(1)))
    name = next(name for name in names if not hasattr(stump, name))
    output = next(node for node in stump.graph.nodes if node.op == "output")
    stump.add_module(name, head)
    with stump.graph.inserting_before(output):
        output.args = (stump.graph.call_module(name, output.args),)
    stump.recompile()
    return name


def _read_what_was_written(graph, layers):
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


def _classes(model, graph):
    for node in reversed(graph.nodes):
        module = model.get_submodule(node.target) if node.op == "call_module" else nn.Module()
        for layer in reversed(named_layers(module).values()):
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        weights = [attrgetter(node.target)(model)] if node.op == "get_attr" else list(module.parameters())
        if any(weight.ndim > 1 for weight in weights):
            break
    raise ValueError(f"no linear layer or convolution of {type(model).__name__} tells the number of classes; "
                     "give num_classes")
