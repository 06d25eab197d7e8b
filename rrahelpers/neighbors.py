"""k-nearest-neighbour graphs of features: exact, at one scale or at all pooling scales of a feature map at once.

A sample is left out of its own neighbours by its index, never by its place in the result: duplicates exist. Ties go
to the lower index. The mathematics of the exact search is explained in :mod:`rrahelpers._exact_neighbors`.

**Past one machine.** The block pairs of the distance matrix are independent jobs. ``knn_graph`` takes anything with the
interface of :class:`concurrent.futures.Executor` and sends each pair of blocks (raw rows, at most a part of ``memory``
at a time) to a worker, which answers with the few candidates of each row; the candidates are settled here.
A Dask cluster runs it unchanged: ``knn_graph(x, 10, executor=Client(address).get_executor())``. A block of b rows costs
b times as much arithmetic as transfer, so give a cluster more ``memory`` (larger blocks) than a single machine needs.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch

from rrahelpers._exact_neighbors import Search, Source, work_dtype

SCALES = (1, 2, 4, 8, "global")  # the STAC paper's, section 3
MEMORY = 2 * 2**30  # bytes


@dataclass(frozen=True, eq=False)
class KNNGraph:
    """The k nearest neighbours of N samples: ``indices`` int64 [N, k], ``distances`` float32 [N, k], nearest first."""

    indices: torch.Tensor
    distances: torch.Tensor

    def __post_init__(self):
        if self.indices.ndim != 2 or self.indices.shape != self.distances.shape:
            raise ValueError(f"expected indices and distances [N, k] of one shape, got {tuple(self.indices.shape)} "
                             f"and {tuple(self.distances.shape)}")
        if self.indices.dtype != torch.int64 or self.distances.dtype != torch.float32:
            raise TypeError(f"expected int64 indices and float32 distances, got {self.indices.dtype} and {self.distances.dtype}")

    def __len__(self):
        return len(self.indices)

    @property
    def k(self):
        return self.indices.shape[1]


def knn_graph(x, k, *, metric="euclidean", method="exact", memory=MEMORY, executor=None, seed=0):
    """The k nearest neighbours of each sample.

    Parameters
    ----------
    x: [N, D], or [N, …] which is flattened: a tensor on any device, an array, or a ``numpy.memmap``, read in parts.
    k: neighbours of each sample, 1 <= k < N.
    metric: "euclidean", or "cosine" (1 - cos; samples of norm zero are refused).
    method: "exact", or "pynndescent" (approximate; needs pynndescent; ``seed`` is its random state).
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
    x = _tensor(x)
    if x.ndim < 2:
        raise ValueError(f"expected features [N, D] or [N, ...], got shape {tuple(x.shape)}")
    _check(x, k, memory)
    if executor is not None and method != "exact":
        raise ValueError(f"an executor runs the exact method only, got method={method!r}")
    x = x.reshape(len(x), -1, 1, 1)
    scan = _scan(x, cosine=metric == "cosine")
    if method == "pynndescent":
        return _pynndescent(x, k, metric, seed, scan, memory)
    return _graphs(x, [(1, 1)], k, scan, memory, executor)[(1, 1)]


def pyramid_graphs(feature_map, scales=SCALES, k=10, *, memory=MEMORY):
    """The k nearest neighbours at several pooling scales, for little more than the price of the finest.

    Parameters
    ----------
    feature_map: [N, C, H, W], as ``x`` of :func:`knn_graph`; [N, D] counts as a map of one pixel.
    scales: average-pooling windows in pixels, not overlapping: whole numbers that divide H and W, or "global". Windows
        that divide one another share their arithmetic; others are searched apart.
    k, memory: as for :func:`knn_graph`.

    Returns {scale: :class:`KNNGraph`} in the order of ``scales``; distances are Euclidean, between the pooled maps.
    Raises as :func:`knn_graph`, and ``ValueError`` for a window that doesn't divide the map.
    """
    x = _tensor(feature_map)
    x = x[:, :, None, None] if x.ndim == 2 else x
    if x.ndim != 4:
        raise ValueError(f"expected a feature map [N, C, H, W] or features [N, D], got shape {tuple(x.shape)}")
    _check(x, k, memory)
    windows = {scale: _window(scale, tuple(x.shape[2:])) for scale in scales}
    if not windows:
        raise ValueError("expected at least one scale, got none")
    scan, found = _scan(x), {}
    for chain in _chains(set(windows.values())):
        found |= _graphs(x, chain, k, scan, memory)
    return {scale: found[window] for scale, window in windows.items()}


