"""What layers answer to images, measured: from one pass for each group of layers that the memory allows."""

import math
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import torch
from torch.nn.functional import avg_pool1d, avg_pool2d
from tqdm.auto import tqdm

from rrahelpers.class_similarity import class_similarity, pooling_windows
from rrahelpers.eigenspace import covariances, describe
from rrahelpers.features import pool
from rrahelpers.features.layers import groups
from rrahelpers.intrinsic_dimension import two_nn
from rrahelpers.neighbors import SCALES, pyramid_graphs
from rrahelpers.probes import fit_probe
from rrahelpers.report.passes import Room, collect, observed
from rrahelpers.report.source import halves
from rrahelpers.separation import separation_index
from rrahelpers.similarity import gram

PLACES = 32  # of the finest map that neighbours are searched on by default, along a side
PROBE = 4  # places that maps are pooled to for probes, along a side (dissertation, 6.2.5)
GRAMS = 256  # images whose Gram matrix of each layer is kept, to compare networks
LEAST = 2**26  # bytes for the neighbour search, at least


@dataclass
class Measured:
    """``rows``: {layer: {column: number}}; ``scales``: class similarity of each layer and scale, tidy; ``graphs``:
    {layer: {scale as text: KNNGraph}}; ``grams``: {layer: [M, M]} of the first images; ``last``: the last layer's
    answers [N, D] where they have no places."""

    rows: dict = field(default_factory=dict)
    scales: list = field(default_factory=list)
    graphs: dict = field(default_factory=dict)
    grams: dict = field(default_factory=dict)
    last: torch.Tensor | None = None


def measure(model, source, test, maps, *, windows, k, probes, memory, axis, notes, progress):
    """A :class:`Measured` of the layers in ``maps`` (their readings).

    ``windows``: of :func:`chosen_windows`; ``test``: a Source for the probes' scores, or None for one half of the
    images; ``probes``: whether to fit any.
    """
    found, layers = Measured({layer: {} for layer in maps}), list(maps)
    probes = probes and _can_probe(source, test, notes)
    watched = _watchable(model, source.images.sample, [name for name in layers if name != "input"], axis, notes)
    wanted = {layer: _wanted(windows.get(layer, {}), probes) for layer in layers}
    needed = {layer: len(source.images) * sum(_bytes(function(maps[layer].example)) for function in functions.values())
              for layer, functions in wanted.items()}
    bar = tqdm(total=len(layers), desc="analysing layers", unit="layer", disable=not progress)
    with bar, Room(memory / 2) as room:
        for group in groups(layers, needed, memory / 2):
            bar.set_postfix_str("forward pass")
            with observed(model, [name for name in group if name in watched], axis) as seen:
                features = collect(model, source.images, {layer: wanted[layer] for layer in group}, maps, room)
            tested = {} if test is None or not probes else collect(
                model, test.images, {layer: {"probe": wanted[layer]["probe"]} for layer in group}, maps, room)
            for layer in group:
                bar.set_postfix_str(layer)
                own = features.pop(layer)
                found.last = own["maps"] if own.get("maps") is not None and own["maps"].ndim == 2 else None
                with notes.attempt(f"neighbours, {layer}"):
                    _neighbours(found, layer, own.get("maps"), windows.get(layer, {}), source.labels, k, memory / 2)
                with notes.attempt(f"saturation, {layer}"):
                    if layer in seen:
                        found.rows[layer]["saturation"] = describe(seen[layer])["saturation"]
                with notes.attempt(f"probe, {layer}"):
                    if probes:
                        found.rows[layer] |= _probe(own["probe"], tested.get(layer), source.labels, test)
                bar.update()
    return found


