"""Layers one after the other with what is kept of them: from as few passes as memory and disk allow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from rrahelpers.eigenspace import describe
from rrahelpers.features.layers import groups
from rrahelpers.features.maps import Reading
from rrahelpers.report.cache import FeatureCache, InMemory, OnDisk
from rrahelpers.report.notes import Notes
from rrahelpers.report.passes import collect, observed, weights_digest
from rrahelpers.report.source import Source

if TYPE_CHECKING:
    from rrahelpers.base.shapes import FeatureAxes


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of a layer: ``features`` {name: [N, ...]}, ``tested``: those of the test images, ``numbers`` that
    only the pass itself tells (its saturation)."""

    layer: str
    features: dict[str, torch.Tensor]
    tested: dict[str, torch.Tensor]
    numbers: dict[str, float]


class Stream:
    """One walk over all layers, by iteration: :class:`Kept` of each layer, those found in the cache first.

    ``wanted``: {layer: {name: function of its maps}}; ``maps``: the layers' readings; ``watched``: those whose
    covariance is taken; ``memory``: bytes of features held at a time; ``disk``: bytes that the cache may take, which is
    used where the memory isn't enough for one pass; ``say``: called with what is being done.
    """

    def __init__(self, model: nn.Module, source: Source, test: Source | None, maps: dict[str, Reading],
                 wanted: Mapping[str, Mapping[str, partial[torch.Tensor]]], *, digest: str, watched: Collection[str],
                 memory: float, disk: float, axis: FeatureAxes | None, notes: Notes,
                 say: Callable[[str], object]) -> None:
        self.model, self.source, self.test, self.maps, self.wanted = model, source, test, maps, wanted
        self.watched, self.memory, self.axis, self.notes, self.say = watched, memory, axis, notes, say
        examples = {layer: {name: kept(maps[layer].example) for name, kept in functions.items()}
                    for layer, functions in wanted.items()}
        self.needed = {layer: len(source.images) * sum(x.numel() * x.element_size() for x in found.values())
                       for layer, found in examples.items()}
        self.cache: FeatureCache | None = None
        self.keys: dict[str, str] = {}
        self.stored: dict[str, tuple[dict[str, torch.Tensor], dict[str, float]]] = {}
        if disk and sum(self.needed.values()) > memory:
            self._open(disk, digest, examples)

    def _open(self, disk, digest, examples):
        try:
            self.cache = FeatureCache(disk)
            weights = weights_digest(self.model)
            for layer, functions in self.wanted.items():
                kept = {name: [f.func.__name__, f.keywords] for name, f in functions.items()}
                how = [self.maps[layer].axis, self.maps[layer].grid, (self.axis or {}).get(layer)]
                self.keys[layer] = self.cache.key(weights, digest, layer, [kept, how])
                if (entry := self.cache.read(self.keys[layer], examples[layer])) is not None:
                    self.stored[layer] = entry
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error):
        self.cache, self.keys = None, {}
        self.notes.add(f"the cache of features can't be used ({error}): there were more passes instead")

    def __iter__(self) -> Iterator[Kept]:
        tested = self._tested(list(self.stored))
        missing = [layer for layer in self.wanted if layer not in self.stored]
        for layer in list(self.stored):
            features, numbers = self.stored.pop(layer)
            yield Kept(layer, features, tested.get(layer, {}), numbers)
        while missing:
            limit = self.memory if self.cache is None else max(self.memory, self.cache.limit)
            group = groups(missing, self.needed, limit)[0]
            sink = InMemory(len(self.source.images))
            try:
                if self.cache is not None:
                    self.cache.make_room(sum(self.needed[layer] for layer in group))
                    sink = OnDisk(self.cache, {layer: self.keys[layer] for layer in group})
                numbers = self._pass(group, sink)
                tested = self._tested(group)
                for layer in group:
                    sink.finish(layer, numbers[layer])
                    yield Kept(layer, sink.take(layer), tested.get(layer, {}), numbers[layer])
                    missing.remove(layer)
            except OSError as error:
                if self.cache is None:
                    raise
                self._give_up(error)
            finally:
                sink.close()
        if self.cache is not None:
            with contextlib.suppress(OSError):  # another process emptied it meanwhile: all is measured
                self.cache.shrink()

    def _pass(self, group, sink):
        """One pass; answers with {layer: its numbers}."""
        self.say("forward pass")
        with observed(self.model, [name for name in group if name in self.watched], self.axis) as seen:
            collect(self.model, self.source.images, {layer: self.wanted[layer] for layer in group}, self.maps, sink)
        numbers = {layer: {} for layer in group}
        for layer, covariance in seen.items():
            with self.notes.attempt(f"saturation, {layer}"):
                numbers[layer]["saturation"] = describe(covariance)["saturation"]
                numbers[layer]["most_saturation"] = min(1.0, (covariance.observations - 1) / covariance.dim)
        return numbers

    def _tested(self, layers):
        """{layer: {"probe": features of the test images}}."""
        wanted = {layer: {"probe": self.wanted[layer]["probe"]} for layer in layers if "probe" in self.wanted[layer]}
        if self.test is None or not wanted:
            return {}
        sink = InMemory(len(self.test.images))
        collect(self.model, self.test.images, wanted, self.maps, sink)
        return {layer: sink.take(layer) for layer in wanted}
