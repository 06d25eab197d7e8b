"""Separation and smoothness indices: how far nearest neighbours agree in what the network shall tell.

The part of Kalhor's slides at hand follows SI and SmI through the layers of a network and names SI^r, without defining
them; higher and soft order, the centre-based index and linear SmI are here what his published code computes (classes
Kalhor_SeparationIndex and Kalhor_SmoothnessIndex, 2023). SI of soft order r is the class similarity of the STAC paper
with r neighbours, and of order 1, soft or not, with one.

Others' names: SI of order 1 is Thornton's separability index (1998), and the accuracy of a nearest-neighbour classifier
on its own data, each sample left out; the centre-based index is the accuracy of the nearest-centroid classifier on the
data that the centres are of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import torch

from rrahelpers.base.arrays import as_features, as_targets, as_values, check_labels, distance_blocks, is_whole
from rrahelpers.neighbors import KNNGraph, check_graph

if TYPE_CHECKING:
    from rrahelpers.base.shapes import Features, Integers, Labels, Targets


def separation_index(graph: KNNGraph, labels: Labels, order: int = 1, *, soft: bool = False) -> float:
    """SI^order: the share of samples whose first ``order`` neighbours all have their label, in [0, 1].

    Parameters
    ----------
    graph: a :class:`rrahelpers.neighbors.KNNGraph` over N samples.
    labels: integers [N].
    order: neighbours to look at, 1 <= order <= graph.k.
    soft: count the share of those neighbours instead of all or nothing: class similarity with so many neighbours, and
        the label overlap of Doimo et al. (2020).

    It never rises with the order, unless soft; with one class it is 1. Raises ``ValueError`` for an order out of range
    and labels of another length, ``TypeError`` for labels that are no integers.
    """
    return _separated(graph, labels, order, soft).mean().item()


def separation_by_class(graph: KNNGraph, labels: Labels, order: int = 1, *, soft: bool = False) -> pd.DataFrame:
    """:func:`separation_index` of the samples of each class: a table with class, samples, value."""
    return _by_class(_separated(graph, labels, order, soft), labels)


def separation_orders(graph: KNNGraph, labels: Labels) -> list[float]:
    """:func:`separation_index` of all orders from 1 to k at once: a list of k numbers."""
    return _agreement(graph, labels).cumprod(1).mean(0).tolist()


def center_separation_index(x: Features, labels: Labels) -> float:
    """The share of samples whose nearest class centre (mean of the class) is that of their own class, in [0, 1].

    ``x``: [N, D], or [N, ...] which is flattened; ``labels``: integers [N]. Ties go to the lower class. Raises as
    :func:`rrahelpers.base.arrays.as_features` and :func:`rrahelpers.base.arrays.check_labels`.
    """
    return _center_separated(x, labels).mean().item()


def center_separation_by_class(x: Features, labels: Labels) -> pd.DataFrame:
    """:func:`center_separation_index` of the samples of each class: a table with class, samples, value."""
    return _by_class(_center_separated(x, labels), labels)


def smoothness_index(graph: KNNGraph, targets: Targets, order: int = 1, *, soft: bool = False) -> float:
    """SmI^order (linear): how near the first neighbours' targets are, between the farthest (0) and the nearest (1).

    For the j-th neighbour nn of x_i the score is (‖y_i - y_far‖ - ‖y_i - y_nn‖) / (‖y_i - y_far‖ - ‖y_i - y_near‖), at
    most 1, where near and far are the other samples with the j-th nearest and the farthest target. A sample counts with
    its worst score, and the index is the mean over samples: of order 1 that of the slides, of higher order what
    Kalhor's published code computes. Where near is as far as far the score is 1.

    ``graph``: over N samples; ``targets``: real numbers [N] or [N, Q]; ``order``: 1 <= order <= graph.k. ``soft``: take
    the mean of a sample's scores. It never rises with the order, unless soft. Raises ``TypeError`` for integer targets,
    ``ValueError`` for an order out of range and for targets of another length, NaN or infinite ones.
    """
    scores = _smoothness(graph, targets, _check_order(graph, order))
    return (scores.mean(1) if soft else scores.amin(1)).mean().item()


def smoothness_orders(graph: KNNGraph, targets: Targets) -> list[float]:
    """:func:`smoothness_index` of all orders from 1 to k at once: a list of k numbers."""
    return _smoothness(graph, targets, check_graph(graph).k).cummin(1).values.mean(0).tolist()


def confidence(graph: KNNGraph, targets: Targets) -> float:
    """The slides' confidence of a prediction by the nearest neighbour: how far it is right on the data themselves.

    SI for labels (integers [N]), SmI for real targets ([N] or [N, Q]); raises as these.
    """
    return scorer(targets, len(check_graph(graph)))(graph.indices[:, 0])


def scorer(targets: Targets, n: int) -> Callable[[Integers], float]:
    """A function from the nearest neighbours (int64 [n]) of ``n`` samples to SI, or to SmI where targets are real.

    What depends on the targets alone is computed once: for SmI n² distances.
    """
    targets = as_values(targets, "expected labels (integers) or targets (real numbers)")
    if not targets.is_floating_point():
        labels = check_labels(targets, n)
        return lambda nearest: (labels[nearest.to(labels.device)] == labels).double().mean().item()
    y = as_targets(targets, n)
    near, far = y.new_empty(n), y.new_empty(n)
    for rows, distances in distance_blocks(y, y):
        far[rows] = distances.amax(1)
        distances.diagonal(rows.start).fill_(torch.inf)  # not the sample itself
        near[rows] = distances.amin(1)
    span = far - near

    def smoothness(nearest):
        gap = (y - y[nearest.to(y.device)]).norm(dim=1)
        return torch.where(span > 0, (far - gap) / span, 1.0).clamp(0, 1).mean().item()

    return smoothness


def _smoothness(graph, targets, order):
    """Scores of the first neighbours, float64 [N, order]."""
    y = as_targets(targets, len(check_graph(graph)))
    near, gap, far = y.new_empty(len(y), order), y.new_empty(len(y), order), y.new_empty(len(y), 1)
    neighbours = graph.indices[:, :order].to(y.device)
    for rows, distances in distance_blocks(y, y):
        far[rows] = distances.amax(1, keepdim=True)
        gap[rows] = distances.gather(1, neighbours[rows])
        distances.diagonal(rows.start).fill_(torch.inf)  # not the sample itself
        near[rows] = distances.topk(order, largest=False).values
    return torch.where(far > near, (far - gap) / (far - near), 1.0).clamp(0, 1)


def _check_order(graph, order):
    if not is_whole(order) or order > check_graph(graph).k:
        raise ValueError(f"expected an order from 1 to {graph.k} (the graph's neighbours), got {order!r}")
    return order


def _agreement(graph, labels):
    labels = check_labels(labels, len(check_graph(graph))).to(graph.indices.device)
    return (labels[graph.indices] == labels[:, None]).double()


def _separated(graph, labels, order, soft):
    agreement = _agreement(graph, labels)[:, :_check_order(graph, order)]
    return agreement.mean(1) if soft else agreement.prod(1)


def _center_separated(x, labels):
    x = as_features(x)
    classes, place = check_labels(labels, len(x)).to(x.device).unique(return_inverse=True)
    sums = torch.zeros(len(classes), x.shape[1], dtype=torch.float64, device=x.device).index_add_(0, place, x.double())
    centres = sums / place.bincount()[:, None]
    nearest = torch.cat([distances.argmin(1) for _, distances in distance_blocks(x, centres)])
    return (nearest == place).double()


def _by_class(values, labels):
    table = pd.DataFrame({"class": check_labels(labels, len(values)).cpu().numpy(), "value": values.cpu().numpy()})
    return table.groupby("class").value.agg(samples="size", value="mean").reset_index()