def chosen_windows(maps, scales, notes):
    """{layer: {scale: window}} as :func:`rrahelpers.class_similarity.pooling_windows` has them.

    By default the scales are the STAC paper's, or those of the token grid where there is one, and of a map with more
    than :data:`PLACES` places along a side only what pools it to no more.
    """
    flat = {layer: reading.example for layer, reading in maps.items() if reading.example.ndim <= 4}
    if deep := [layer for layer in maps if layer not in flat]:
        notes.add(f"neighbours: maps of three dimensions are not searched: {', '.join(deep)}")
    if scales is not None:
        return pooling_windows(flat, scales)
    grids = [reading.grid for reading in maps.values() if reading.grid and len(reading.grid) == 2]
    with notes.listening("class similarity"):
        found = pooling_windows(flat, _of_grid(grids) if grids else SCALES, strict=False)
    wide = []
    for layer, windows in found.items():
        side, numbers = max(flat[layer].shape[2:], default=1), [w for w in windows.values() if w != "global"]
        least = min(max(numbers, default=1), -(-side // PLACES))
        dropped = [scale for scale, window in windows.items() if window != "global" and window < least]
        found[layer] = {scale: window for scale, window in windows.items() if scale not in dropped}
        wide += [layer] if dropped else []
    if wide:
        notes.add(f"neighbours: of maps with more than {PLACES} places along a side only scales that leave no more are "
                  f"searched ({', '.join(wide)}); scales=… asks for others")
    return found


def _of_grid(grids):
    """Windows that divide the finest grid of tokens and one another, and "global"."""
    height, width = max(grids)
    chain = [1]
    for window in range(2, min(height, width)):
        if height % window == 0 and width % window == 0 and window % chain[-1] == 0:
            chain.append(window)
    return (*chain, "global")


def _wanted(windows, probes):
    """What a pass keeps of a layer: its maps pooled as far as all windows allow, and the few places that a probe
    reads."""
    kept = {"maps": partial(_pooled, window=_common(windows))} if windows else {}
    return kept | ({"probe": partial(pool, size=PROBE)} if probes else {})


def _common(windows):
    """The largest window that divides all."""
    numbers = [window for window in windows.values() if window != "global"]
    return math.gcd(*numbers) if numbers else "global"


def _pooled(x, window):
    if window == 1 or x.ndim < 3:
        return x
    if window == "global":
        return x.mean(tuple(range(2, x.ndim)), keepdim=True)
    return (avg_pool1d if x.ndim == 3 else avg_pool2d)(x, window)


def _neighbours(found, layer, x, windows, labels, k, memory):
    if k < 1 or not windows:
        return
    finest = _common(windows)
    finest = 1 if finest == "global" else finest
    inner = {scale: "global" if window == "global" else window // finest for scale, window in windows.items()}
    graphs = pyramid_graphs(x, tuple(dict.fromkeys(inner.values())), k, memory=max(LEAST, memory))
    row = found.rows[layer]
    found.graphs[layer] = {str(scale): graphs[window] for scale, window in inner.items()}
    found.grams[layer] = gram(x[:GRAMS])
    finest = min(inner, key=lambda scale: (inner[scale] == "global", inner[scale]))
    row["finest"], graph = str(finest), graphs[inner[finest]]
    if k > 1:
        row["intrinsic_dimension"] = two_nn(graph).dimension
    if labels is None:
        return
    row["separation_index"] = separation_index(graph, labels)
    for scale, own in found.graphs[layer].items():
        found.scales.append({"layer": layer, "scale": scale, "value": class_similarity(own, labels)})
    best = max((one for one in found.scales if one["layer"] == layer), key=lambda one: one["value"])
    row |= {"class_similarity": best["value"], "best_scale": best["scale"]}


def _probe(x, tested, labels, test):
    if test is None:
        fit, score = halves(labels)
        result = fit_probe(x[fit], labels[fit], x[score], labels[score])
    else:
        result = fit_probe(x, labels, tested["probe"], test.labels)
    return {"probe": result.accuracy, "probe_train": result.train_accuracy}


def _can_probe(source, test, notes):
    labels = source.labels
    if labels is None:
        return False
    fit = labels if test is not None else labels[halves(labels)[0]]
    few = len(labels.unique()) < 2 or test is None and int(labels.unique(return_counts=True)[1].min()) < 2
    if len(fit.unique()) < 2 or few:
        notes.add("probes: they need two classes or more, with two images or more of each (one to fit, one to score); "
                  f"got {len(labels)} images of {len(labels.unique())} classes")
        return False
    return True


def _watchable(model, sample, layers, axis, notes):
    """The layers whose covariance can be taken."""
    try:
        covariances(model, sample, layers, axis={name: one for name, one in (axis or {}).items() if name in layers})
        return set(layers)
    except (ValueError, TypeError):
        good = set()
        for layer in layers:
            with notes.attempt(f"saturation, {layer}"):
                covariances(model, sample, [layer], axis={layer: axis[layer]} if layer in (axis or {}) else None)
                good.add(layer)
        return good


def _bytes(x):
    return x.numel() * x.element_size()


def scale_table(measured, layers):
    """Class similarity as :func:`rrahelpers.class_similarity.classrepsim` has it: layer, index, scale, value."""
    table = pd.DataFrame(measured.scales, columns=["layer", "scale", "value"])
    table.insert(1, "index", table["layer"].map({layer: place for place, layer in enumerate(layers)}))
    return table


