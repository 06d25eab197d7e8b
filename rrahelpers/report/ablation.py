"""What accuracy a network loses without a layer: its answer replaced by its mean, or a residual block left out.

Meyes, Lu, Waubert de Puiseux and Meisen (arXiv:1901.08644, 2019) ablate groups of weights; Veit, Wilber and Belongie
(NeurIPS 2016) leave out residual blocks. Here a whole layer goes at a time, and the others stay as they are.

Where nothing passes beside a layer (in a network without shortcuts), all that is known of an image goes with it: then
its mean costs whatever is above chance, for every layer alike.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from tqdm.auto import tqdm

from rrahelpers.base.arrays import check_labels
from rrahelpers.base.modules import check_model, layer_list
from rrahelpers.data.folders import evenly
from rrahelpers.features import as_batches
from rrahelpers.features.passes import forward, run

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Images, ImageTensor, Labels

ADDITIONS = {"add", "add_", "__add__", "__iadd__", "__radd__"}


def ablate(model: nn.Module, images: Images, labels: Labels | str | None, layers: Iterable[str], *,
           samples: int | None = None, outputs: int | None = None, progress: bool = True) -> pd.DataFrame:
    """One row for each layer that is replaced by its mean, and for each residual block that is left out.

    Parameters
    ----------
    model: answers with logits [N, classes], or with a dict or object that has them under ``logits``.
    images, labels: as for :func:`rrahelpers.report.analyse`; a label is the number of a logit. "own": the answers that
        the whole network gives stand for labels, whatever its outputs mean; accuracy is then the share that stays.
    layers: names; "input" is passed over. Blocks are found: modules that add what they are given to what they make of
        it, and answer in the same shape.
    samples: images to look at, at most, spread over the data; default: all.
    outputs: how many the network has to have; default: any number above the largest label.

    Returns ``layer``, ``how`` ("mean": the mean answer over these images, place by place; "left out": a block answers
    with what it was given), ``accuracy`` (with the layer ablated), ``lost`` (by the network's own). Costs a forward
    pass of all images for each row. Raises ``ValueError`` without labels, and where the network gives no logit for a
    label.
    """
    check_model(model)
    images = as_batches(images)
    if labels is None:
        raise ValueError("expected labels: what ablation costs is told in accuracy")
    if own := isinstance(labels, str):
        if labels != "own":
            raise ValueError(f"unknown labels {labels!r}; expected numbers, or 'own'")
        labels, outputs = torch.cat([_logits(forward(model, batch), 1, None).argmax(1).cpu()
                                     for batch in images.split()]), None
    labels, places = check_labels(labels, len(images)), evenly(len(images), samples)
    layers, modules = [name for name in layer_list(layers) if name != "input"], dict(model.named_modules())
    means, whole = _means(model, images, layers), _accuracy(model, images, labels, places, outputs)
    chance = labels[places].unique(return_counts=True)[1].max().item() / len(places)
    if not own and whole <= chance + 2 * math.sqrt(chance * (1 - chance) / len(places)):
        warnings.warn(f"the network itself is right about {whole:.1%} of these images, no more than guessing is "
                      f"({chance:.1%}): what it loses without a layer says nothing", stacklevel=2)
    jobs = [(name, "mean") for name in layers if means[name].is_floating_point()]
    jobs += [(name, "left out") for name in residual_blocks(model, images.sample)]
    rows = []
    for name, how in tqdm(jobs, desc="ablation", unit="layer", disable=not progress):
        with _replaced(modules[name], means[name]) if how == "mean" else _left_out(modules[name]):
            left = _accuracy(model, images, labels, places, outputs)
        rows.append({"layer": name, "how": how, "accuracy": left, "lost": whole - left})
    return pd.DataFrame(rows, columns=["layer", "how", "accuracy", "lost"])


def residual_blocks(model: nn.Module, sample: ImageTensor) -> list[str]:
    """The names of modules that add their own input to what they make of it and answer in its shape, in order."""
    with _Additions(model) as seen:
        forward(model, sample)
    return list(seen.found)


class _Additions(TorchFunctionMode):
    """Follows one forward pass: which module adds what it was given."""

    def __init__(self, model):
        super().__init__()
        self.model, self.open, self.found, self.hooks = model, [], {}, contextlib.ExitStack()

    def __enter__(self):
        for name, module in self.model.named_modules():
            self.hooks.callback(module.register_forward_pre_hook(partial(self._enter, name)).remove)
            self.hooks.callback(module.register_forward_hook(self._leave, always_call=True).remove)
        return super().__enter__()

    def __exit__(self, *error):
        self.hooks.close()
        return super().__exit__(*error)

    def _enter(self, name, _module, args):
        self.open.append((name, args[0] if args and isinstance(args[0], torch.Tensor) else None))

    def _leave(self, module, _args, output):
        name, given = self.open.pop()
        if name in self.found and (not isinstance(output, torch.Tensor) or output.shape != given.shape):
            del self.found[name]

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in ADDITIONS and self.open:
            name, given = self.open[-1]
            if name and given is not None and any(_same(x, given) for x in args):
                self.found[name] = True
        return function(*args, **kwargs or {})


def _same(x, given):
    return x is given or (isinstance(x, torch.Tensor) and x.data_ptr() == given.data_ptr() and x.shape == given.shape)


def _means(model, images, layers):
    sums, counted = {}, len(images)

    def take(name, output, _place):
        sums[name] = sums.get(name, 0) + output.double().sum(0) if output.is_floating_point() else output[0]

    run(model, images, layers, take)
    return {name: total / counted if total.is_floating_point() else total for name, total in sums.items()}


@contextlib.contextmanager
def _replaced(module, mean):
    """While it is open, a module answers with the same to all images."""
    handle = module.register_forward_hook(lambda _module, _args, output: mean.to(output).expand_as(output).clone())
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def _left_out(module):
    """While it is open, a module answers with what it was given (a copy: it may work in place)."""
    given = []
    before = module.register_forward_pre_hook(lambda _module, args: given.append(args[0].clone()))
    after = module.register_forward_hook(lambda *_: given.pop())
    try:
        yield
    finally:
        before.remove()
        after.remove()


def _accuracy(model, images, labels, places, outputs):
    right, start = 0, 0
    for batch in images.split():
        inside = places[(places >= start) & (places < start + len(batch))]
        if len(inside):
            logits = _logits(forward(model, batch[inside - start]), int(labels.max()) + 1, outputs)
            right += int((logits.argmax(1).cpu() == labels[inside]).sum())
        start += len(batch)
    return right / len(places)


def _logits(answer, least, outputs):
    if not isinstance(answer, torch.Tensor):
        answer = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or (
            answer.shape[1] < least if outputs is None else answer.shape[1] != outputs):
        came = list(answer.shape) if isinstance(answer, torch.Tensor) else "no tensor"
        wanted = f"{least} or more" if outputs is None else outputs
        raise ValueError(f"expected logits [N, {wanted}], one for each class of the data, got {came}; labels have to "
                         "be numbers of the network's outputs. With labels='own' the network's own answers stand for "
                         "them")
    return answer
