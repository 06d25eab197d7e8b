"""What each layer of a network answers to a set of images, the network left exactly as it was."""

import contextlib
import warnings
from collections import Counter

import torch
from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from rrahelpers.base.arrays import as_tensor
from rrahelpers.base.modules import WEIGHTED, check_model, kind, named_layers, whole

MEMORY = 3 * 2**29  # bytes of features held at a time: with the neighbour search's own, under 4 GB for 10,000 images


def layer_names(model):
    """The layers that an analysis looks at, in order.

    A model that declares ``layer_names`` decides (our ResNets give the STAC paper's numbering: 0 input, 1 stem, 2 to
    10 blocks, 11 pooling, 12 logits). For any other model: "input" and every convolution and linear layer. Raises as
    :func:`rrahelpers.base.modules.check_model`.
    """
    check_model(model)
    declared = getattr(model, "layer_names", None)
    if declared is not None:
        return list(declared)
    return ["input", *(name for name, module in named_layers(model).items() if isinstance(module, WEIGHTED))]


def analysed_layers(model, images, layers=None):
    """``layers``, each once; by default those of :func:`layer_names` that answer once for an image.

    Others (auxiliary classifiers, parts of torch's attention that it doesn't call) are left out with a warning. Raises
    ``ValueError`` for an empty list, and where nothing but the images is left.
    """
    if layers is not None:
        if not (chosen := list(dict.fromkeys(layers))):
            raise ValueError("expected at least one layer, got none; leave layers out for those of layer_names(model)")
        return chosen
    names = layer_names(model)
    if getattr(model, "layer_names", None) is not None:
        return names
    calls = Counter({"input": 1})
    with contextlib.ExitStack() as hooks:
        for name in names[1:]:
            count = model.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.update([name]))
            hooks.callback(count.remove)
        _forward(model, check_images(images)[:1])
    if not any(calls[name] == 1 for name in names[1:]):
        raise ValueError(f"{kind(model)} has no convolution or linear layer that runs, as a module, once for an image; name "
                         "layers of other kinds with layers=[…]")
    if left_out := [name for name in names if calls[name] != 1]:
        told = ", ".join(f"{name} ({calls[name]} times)" for name in left_out)
        warnings.warn(f"left out, for they don't run once for an image: {told}", stacklevel=3)
    return [name for name in names if calls[name] == 1]


def check_images(images):
    """``images``, a tensor or a numpy array, as a tensor, or a ``TypeError`` that says what was expected."""
    try:
        images = as_tensor(images)
    except TypeError as error:
        raise TypeError(f"images, float [N, C, H, W]: {error}. Of a DataLoader, put batches together with torch.cat") from error
    if images.dtype == torch.uint8:
        raise TypeError("expected images as the model takes them, float [N, C, H, W], got bytes (uint8): normalise them, "
                        "for instance with rrahelpers.training.runs.normalise or a stored run's preprocess")
    if not images.is_floating_point():
        raise TypeError(f"expected images as the model takes them, float [N, C, H, W], got {images.dtype}: scale and normalise them")
    return images


class _Enough(Exception):
    """Every layer that was asked for has answered: the rest of the forward pass is of no use."""


def extract(model, images, layers, *, batch_size=100):
    """The outputs of several layers from one forward pass: {layer: float tensor [N, ...]}, on the images' device.

    ``layers``: names of modules (``model.named_modules()``), or "input" for the images themselves; everything else as
    for :func:`visit`.
    """
    images = check_images(images)
    found = {"input": images} if "input" in layers else {}

    def keep(name, output, place):
        if name not in found:
            found[name] = torch.empty(len(images), *output.shape[1:], dtype=output.dtype, device=images.device)
        found[name][place:place + len(output)] = output

    visit(model, images, [name for name in layers if name != "input"], keep, batch_size=batch_size)
    return {name: found[name] for name in layers}


