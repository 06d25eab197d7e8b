"""How the neighbours of samples change from layer to layer: similarity, persistence, births and deaths.

Nearest-neighbour topological similarity (NNTS) and persistence (NNTP) are measures of A. Hryniowski and A. Wong
(arXiv:2012.03793, 2020) and of Hryniowski's Representational Response Analysis thesis (Waterloo, 2024). Neither text is
at hand beyond its abstract: **the definitions here are our readings**.

NNTS so read is what Doimo et al. (NeurIPS 2020) call the neighbourhood overlap of two layers, and Huh et al. (ICML
2024) the mutual nearest-neighbour alignment of two networks: the same number for the same k. (Where samples are equal,
programs that take the first of the neighbours for the sample itself find another.) NNTP has no other name that we know.

A graph is the set of its directed edges (n, m), "m is among the k nearest neighbours of n"; random neighbours agree in
k / (N - 1) of their edges.

Graphs to be compared are over the same N samples with the same k: two layers, two networks, two seeds, two scales.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.base.arrays import check_labels, symmetric_table
from rrahelpers.neighbors import KNNGraph, check_graph

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

    from rrahelpers.base.shapes import Labels, Values


def kept(a: KNNGraph, b: KNNGraph) -> Bool[Tensor, "n k"]:
    """Which edges of graph ``a`` are edges of graph ``b`` too: bool [N, k], in the order of ``a.indices``.

    Raises ``ValueError`` for graphs over different numbers of samples or neighbours.
    """
    if check_graph(a).indices.shape != check_graph(b).indices.shape:
        raise ValueError("expected two graphs over the same samples with the same k, "
                         f"got N={len(a)}, k={a.k} and N={len(b)}, k={b.k}")
    found = a.indices == b.indices[:, :1]
    for column in b.indices[:, 1:].T:  # N k² comparisons: for k up to 50 faster than to sort and search
        found |= a.indices == column[:, None]
    return found


def nnts(a: KNNGraph, b: KNNGraph) -> float:
    """Nearest-neighbour topological similarity: the mean share of neighbours that a sample has in both graphs.

    mean over n of |h_a(n) ∩ h_b(n)| / k, in [0, 1], symmetric; 1 for equal neighbour sets whatever their order.
    Raises as :func:`kept`.
    """
    return kept(a, b).double().mean().item()


def nnts_per_sample(a: KNNGraph, b: KNNGraph) -> Values:
    """For each sample the share of its neighbours that are in both graphs: float64 [N]; :func:`nnts` is its mean.

    ``nnts_per_sample(a, b).argsort()`` begins with the samples whose neighbours change most. Raises as :func:`kept`.
    """
    return kept(a, b).double().mean(1)


def nnts_matrix(graphs: Iterable[KNNGraph], others: Iterable[KNNGraph] | None = None) -> pd.DataFrame:
    """:func:`nnts` of every pair: of ``graphs`` among themselves, or of each of ``graphs`` with each of ``others``.

    Returns a tidy table: i (place in ``graphs``), j (place in ``graphs`` or ``others``), value. Raises as :func:`kept`,
    and ``ValueError`` without graphs.
    """
    graphs = _graphs(graphs)
    if others is None:
        return symmetric_table(graphs, nnts)
    others = _graphs(others)
    return pd.DataFrame([(i, j, nnts(a, b)) for i, a in enumerate(graphs) for j, b in enumerate(others)],
                        columns=["i", "j", "value"])


def nntp(graphs: Iterable[KNNGraph]) -> pd.DataFrame:
    """Nearest-neighbour topological persistence: the share of the edges of layer i that every layer from i to j has.

    ``graphs``: of consecutive layers, in order. Returns a tidy table with a row for each i <= j: i, j, value in [0, 1].
    For one i the value is 1 at j = i and never rises with j; at j = i + 1 it is :func:`nnts`. Raises as
    :func:`nnts_matrix`.
    """
    graphs, rows = _graphs(graphs), []
    for i, first in enumerate(graphs):
        alive = torch.ones_like(first.indices, dtype=torch.bool)
        for j, later in enumerate(graphs[i:], i):
            if j > i:
                alive &= kept(first, later)
            rows.append((i, j, alive.double().mean().item()))
    return pd.DataFrame(rows, columns=["i", "j", "value"])


def births_and_deaths(graphs: Iterable[KNNGraph], labels: Labels | None = None) -> pd.DataFrame:
    """What happens to the directed edges between each layer i and the next, j = i + 1.

    Parameters
    ----------
    graphs: of consecutive layers, in order; at least two.
    labels: integers [N]; with them, edges to neighbours of the same class and of another are counted apart. Each sample
        has k neighbours in every layer, so births and deaths are equal in number: what differs is whom they join.

    Returns a tidy table: i, j, event ("kept", "birth": an edge of j that i lacks, "death": an edge of i that j lacks),
    neighbour ("same class", "other class", or "any" without labels), count (edges), share (of all N k edges). Raises as
    :func:`kept`, ``ValueError`` for fewer than two graphs or labels of another length, ``TypeError`` for labels that
    are no integers.
    """
    graphs = _graphs(graphs, least=2)
    if labels is not None:
        labels = check_labels(labels, len(graphs[0])).to(graphs[0].indices.device)
    rows = []
    for i, (a, b) in enumerate(pairwise(graphs)):
        stays = kept(a, b)
        for event, graph, edges in (("kept", a, stays), ("birth", b, ~kept(b, a)), ("death", a, ~stays)):
            kinds = {"any": edges}
            if labels is not None:
                same = labels[graph.indices] == labels[:, None]
                kinds = {"same class": edges & same, "other class": edges & ~same}
            for kind, chosen in kinds.items():
                count = int(chosen.sum())
                rows.append((i, i + 1, event, kind, count, count / edges.numel()))
    return pd.DataFrame(rows, columns=["i", "j", "event", "neighbour", "count", "share"])


def cohorts(persistence: pd.DataFrame) -> pd.DataFrame:
    """The edges of each layer by the layer since which they have been there without a break.

    ``persistence``: the table of :func:`nntp`. Returns a tidy table with a row for each born <= layer: born, layer,
    share (of the N k edges of ``layer``; they add up to 1). Edges in all layers from b to l, less those that were there
    in the layer before b already, are the ones born at b: the shares are differences of NNTP.
    """
    value = persistence.set_index(["i", "j"]).value
    layers = sorted({i for i, _ in value.index})  # their numbers may have gaps
    before = dict(zip(layers[1:], layers))
    return pd.DataFrame([(b, l, value[b, l] - (value[before[b], l] if b in before else 0.0)) for b, l in value.index],
                        columns=["born", "layer", "share"])


def _graphs(graphs, least=1):
    graphs = [check_graph(graph) for graph in graphs]
    if len(graphs) < least:
        raise ValueError(f"expected at least {least} graph{'s' * (least > 1)}, got {len(graphs)}")
    return graphs
