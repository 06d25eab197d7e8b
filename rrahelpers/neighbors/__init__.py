"""k-nearest-neighbour graphs of features: exact, at one scale or at all pooling scales of a feature map at once.

A sample is left out of its own neighbours by its index, never by its place in the result: duplicates exist. Ties go
to the lower index. The mathematics of the exact search is explained in :mod:`rrahelpers.neighbors.bands`.

**Past one machine.** The block pairs of the distance matrix are independent jobs. ``knn_graph`` takes anything with the
interface of :class:`concurrent.futures.Executor` and sends each pair of blocks (raw rows, at most a part of ``memory``
at a time) to a worker, which answers with the few candidates of each row; the candidates are settled here.
A Dask cluster runs it unchanged: ``knn_graph(x, 10, executor=Client(address).get_executor())``. A block of b rows costs
b times as much arithmetic as transfer, so give a cluster more ``memory`` (larger blocks) than a single machine needs.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from rrahelpers.base.arrays import as_tensor
from rrahelpers.neighbors.bands import full_precision
from rrahelpers.neighbors.candidates import Search
from rrahelpers.neighbors.cores import on_cores
from rrahelpers.neighbors.pooling import check_operation, pooled
from rrahelpers.neighbors.rows import Source, equal_rows, expand, scan
from rrahelpers.neighbors.settling import Settling

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Distances, Features, Maps, Neighbours, Scales

SCALES = (1, 2, 4, 8, "global")  # the STAC paper's, section 3
MEMORY = 2 * 2**30  # bytes
SAMPLE = 300  # rows by which recall is estimated
SMALL = 1e8  # products up to which one core after the other is faster than several side by side


@dataclass(frozen=True, eq=False)
class KNNGraph:
    """The k nearest neighbours of N samples: ``indices`` int64 [N, k], ``distances`` float32 [N, k], nearest first.

    ``recall``: the share of the true neighbours that it holds; of an approximate graph estimated on some samples.
    """

    indices: Neighbours
    distances: Distances
    recall: float = 1.0

    def __post_init__(self) -> None:
        if self.indices.ndim != 2 or self.indices.shape != self.distances.shape:
            raise ValueError(f"expected indices and distances [N, k] of one shape, got {tuple(self.indices.shape)} "
                             f"and {tuple(self.distances.shape)}")
        if self.indices.dtype != torch.int64 or self.distances.dtype != torch.float32:
            raise TypeError(f"expected int64 indices and float32 distances, got {self.indices.dtype} and "
                            f"{self.distances.dtype}")

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def k(self) -> int:
        return self.indices.shape[1]

    def first(self, k: int) -> KNNGraph:
        """The graph of the ``k`` nearest of these neighbours. Raises ``ValueError`` for k < 1 or above the graph's."""
        if not 1 <= k <= self.k:
            raise ValueError(f"expected k from 1 to {self.k} (the graph's neighbours), got {k}")
        return KNNGraph(self.indices[:, :k], self.distances[:, :k], self.recall)


def check_graph(graph: object) -> KNNGraph:
    """``graph``, or a ``TypeError`` where it is no :class:`KNNGraph`."""
    if not isinstance(graph, KNNGraph):
        raise TypeError(f"expected a KNNGraph, as knn_graph answers, got {type(graph).__name__}")
    return graph