def _tensor(x):
    if isinstance(x, np.ndarray):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a read-only map: nothing here writes to it
            x = torch.from_numpy(np.asarray(x))
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"expected a tensor or a numpy array, got {type(x).__name__}")
    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"expected real numbers, got {x.dtype}")
    return x.detach()


def _check(x, k, memory):
    if x.numel() == 0:
        raise ValueError(f"expected at least one sample and one feature, got shape {tuple(x.shape)}")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"expected a whole number k, got {k!r}")
    if not 1 <= k < len(x):
        raise ValueError(f"expected 1 <= k < {len(x)} (the number of samples), got k={k}")
    if memory < 2**20:
        raise ValueError(f"expected memory of at least 2**20 bytes, got {memory}")


def _window(scale, size):
    """The pooling window (h, w) of a scale on a map of ``size`` (H, W)."""
    if scale == "global":
        return size
    if isinstance(scale, bool) or not isinstance(scale, (int, np.integer)) or scale < 1:
        raise ValueError(f"expected scales that are whole numbers from 1 on, or 'global', got {scale!r}")
    if size == (1, 1) and scale == 1:
        return size
    if scale > min(size) or size[0] % scale or size[1] % scale:
        raise ValueError(f"a pooling window of {scale} x {scale} does not divide a map of {size[0]} x {size[1]}; "
                         "expected a divisor of both sides, or 'global'")
    return int(scale), int(scale)


def _chains(windows):
    """Windows in as few lists as a greedy walk needs, coarsest first, each a multiple of the next in its list."""
    chains = []
    for h, w in sorted(windows, key=lambda window: (-window[0] * window[1], window)):
        chain = next((c for c in chains if c[-1][0] % h == 0 and c[-1][1] % w == 0), None)
        if chain is None:
            chains.append(chain := [])
        chain.append((h, w))
    return chains


@dataclass
class _Scan:
    """What one pass over the features tells."""

    mean: torch.Tensor  # [C, H, W], of the centring
    unit: float  # a power of two that brings all values to about 1
    factor: torch.Tensor | None  # cosine: float64 [N], 1 / norm
    codes: torch.Tensor  # int64 [N]: equal for equal rows


