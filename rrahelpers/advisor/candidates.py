"""The networks among which :func:`rrahelpers.advisor.search` chooses, and what is known of each before any training."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import product
from typing import NamedTuple

import torch

from rrahelpers import complexity, data, models
from rrahelpers.advisor.places import ends, stem
from rrahelpers.receptive_field import beyond_border, receptive_fields
from rrahelpers.training import RunConfig


@dataclass(frozen=True)
class Space:
    """What may be changed of a network. Every combination is a candidate, the network as it is among them.

    depths: at how many places, evenly spread, the network may end early: before a convolution that all paths lead to,
        with pooling and a linear layer in its place (dissertation, 11.4). 0: it stays whole.
    stems: how many of the first two layers that down-sample may cease to do so, counted from the first (11.4).
    widths: factors of all channels, for families that have the option ``width`` (11.3).
    resolutions: factors of the images' side (9.1).
    """

    depths: int = 6
    stems: Sequence[int] = (0, 1, 2)
    widths: Sequence[float] = (0.5, 1, 2)
    resolutions: Sequence[float] = (1, 2)


@dataclass(frozen=True)
class Candidate:
    """A changed network, its costs and its prediction, all known without training.

    ends: the layer before which it ends; "" where it is whole. stem: how many layers down-sample no more.
    width, image_size: as they are then. flops: multiply-accumulates. memory: of
    :func:`rrahelpers.complexity.memory`. idle: how many of its ``convolutions`` are predicted to do nothing, from the
    border layer b_min on. fault: why it can't be built, or "".
    """

    config: RunConfig
    ends: str
    stem: int
    width: float
    image_size: int
    params: int = 0
    flops: int = 0
    memory: int = 0
    convolutions: int = 0
    idle: int = 0
    fault: str = ""

    def row(self) -> dict[str, object]:
        """All but the configuration, as a row of a table."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "config"}


class _Data(NamedTuple):
    classes: int
    channels: int
    side: int


def candidates(start: RunConfig, space: Space, seed: int = 0) -> Iterator[Candidate]:
    """``start`` as it is, then all other combinations of ``space`` in an order drawn by ``seed``, each examined when it
    is asked for.

    Raises ``ValueError`` for a start whose images have no single side, or whose layers are changed already.
    """
    if changed := {"truncate_at", "keep_size_at"} & set(start.options):
        raise ValueError(f"expected a network whose layers are not changed yet, got the options {sorted(changed)}")
    if not isinstance(start.image_size, (int, type(None))):
        raise ValueError(f"expected image_size to be a side in pixels, got {start.image_size!r}")
    first = data.load(start.data, "test", limit=1)
    given = _Data(len(first.classes), first.images.shape[1], start.image_size or first.images.shape[-1])
    table = receptive_fields(_network(start.model, start.options, given), (given.channels, given.side, given.side))
    names, width = stem(table), start.options.get("width", 1)
    stems = sorted({min(number, len(names)) for number in space.stems})
    widths = [width * factor for factor in space.widths] if _has_width(start.model) else [width]
    sides = [round(given.side * factor) for factor in space.resolutions]
    combinations = list(product(["", *ends(table, space.depths)], stems, widths, sides))
    random.Random(seed).shuffle(combinations)
    unchanged = ("", 0, width, given.side)
    yield _examined(Candidate(start, *unchanged), given)
    for end, number, factor, side in combinations:
        if (end, number, factor, side) != unchanged:
            options = start.options | ({"width": factor} if factor != width else {})
            options |= {"keep_size_at": names[:number]} if number else {}
            options |= {"truncate_at": end} if end else {}
            config = replace(start, options=options, image_size=start.image_size if side == given.side else side)
            yield _examined(Candidate(config, end, number, factor, side), given)


def _examined(candidate, given):
    """``candidate`` with its costs and its prediction."""
    options = json.dumps(candidate.config.options, sort_keys=True)
    return replace(candidate, **_known(candidate.config.model, options, given._replace(side=candidate.image_size)))


@cache
def _known(model, options, given):
    """The fields of a :class:`Candidate` that are counted or predicted, for images of ``given``."""
    shape = (given.channels, given.side, given.side)
    try:
        network = _network(model, json.loads(options), given)
        beyond = beyond_border(receptive_fields(network, shape), shape)
        costs = complexity.per_layer(network, shape, "macs")[["params", "flops", "memory"]].sum()
    except (ValueError, TypeError, NotImplementedError) as error:
        return {"fault": f"can't be built: {error}"}
    return {"convolutions": len(beyond), "idle": int(beyond.sum()), **{name: int(n) for name, n in costs.items()}}


def _network(model, options, given):
    """The network of a configuration as training builds it, without numbers."""
    with torch.device("meta"):
        return models.build(model, **models.options_for(model, options, given.classes, given.channels))


def _has_width(model):
    return model in models.FAMILIES and "width" in inspect.signature(models.FAMILIES[model]).parameters
