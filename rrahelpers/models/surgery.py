"""Networks changed as the advice says: cut off before a layer, or without early down-sampling (dissertation, 11.4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from operator import attrgetter

import torch
from torch import nn

from rrahelpers.base.arrays import is_whole
from rrahelpers.base.modules import check_model, layer_list, named_layers, own_parameters
from rrahelpers.models.tracing import duplicate, got, read_what_was_written, rewired


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
    classes = []

    def edit(graph):
        classes.append(num_classes or _classes(model, graph))
        _cut(graph, at, layers)

    stump = rewired(model, edit, f"before {at!r}", "truncated")
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cut.in_channels, classes[0]))
    top = _put_on_top(stump, head.to(own_parameters(cut)[0]).train(model.training))
    called = {node.target for node in stump.graph.nodes if node.op == "call_module"}
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


def _cut(graph, at, layers):
    """End ``graph`` with the input of ``at``, in place."""
    got(graph, at, "cut before")
    read_what_was_written(graph, layers)
    seen, (output,) = got(graph, at, "cut before"), [node for node in graph.nodes if node.op == "output"]
    output.args = (seen,)
    for node in reversed(graph.nodes):
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