def visit(model, images, layers, take, *, batch_size=100):
    """One forward pass over all images, which after the first batch ends with the last of the layers asked for.

    Parameters
    ----------
    model: any ``nn.Module``; runs in evaluation mode on the device, and in the precision, of its parameters.
    images: float [N, C, H, W], a tensor or array.
    layers: names of modules. Maps are taken to be [n, C, H, W], those of ``nn.Linear`` and ``nn.LayerNorm``, whose
        features come last, are made so. Of a block or network whose maps are [n, H, W, C] (Swin's) nothing tells.
    take: called with a layer's name, its output for a batch, and the place of the batch's first image. What it keeps
        has to be a copy: later layers may work in place.
    batch_size: images for each forward pass; on a CPU, many hundreds take twice as long, for they leave the cache.

    Raises as :func:`rrahelpers.base.modules.check_model`, ``ValueError`` for an unknown layer, for one that runs not at all or several times for an image, and for one
    that doesn't answer once for each image along its first axis, in one shape for all; ``TypeError`` for one whose output
    is no tensor, and for images that are no float tensor or array.
    """
    images = check_images(images)
    check_model(model, layers)
    modules = dict(model.named_modules())
    if unknown := [name for name in layers if name == "" or name not in modules]:
        raise ValueError(f"unknown layers {unknown}; expected 'input' or some of: {', '.join(n for n in modules if n)}")
    if len(images) == 0:
        raise ValueError("expected at least one image, got none")
    calls, shapes, place = dict.fromkeys(layers, 0), {}, 0

    def answer(name, output):
        calls[name] += 1
        if calls[name] > 1:  # whatever it answers now: the pass' end tells
            return
        if not isinstance(output, torch.Tensor):
            raise TypeError(f"layer {name!r} answers with {type(output).__name__}; expected a tensor")
        output = whole(output)
        if output.ndim == 0 or len(output) != len(batch):
            raise ValueError(f"layer {name!r} answers with shape {tuple(output.shape)} for {len(batch)} images; expected one "
                             "row for each image along the first axis")
        if shapes.setdefault(name, output.shape[1:]) != output.shape[1:]:
            raise ValueError(f"layer {name!r} answers with shape {tuple(shapes[name])} for an image and {tuple(output.shape[1:])} "
                             "for another; expected one shape for all images")
        take(name, output.movedim(-1, 1) if output.ndim == 4 and features_last(modules[name]) else output, place)
        if place and all(calls.values()):
            raise _Enough

    with contextlib.ExitStack() as hooks:
        for name in calls:
            handle = modules[name].register_forward_hook(lambda _module, _input, output, name=name: answer(name, output))
            hooks.callback(handle.remove)
        for batch in images.split(batch_size) if calls else ():
            calls.update(dict.fromkeys(calls, 0))
            with contextlib.suppress(_Enough):
                _forward(model, batch)
            if wrong := {name: n for name, n in calls.items() if n != 1}:
                raise ValueError(f"expected each layer to run once for an image, got {wrong} times; name an enclosing or another layer")
            place += len(batch)


def each_layer(model, images, layers, *, memory=MEMORY, batch_size=100):
    """Yield (layer, features) for each of ``layers``, once, with as few forward passes as ``memory`` bytes of features allow.

    At least one layer is held at a time, so the bound is passed where a single layer exceeds it. A caller that
    drops the features before asking for the next keeps no more than one pass' layers in memory.
    """
    images = check_images(images)
    sample = extract(model, images[:1], layers)
    sizes = {name: t.numel() * t.element_size() * len(images) for name, t in sample.items()}
    sizes["input"] = 0  # already there
    remaining = list(dict.fromkeys(layers))
    while remaining:
        group = [remaining.pop(0)]
        while remaining and sum(sizes[name] for name in (*group, remaining[0])) <= memory:
            group.append(remaining.pop(0))
        features = extract(model, images, group, batch_size=batch_size)
        for name in group:
            yield name, features.pop(name)


def features_last(module):
    """Whether a layer's features lie along the last axis of what it answers, whatever the number of axes."""
    return isinstance(module, nn.Linear) or type_before_parametrizations(module) is nn.LayerNorm  # torchvision's LayerNorm2d is a subclass, with maps


def _forward(model, batch):
    parameter = next((p for p in model.parameters() if p.is_floating_point()), batch)
    with evaluation_mode(model), torch.inference_mode(False), torch.no_grad():
        dtype = parameter.dtype if batch.is_floating_point() else None
        model(batch.to(parameter.device, dtype, copy=True))  # a network may work in place on what it is given


@contextlib.contextmanager
def evaluation_mode(model):
    """Put a model into evaluation mode and every module's own flag back afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, training in flags:
            module.training = training