def _scan(x, cosine=False):
    values = x[0].numel()
    odd = torch.randint(2**31, (values,), generator=torch.Generator().manual_seed(0)).to(x.device) | 1
    total = torch.zeros(x.shape[1:], dtype=torch.float64, device=x.device)
    lowest, highest, codes, factor, bad = torch.inf, -torch.inf, [], [], {}
    step = max(1, 2**22 // (4 * values))
    for start in range(0, len(x), step):
        rows = x[start:start + step].to(work_dtype(x.dtype))
        flat = rows.flatten(1) + 0.0  # -0.0 becomes 0.0
        low, high = flat.aminmax()
        if not (low.isfinite() and high.isfinite()):
            bad |= {start + r: int(count) for r, count in enumerate((~flat.isfinite()).sum(1).tolist()) if count}
            continue
        if cosine:
            scale = flat.double().abs().amax(1, keepdim=True)
            if (zero := (scale[:, 0] == 0).nonzero()).numel():
                raise ValueError("cosine distance needs samples that aren't zero; "
                                 f"got a zero sample in row {start + int(zero[0])}")
            factor.append(1 / ((flat.double() / scale).norm(dim=1) * scale[:, 0]))
            flat = flat.double() * factor[-1][:, None]
            low, high = flat.aminmax()
        total += flat.sum(0, dtype=torch.float64).view(total.shape) / len(x)
        lowest, highest = min(lowest, low.item()), max(highest, high.item())
        bits = flat.view(torch.int32 if flat.dtype == torch.float32 else torch.int64)
        codes.append((bits * odd.to(bits.dtype)).sum(1, dtype=torch.int64))
    if bad:
        raise ValueError(f"expected finite features, got {sum(bad.values())} NaN or infinite values "
                         f"in {len(bad)} of {len(x)} rows, the first in row {min(bad)}")
    spread = highest / 2 - lowest / 2
    unit = 2.0 ** -np.clip(np.frexp(spread)[1], -120, 127) if spread > 0 else 1.0
    return _Scan(total, float(unit), torch.cat(factor) if cosine else None, torch.cat(codes))


def _graphs(x, windows, k, scan, memory, executor=None):
    """{window: KNNGraph} for one chain of windows. Equal rows are searched once: k candidates can't hold 1,000 copies."""
    source = Source(x, scan.factor)
    _, group = torch.unique(scan.codes, return_inverse=True)
    number = torch.arange(len(x), device=x.device)
    first = torch.full_like(number[:int(group.max()) + 1], len(x)).scatter_reduce_(0, group, number, "amin")
    copies = _equal_rows(source, first[group])
    if copies is None:
        results = Search(source, windows, k, scan, memory=memory, executor=executor).run()
    else:
        first, group = torch.unique(copies, return_inverse=True)  # ascending: group numbers follow the first of each
        some = min(k, len(first) - 1)
        nobody = first.new_zeros(len(first), 0)
        results = [(nobody, nobody.double())] * len(windows) if some == 0 else Search(
            replace(source, chosen=first), windows, some, scan, memory=memory, executor=executor).run()
        results = [_expand(*result, group, k) for result in results]
    graphs = {}
    for window, (indices, squared) in zip(windows, results):
        distances = (squared / (window[0] * window[1])).sqrt() / scan.unit
        graphs[window] = KNNGraph(indices, (distances.square() / 2 if scan.factor is not None else distances).float())
    return graphs


def _equal_rows(source, first):
    """For each row the first row equal to it, [N]; None where all rows differ. ``first`` is the guess to verify."""
    guess = (first != torch.arange(len(first), device=first.device)).nonzero()[:, 0]
    copies = torch.arange(len(first), device=first.device)
    for part in guess.split(max(1, 2**20 // source.x[0].numel())):
        same = (source.rows(part) == source.rows(first[part])).flatten(1).all(1)
        copies[part[same]] = first[part[same]]
    return copies if bool((copies != torch.arange(len(first), device=first.device)).any()) else None


def _expand(indices, squared, group, k):
    """From neighbours among distinct rows [M, <= k] to those of all rows [N, k]; ``group`` [N] says who is a copy of whom."""
    order = torch.argsort(group, stable=True)
    counts = torch.bincount(group)
    start = counts.cumsum(0) - counts
    out_indices = torch.empty(len(group), k, dtype=torch.int64, device=group.device)
    out_squared = torch.empty(len(group), k, dtype=torch.float64, device=group.device)
    for g in range(len(counts)):
        near = torch.cat([torch.tensor([g], device=group.device), indices[g]])
        d = torch.cat([squared.new_zeros(1), squared[g]])
        members = [order[start[h]:start[h] + min(int(counts[h]), k + 1)] for h in near]  # the lowest indices
        everyone, d = torch.cat(members), torch.cat([v.expand(len(m)) for v, m in zip(d, members)])
        by_index = everyone.argsort()
        best = by_index[d[by_index].argsort(dim=0, stable=True)][:k + 1]
        own = order[start[g]:start[g] + counts[g]]
        keep = everyone[best][None] != own[:, None]
        keep[keep.all(1), k] = False
        out_indices[own] = everyone[best].expand(keep.shape)[keep].view(-1, k)
        out_squared[own] = d[best].expand(keep.shape)[keep].view(-1, k)
    return out_indices, out_squared


def _pynndescent(x, k, metric, seed, scan, memory):
    """pynndescent's graph. Rows that it can't fill are searched exactly."""
    from pynndescent import NNDescent

    features = x.flatten(1).to("cpu", torch.float32).numpy()
    indices, distances = NNDescent(features, metric=metric, n_neighbors=min(k + 1, len(x)), random_state=seed).neighbor_graph
    keep = (indices != np.arange(len(x))[:, None]) & (indices >= 0)
    order = np.argsort(~keep, axis=1, kind="stable")[:, :k]
    short = torch.from_numpy(np.flatnonzero(keep.sum(1) < k))
    indices = torch.from_numpy(np.take_along_axis(indices, order, 1).astype(np.int64))
    distances = torch.from_numpy(np.take_along_axis(distances, order, 1).astype(np.float32))
    if len(short):
        search = Search(Source(x.cpu(), scan.factor), [(1, 1)], k, scan, memory=memory)
        bound = torch.full((len(short),), torch.inf, dtype=torch.float64)
        indices[short], squared = search.look_again(0, short, bound)
        d = squared.sqrt() / scan.unit
        distances[short] = (d.square() / 2 if metric == "cosine" else d).float()
    return KNNGraph(indices.to(x.device), distances.to(x.device))
