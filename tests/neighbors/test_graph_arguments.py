"""What is no graph, where one is expected, is named."""

import pytest
import torch

from rrahelpers.class_similarity import class_similarity
from rrahelpers.intrinsic_dimension import two_nn
from rrahelpers.neighbors import knn_graph
from rrahelpers.representational_response import across_scales, representational_response
from rrahelpers.separation import (
    confidence,
    guarantee,
    separation_by_class,
    separation_index,
    separation_orders,
    smoothness_index,
    smoothness_orders,
)
from rrahelpers.topology import births_and_deaths, kept, nntp, nnts, nnts_matrix, nnts_per_sample

LABELS = torch.arange(6) % 2
GRAPH = knn_graph(torch.rand(6, 2), 2)


@pytest.mark.parametrize("call", [
    lambda: class_similarity(5, LABELS), lambda: two_nn(5), lambda: separation_index(5, LABELS),
    lambda: separation_by_class(5, LABELS), lambda: separation_orders(5, LABELS), lambda: smoothness_index(5, LABELS),
    lambda: smoothness_orders(5, LABELS), lambda: confidence(5, LABELS), lambda: kept(GRAPH, 5), lambda: nnts(5, GRAPH),
    lambda: nnts_per_sample(GRAPH, 5), lambda: nnts_matrix([5]), lambda: nnts_matrix([GRAPH], [5]), lambda: nntp([5]),
    lambda: births_and_deaths([GRAPH, 5]),
])
def test_graphs(call):
    with pytest.raises(TypeError, match="expected a KNNGraph, as knn_graph answers, got int"):
        call()


def test_margins_and_layers_graphs():
    with pytest.raises(TypeError, match="expected Margins, .* got int"):
        guarantee(5, 0.1)
    for call in (lambda: representational_response([GRAPH], LABELS), lambda: across_scales([GRAPH])):
        with pytest.raises(TypeError, match=r"expected LayerGraphs, .* got \['KNNGraph'\]"):
            call()
