"""Representational response analysis: all measures of a network that its neighbour graphs hold, from one set of graphs.

One kNN model of every layer is the root of the measures (abstract of Hryniowski's thesis, Waterloo 2024), and what
costs: what is read from it here takes a small part of its time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import pandas as pd
from torch import nn

from rrahelpers.class_similarity import LayerGraph, class_similarity
from rrahelpers.features import analysed_layers
from rrahelpers.features.batches import as_batches
from rrahelpers.features.layers import readings
from rrahelpers.intrinsic_dimension import two_nn
from rrahelpers.separation import separation_orders
from rrahelpers.similarity import linear_cka_matrix
from rrahelpers.topology import births_and_deaths, nntp, nnts, nnts_matrix

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Features, Images, Labels


@dataclass(frozen=True, eq=False)
class Response:
    """The measures of one network as four tidy tables; ``scale`` is text, ``i`` and ``j`` are the layers' ``index``.

    ``layers``: layer, index, scale, side, measure, neighbours, value. Measures: "class similarity"; "separation index"
    (a row for each order); "intrinsic dimension" with "dimension low" and "dimension high" (95 %); "duplicates" (how
    many samples have an equal twin). ``neighbours``: how many nearest neighbours of a sample the value looks at.

    ``pairs``: scale, i, j, measure ("NNTS", "NNTP" for i <= j, "CKA"), value. NNTS to the next layer is among them.

    ``flow``: scale, i, j, event, neighbour, count, share, as :func:`rrahelpers.topology.births_and_deaths` gives.

    ``scales``: index, a, b, value: NNTS of one layer's graphs at two scales (a before b).
    """

    layers: pd.DataFrame
    pairs: pd.DataFrame
    flow: pd.DataFrame
    scales: pd.DataFrame


def representational_response(graphs: Iterable[LayerGraph], labels: Labels, *,
                              features: Iterable[tuple[str, Features]] | None = None,
                              debiased: bool = True) -> Response:
    """All kNN measures of a network.

    Parameters
    ----------
    graphs: :class:`rrahelpers.class_similarity.LayerGraph`, as ``scale_graphs(model, images, k=10)`` yields them: two
        layers or more, at one scale or several, k >= 2. A scale that fits one layer alone has no flow.
    labels: integers [N].
    features: (layer, [M, ...]) of the same layers, as :func:`rrahelpers.features.each_layer` yields them, for linear
        CKA of the features as they are (scale "1"). M may be smaller than N: a layer needs 4 M² bytes.
    debiased: of CKA, see :func:`rrahelpers.similarity.linear_cka`.

    Returns a :class:`Response`. Graphs take 12 N k bytes each: 78 MB for 13 layers, five scales, 10,000 samples and
    k = 10. Raises as the measures, ``ValueError`` for fewer than two layers and for features of a layer without graph.
    """
    scales: dict[str, list[LayerGraph]] = {}
    for graph in _layer_graphs(graphs):
        scales.setdefault(str(graph.scale), []).append(graph)
    if max(map(len, scales.values()), default=0) < 2:
        raise ValueError("expected the graphs of at least two layers at one scale, got "
                         f"{sum(map(len, scales.values()))} in all")
    layers = [row for chain in scales.values() for item in chain for row in _layer_rows(item, labels)]
    pairs, flow = [], []
    for scale, chain in scales.items():
        chain = sorted(chain, key=lambda item: item.index)
        places, own = [item.index for item in chain], [item.graph for item in chain]
        for measure, table in (("NNTS", nnts_matrix(own)), ("NNTP", nntp(own))):
            pairs.append(_placed(table, places, scale, measure=measure))
        if len(chain) > 1:
            flow.append(_placed(births_and_deaths(own, labels), places, scale))
    if features is not None:
        pairs.append(_cka(features, next(iter(scales.values())), debiased))
    return Response(pd.DataFrame(layers), pd.concat(pairs, ignore_index=True)[["scale", "i", "j", "measure", "value"]],
                    pd.concat(flow, ignore_index=True), _between_scales(scales))


def across_scales(graphs: Iterable[LayerGraph]) -> pd.DataFrame:
    """NNTS of every layer at every scale with every layer at every scale: where embeddings look alike across pooled
    resolutions.

    ``graphs``: as for :func:`representational_response`. Returns rows of i, a (layer and scale of one), j, b (of the
    other), value; each pair both ways. For L layers and S scales N k² L² S² / 2 comparisons. Raises as
    :func:`rrahelpers.topology.nnts`, ``ValueError`` without graphs.
    """
    graphs = _layer_graphs(graphs)
    table = nnts_matrix([item.graph for item in graphs])
    known = [(item.index, str(item.scale)) for item in graphs]
    return pd.DataFrame([(*known[row.i], *known[row.j], row.value) for row in table.itertuples()],
                        columns=["i", "a", "j", "b", "value"])


def scale_symmetry(table: pd.DataFrame) -> pd.DataFrame:
    """How symmetric a network is under an exchange of two scales: **our reading** of the thesis's "latent embedding
    symmetries across different pooled spatial resolutions", of which the abstract says no more.

    A network is symmetric where layer i at scale a is as near to layer j at scale b as layer i at b is to j at a, for
    all layers i < j. ``table``: of :func:`across_scales`.

    Returns a row for each pair of scales: a, b, layers (that have both), same (mean NNTS of a layer with itself at the
    other scale), difference (mean over i < j of the first NNTS less the second: above 0 where the earlier layer at
    scale a is nearer to the later one at b than the other way round), asymmetry (mean of its size, 0 for a symmetric
    network); NaN for fewer than two layers.
    """
    value = table.set_index(["i", "a", "j", "b"]).value.to_dict()
    layers = {scale: set(part.i) for scale, part in table.groupby("a", sort=False)}
    rows = []
    for a, b in combinations(layers, 2):
        both = sorted(layers[a] & layers[b])
        apart = pd.Series([value[i, a, j, b] - value[i, b, j, a] for i, j in combinations(both, 2)], dtype=float)
        same = pd.Series([value[i, a, i, b] for i in both], dtype=float)
        rows.append((a, b, len(both), same.mean(), apart.mean(), apart.abs().mean()))
    return pd.DataFrame(rows, columns=["a", "b", "layers", "same", "difference", "asymmetry"])


def embedding_sizes(model: nn.Module, images: Images, *, layers: Iterable[str] | None = None) -> pd.DataFrame:
    """How many numbers a layer has for an image, and how many times as many as the image itself (the abstract: "one to
    three orders of magnitude larger").

    ``model``, ``images``, ``layers``: as for :func:`rrahelpers.features.analysed_layers`; one image is looked at.
    Returns rows of layer, index, values, times.
    """
    images = as_batches(images)
    layers = list(dict.fromkeys(["input", *analysed_layers(model, images, layers)]))
    sizes = {layer: reading.example.numel() for layer, reading in readings(model, images, layers).items()}
    return pd.DataFrame([{"layer": layer, "index": index, "values": sizes[layer],
                          "times": sizes[layer] / sizes["input"]} for index, layer in enumerate(layers)])


def _layer_graphs(graphs):
    graphs = list(graphs)
    if bad := {type(graph).__name__ for graph in graphs if not isinstance(graph, LayerGraph)}:
        raise TypeError(f"expected LayerGraphs, as scale_graphs yields them, got {sorted(bad)}")
    return graphs


def _layer_rows(item, labels):
    graph, dimension = item.graph, two_nn(item.graph)
    values = [("class similarity", graph.k, class_similarity(graph, labels))]
    values += [("separation index", order, value) for order, value in enumerate(separation_orders(graph, labels), 1)]
    values += [("intrinsic dimension", 2, dimension.dimension), ("dimension low", 2, dimension.low),
               ("dimension high", 2, dimension.high), ("duplicates", 1, dimension.duplicates)]
    where = {"layer": item.layer, "index": item.index, "scale": str(item.scale), "side": item.side}
    return [{**where, "measure": measure, "neighbours": near, "value": value} for measure, near, value in values]


def _between_scales(scales):
    graphs = {scale: {item.index: item.graph for item in chain} for scale, chain in scales.items()}
    rows = [(index, a, b, nnts(graph, graphs[b][index])) for a, b in combinations(scales, 2)
            for index, graph in graphs[a].items() if index in graphs[b]]
    return pd.DataFrame(rows, columns=["index", "a", "b", "value"])


def _placed(table, places, scale, **columns):
    """A table of places in a list as one of layers' indices at a scale."""
    placed = table.assign(i=[places[i] for i in table.i], j=[places[j] for j in table.j], **columns)
    placed.insert(0, "scale", scale)
    return placed


def _cka(features, chain, debiased):
    index, places = {item.layer: item.index for item in chain}, []

    def walk():
        for layer, x in features:
            if layer not in index:
                raise ValueError(f"layer {layer!r} has features but no graph; expected some of: {', '.join(index)}")
            places.append(index[layer])
            yield x

    return _placed(linear_cka_matrix(walk(), debiased=debiased), places, "1", measure="CKA")
