"""What each layer of a network answers to a set of images, the network left exactly as it was."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from rrahelpers.base.modules import WEIGHTED, check_model, kind, layer_list, named_layers, whole
from rrahelpers.features.axes import Axes, check_axis, known_axis
from rrahelpers.features.batches import as_batches, sample_of
from rrahelpers.features.maps import Reading, check_grid, read
from rrahelpers.features.passes import forward, run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Answers, FeatureAxes, Grid, Images

MEMORY = 3 * 2**29  # bytes of features held at a time: with the neighbour search's own, under 4 GB for 10,000 images


def layer_names(model: nn.Module) -> list[str]:
    """The layers that an analysis looks at, in order.

    A model that declares ``layer_names`` decides (our ResNets give the STAC paper's numbering: 0 input, 1 stem, 2 to
    10 blocks, 11 pooling, 12 logits). For any other model: "input" and every convolution and linear layer. Raises as
    :func:`rrahelpers.base.modules.check_model`.
    """
    check_model(model)
    declared = getattr(model, "layer_names", None)
    if declared is not None:
        return list(declared)
    return ["input", *(name for name, module in named_layers(model).items()
                       if isinstance(module, WEIGHTED) and name != "input")]


def analysed_layers(model: nn.Module, images: Images, layers: Iterable[str] | None = None, *, grid: Grid | None = None,
                    axis: FeatureAxes | None = None) -> list[str]:
    """``layers``, each once; by default those of :func:`layer_names` that answer once for an image, with a row for
    each.

    Others (auxiliary classifiers, parts of torch's attention that it doesn't call, layers within Swin's windows) are
    left out with a warning, and so are those whose answers can't be read as maps, see :func:`readings` (for ``grid``
    and ``axis`` too). Raises ``ValueError`` for an empty list, and where nothing but the images is left.
    """
    if layers is not None:
        if not (chosen := layer_list(layers)):
            raise ValueError("expected at least one layer, got none; leave layers out for those of layer_names(model)")
        return chosen
    names = layer_names(model)
    if isinstance(dict(model.named_modules()).get("input"), WEIGHTED):
        warnings.warn('left out, for "input" stands for the images: the module of that name; give it another',
                      stacklevel=3)
    if getattr(model, "layer_names", None) is not None:
        return names
    sample, calls, rows = sample_of(images), Counter({"input": 1}), {}

    def count(name, output):
        calls[name] += 1
        rows[name] = len(whole(output)) if isinstance(output, torch.Tensor) and whole(output).ndim else None

    with contextlib.ExitStack() as hooks:
        for name in names[1:]:
            hook = (model.get_submodule(name)
                    .register_forward_hook(lambda _module, _input, output, name=name: count(name, output)))
            hooks.callback(hook.remove)
        forward(model, sample)
    if not any(calls[name] == 1 for name in names[1:]):
        raise ValueError(f"{kind(model)} has no convolution or linear layer that runs, as a module, once for an "
                         "image; name layers of other kinds with layers=[…]")
    left_out = {name: f"{calls[name]} times" if calls[name] != 1 else f"{rows[name]} rows for {len(sample)} images"
                for name in names if calls[name] != 1 or rows.get(name, len(sample)) != len(sample)}
    if left_out:
        told = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        warnings.warn(f"left out, for they don't run once for an image: {told}", stacklevel=3)
    names = [name for name in names if name not in left_out]
    found = readings(model, sample, names, grid=grid, axis=axis, strict=False)
    unread = {name: reading.unread for name, reading in found.items() if reading.unread}
    if unread:
        warnings.warn(f"left out, for they can't be read as maps: {'; '.join(unread.values())}", stacklevel=3)
    return [name for name in names if name not in unread]


def readings(model: nn.Module, images: Images, layers: Iterable[str], *, grid: Grid | None = None,
             axis: FeatureAxes | None = None, strict: bool = True) -> dict[str, Reading]:
    """How each layer's answers are read as maps: {layer: :class:`rrahelpers.features.maps.Reading`}, from one pass of
    two images.

    Every measure reads a layer as :mod:`rrahelpers.features.maps` says: features behind the samples, tokens as the grid
    that they come from, class and register tokens left out.

    Parameters
    ----------
    model, images, layers: as for :func:`extract`.
    grid: (height, width) of the tokens, or (length,), where it isn't found or found wrongly; {layer: ...} for single
        ones.
    axis: {layer: axis of its features, 1 or -1}, where it isn't found.
    strict: whether to raise ``ValueError`` for layers that can't be read as maps; else their ``unread`` says why.

    Raises as :func:`visit`, ``ValueError`` for the axis or grid of a layer that isn't among ``layers``.
    """
    layers, images, answers = layer_list(layers), sample_of(images), {}
    check_model(model, layers)
    axis, modules = check_axis(axis, layers), dict(model.named_modules())
    grids = {name: check_grid(one) for name, one in
             (grid if isinstance(grid, dict) else dict.fromkeys(layers, grid)).items()}
    if unknown := [name for name in grids if name not in layers]:
        raise ValueError(f"got the grid of {unknown}; expected layers among {', '.join(layers)}")

    def keep(name, output, _place):
        answers[name] = output, output[:1].clone()  # the tensor itself is known by what it feeds later on

    with Axes() as axes, contextlib.ExitStack() as hooks:
        taken = model.register_forward_pre_hook(lambda _model, args: answers.update(input=(args[0], images[:1])))
        hooks.callback(taken.remove)
        if images.ndim > 3:
            axes.set(images, 1)
        run(model, as_batches(images), [name for name in layers if name != "input"], keep)
    answers.setdefault("input", (images, images[:1]))
    found = {name: axis[name] % x.ndim if name in axis else axes.of(x, modules.get(name))
             for name, (x, _) in answers.items()}
    found["input"] = found["input"] or 1
    maps = [tuple(side for i, side in enumerate(images.shape[1:], 1) if i != found["input"]), *axes.maps]
    found = {name: read(name, answers[name][1], found[name], maps, grids.get(name), name in axis) for name in layers}
    if strict and (unread := [reading.unread for reading in found.values() if reading.unread]):
        raise ValueError("; ".join(unread))
    return found


def extract(model: nn.Module, images: Images, layers: Iterable[str], *, batch_size: int | None = None,
            maps: dict[str, Reading] | None = None) -> dict[str, Answers]:
    """The outputs of several layers from one forward pass: {layer: float tensor [N, ...]}, on the images' device.

    ``layers``: names of modules (``model.named_modules()``), or "input" for the images themselves; everything else as
    for :func:`visit`.
    """
    images, layers, found = as_batches(images), layer_list(layers), {}
    parts: dict[str, list[torch.Tensor]] = {}

    def keep(name, output, place):
        if not images.counted:
            parts.setdefault(name, []).append(output.to(images.sample.device, copy=True))
            return
        if name not in found:
            found[name] = torch.empty(len(images), *output.shape[1:], dtype=output.dtype, device=images.sample.device)
        found[name][place:place + len(output)] = output

    at_hand = images.whole if "input" in layers else None
    if at_hand is not None:
        found["input"] = maps["input"].map(at_hand) if maps else at_hand
    visit(model, images, [name for name in layers if name not in found], keep, batch_size=batch_size, maps=maps)
    return {name: found[name] if name in found else torch.cat(parts.pop(name)) for name in layers}


def visit(model: nn.Module, images: Images, layers: Iterable[str], take: Callable[[str, torch.Tensor, int], object], *,
          batch_size: int | None = None, maps: dict[str, Reading] | None = None) -> None:
    """One forward pass over all images, which after the first batch ends with the last of the layers asked for.

    Parameters
    ----------
    model: any ``nn.Module``; runs in evaluation mode on the device, and in the precision, of its parameters.
    images: float [N, C, H, W], a tensor or array, or batches of such: see :class:`rrahelpers.features.batches.Batches`.
    layers: names of modules, or "input".
    take: called with a layer's name, its output for a batch, and the place of the batch's first image. What it keeps
        has to be a copy: later layers may work in place.
    batch_size: images for each forward pass, where they don't come in batches; default
        :func:`rrahelpers.features.batches.at_a_time`.
    maps: the layers' :func:`readings`, for maps. Default: what the layers answer, tokens as they are, but
        [n, H, W, C] as [n, C, H, W] where it is known that features are last.

    Raises as :func:`rrahelpers.base.modules.check_model`, ``ValueError`` for an unknown layer, for one that runs not at
    all or several times for an image, and for one that doesn't answer once for each image along its first axis, in one
    shape for all; ``TypeError`` for one whose output is no tensor. Raises for images as
    :class:`rrahelpers.features.batches.Batches`.
    """
    images, layers = as_batches(images), layer_list(layers)
    check_model(model, layers)
    if maps is not None:
        run(model, images, layers, lambda name, x, place: take(name, maps[name].map(x), place), batch_size)
        return
    kinds = {name: module for name, module in model.named_modules() if name in layers}
    told = all(known_axis(kinds[name], 4) is not None for name in layers if name in kinds)
    known = {} if told else readings(model, images, layers, strict=False)

    def answer(name, x, place):
        axis = known[name].axis if known else 1 if name == "input" else known_axis(kinds[name], x.ndim)
        take(name, x if axis is None or x.ndim < 4 else x.movedim(axis, 1), place)

    run(model, images, layers, answer, batch_size)


def each_layer(model: nn.Module, images: Images, layers: Iterable[str], *, memory: float = MEMORY,
               batch_size: int | None = None,
               maps: dict[str, Reading] | None = None) -> Iterator[tuple[str, Answers]]:
    """Yield (layer, features as maps) for each of ``layers``, once, with as few forward passes as ``memory`` bytes of
    features allow.

    At least one layer is held at a time, so the bound is passed where a single layer exceeds it. A caller that
    drops the features before asking for the next keeps no more than one pass' layers in memory. ``maps``: the layers'
    :func:`readings`; default those that are found.
    """
    images, layers = as_batches(images), layer_list(layers)
    maps = readings(model, images, layers) if maps is None else maps
    sizes = {name: maps[name].example.numel() * maps[name].example.element_size() * len(images) for name in layers}
    if images.whole is not None:
        sizes["input"] = 0  # already there
    for group in groups(layers, sizes, memory):
        features = extract(model, images, group, batch_size=batch_size, maps=maps)
        for name in group:
            yield name, features.pop(name)


def groups(layers: Iterable[str], needed: Mapping[str, float], memory: float) -> list[list[str]]:
    """``layers`` in order, in lists of which each needs ``memory`` bytes at most, or is a single layer: one pass each.

    ``needed``: {layer: bytes}.
    """
    found: list[list[str]] = []
    held = math.inf
    for layer in layers:
        held += needed[layer]
        if held > memory:
            found.append([])
            held = needed[layer]
        found[-1].append(layer)
    return found