@torch.inference_mode(False)  # its threads wouldn't be in it
def knn_graph(x: Features, k: int, *, metric: str = "euclidean", method: str = "exact", memory: float = MEMORY,
              executor: Executor | None = None, seed: int = 0) -> KNNGraph:
    """The k nearest neighbours of each sample.

    Parameters
    ----------
    x: [N, D], or [N, …] which is flattened: a tensor on any device, an array, or a ``numpy.memmap``, read in parts.
    k: neighbours of each sample, 1 <= k < N.
    metric: "euclidean", or "cosine" (1 - cos; samples of norm zero are refused).
    method: "exact", or "pynndescent" (approximate; needs pynndescent; ``seed`` is its random state). The exact search
        takes time with N²: where that is over an hour, the approximate graph tells its ``recall``, estimated on
        ``SAMPLE`` samples that are searched exactly.
    memory: bytes that the exact search may use beside ``x`` and the result.
    executor: of :mod:`concurrent.futures`' interface; runs the exact search's block pairs.

    Returns a :class:`KNNGraph` on ``x``'s device. The exact method decides by float64 sums: where they tie, the lower
    index comes first. Raises ``ValueError`` for NaN or infinite features, k out of range, no sample or no feature, an
    unknown metric or method; ``TypeError`` for what is no array of real numbers.
    """
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"unknown metric {metric!r}; expected 'euclidean' or 'cosine'")
    if method not in ("exact", "pynndescent"):
        raise ValueError(f"unknown method {method!r}; expected 'exact' or 'pynndescent'")
    x = as_tensor(x)
    if x.ndim < 2:
        raise ValueError(f"expected features [N, D] or [N, ...], got shape {tuple(x.shape)}")
    memory = _check(x, k, memory)
    if executor is not None and method != "exact":
        raise ValueError(f"an executor runs the exact method only, got method={method!r}")
    x = x.reshape(len(x), -1, 1, 1)
    scanned = scan(x, cosine=metric == "cosine")
    if method == "pynndescent":
        return _pynndescent(x, k, metric, seed, scanned, memory)
    return _graphs(x, [(1, 1)], k, scanned, memory, executor)[(1, 1)]


@torch.inference_mode(False)
def pyramid_graphs(feature_map: Maps | Features, scales: Scales = SCALES, k: int = 10, *, memory: float = MEMORY,
                   operation: str = "average") -> dict[int | str, KNNGraph]:
    """The k nearest neighbours at several pooling scales, for little more than the price of the finest.

    Parameters
    ----------
    feature_map: [N, C, H, W], as ``x`` of :func:`knn_graph`; [N, C, T], pooled along T; [N, D] counts as one pixel.
    scales: pooling windows in pixels, not overlapping: whole numbers that divide H and W, or "global". Windows
        that divide one another share their arithmetic; others are searched apart.
    k, memory: as for :func:`knn_graph`.
    operation: "average", whose scales share their arithmetic; or one of the others of
        :mod:`rrahelpers.neighbors.pooling`, with a search for each scale.

    Returns {scale: :class:`KNNGraph`} in the order of ``scales``; distances are Euclidean, between the pooled maps.
    Raises as :func:`knn_graph`, and ``ValueError`` for a window that doesn't divide the map.
    """
    check_operation(operation)
    x = as_tensor(feature_map)
    if x.ndim not in (2, 3, 4):
        raise ValueError("expected a feature map [N, C, H, W] or [N, C, T], or features [N, D], got shape "
                         f"{tuple(x.shape)}")
    memory = _check(x, k, memory)
    windows = {scale: _window(scale, tuple(x.shape[2:])) for scale in scales}
    x = x[(..., *[None] * (4 - x.ndim))]
    if not windows:
        raise ValueError("expected at least one scale, got none")
    if operation != "average":
        graphs = {window: knn_graph(pooled(x, window, operation), k, memory=memory) for window in {*windows.values()}}
        return {scale: graphs[window] for scale, window in windows.items()}
    scanned = scan(x)
    found: dict[int | str, KNNGraph] = {}
    for chain in _chains(set(windows.values())):
        found |= _graphs(x, chain, k, scanned, memory)
    return {scale: found[window] for scale, window in windows.items()}


def _check(x, k, memory):
    """The memory in whole bytes."""
    if x.numel() == 0:
        raise ValueError(f"expected at least one sample and one feature, got shape {tuple(x.shape)}")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"expected a whole number k, got {k!r}")
    if not 1 <= k < len(x):
        raise ValueError(f"expected 1 <= k < {len(x)} (the number of samples), got k={k}")
    if memory < 2**20:
        raise ValueError(f"expected memory of at least 2**20 bytes, got {memory}")
    return int(memory)


def _window(scale, size):
    """The pooling window (h, w) of a scale on a map of ``size`` (H, W), (T,) or ()."""
    one, size = len(size) == 1, (*size, 1, 1)[:2]
    if scale == "global":
        return size
    if isinstance(scale, bool) or not isinstance(scale, (int, np.integer)) or scale < 1:
        raise ValueError(f"expected scales that are whole numbers from 1 on, or 'global', got {scale!r}")
    if size == (1, 1) and scale == 1:
        return size
    window = int(scale), 1 if one else int(scale)
    if size[0] % window[0] or size[1] % window[1]:
        raise ValueError(f"a pooling window of {window[0]} x {window[1]} does not divide a map of {size[0]} x "
                         f"{size[1]}; expected a divisor of each side, or 'global'")
    return window


def _chains(windows):
    """Windows in as few lists as a greedy walk needs, coarsest first, each a multiple of the next in its list."""
    chains = []
    for h, w in sorted(windows, key=lambda window: (-window[0] * window[1], window)):
        chain = next((c for c in chains if c[-1][0] % h == 0 and c[-1][1] % w == 0), None)
        if chain is None:
            chains.append(chain := [])
        chain.append((h, w))
    return chains


def _graphs(x, windows, k, scanned, memory, executor=None):
    """{window: KNNGraph} for one chain of windows. Equal rows are searched once: k candidates can't hold 1,000
    copies."""
    source = Source(x, scanned.factor)
    copies = equal_rows(source, scanned.norms)
    if copies is None:
        results = _search(source, windows, k, scanned, memory, executor)
    else:
        first, group = torch.unique(copies, return_inverse=True)  # ascending: group numbers follow the first of each
        some = min(k, len(first) - 1)
        nobody = first.new_zeros(len(first), 0)
        results = [(nobody, nobody.double())] * len(windows) if some == 0 else _search(
            replace(source, chosen=first), windows, some, scanned, memory, executor)
        results = [expand(*result, group, k) for result in results]
    return {window: KNNGraph(indices, _distances(squared / (window[0] * window[1]), scanned))
            for window, (indices, squared) in zip(windows, results)}


def _search(source, windows, k, scanned, memory, executor):
    small = len(source)**2 * source.x[0].numel() <= SMALL
    with full_precision(), contextlib.nullcontext(map) if small else on_cores(source.x.device) as each:
        search = Search(source, windows, k, scanned, memory=memory, executor=executor, each=each)
        kept = search.run()
        return Settling(source, search.plan, k, memory=memory, block=search.block, each=each).run(kept)


def _distances(squared, scanned):
    """float32 distances as the user wants them, from float64 squared distances of centred, scaled features."""
    distances = squared.sqrt() / scanned.unit
    return (distances if scanned.factor is None else distances.square() / 2).float()


def _pynndescent(x, k, metric, seed, scanned, memory):
    """pynndescent's graph. Rows that it can't fill are searched exactly."""
    from pynndescent import NNDescent

    features = x.flatten(1).to("cpu", torch.float32).numpy()
    indices, distances = NNDescent(features, metric=metric, n_neighbors=min(k + 1, len(x)),
                                   random_state=seed).neighbor_graph
    keep = (indices != np.arange(len(x))[:, None]) & (indices >= 0)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    short = torch.from_numpy(np.flatnonzero(keep.sum(1) < k))
    indices = torch.from_numpy(np.take_along_axis(indices, order, 1).astype(np.int64))
    distances = torch.from_numpy(np.take_along_axis(distances, order, 1).astype(np.float32))
    source = Source(x.cpu(), scanned.factor)
    search = Search(source, [(1, 1)], k, scanned, memory=memory)
    settling = Settling(source, search.plan, k, memory=memory, block=search.block)
    sample = torch.linspace(0, len(x) - 1, min(len(x), SAMPLE)).long()
    with full_precision():
        if len(short):
            anybody = torch.full((len(short),), torch.inf, dtype=torch.float64)
            indices[short], squared = settling.look_again(0, short, anybody)
            distances[short] = _distances(squared, scanned)
        far = settling.interval(0, settling.distances(0, sample, indices[sample]), None)[1].amax(1)
        exact = settling.look_again(0, sample, far)[0]
    recall = (exact[:, :, None] == indices[sample, None]).any(2).double().mean().item()
    return KNNGraph(indices.to(x.device), distances.to(x.device), recall)
