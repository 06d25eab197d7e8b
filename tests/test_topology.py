"""NNTS, NNTP, births and deaths against sets written out."""

import numpy as np
import pytest
import torch
from torch import nn

from rrahelpers.neighbors import KNNGraph, knn_graph
from rrahelpers.topology import births_and_deaths, cohorts, nntp, nnts, nnts_matrix, nnts_per_sample


def graph_of(rows):
    return KNNGraph(torch.tensor(rows), torch.zeros(len(rows), len(rows[0])))


def random_graphs(count, n=40, k=5):
    """Graphs that have some edges in common: of features that drift."""
    x = torch.randn(n, 3)
    return [knn_graph(x + step * 0.3 * torch.randn(n, 3), k) for step in range(count)]


def edges(graph):
    return {(n, m) for n, row in enumerate(graph.indices.tolist()) for m in row}


A = graph_of([[1, 2], [0, 2], [3, 0], [2, 1]])
B = graph_of([[2, 3], [2, 0], [3, 0], [0, 1]])
C = graph_of([[2, 1], [3, 2], [1, 3], [0, 2]])
LABELS = torch.tensor([0, 0, 1, 1])


def test_a_case_worked_by_hand():
    assert nnts(A, B) == 6 / 8  # sample 0 keeps 2, sample 3 keeps 1, the others keep both
    assert nnts_per_sample(A, B).tolist() == [0.5, 1, 1, 0.5]
    # of A's eight edges 02 10 12 23 20 31 are in B too; of these 02 12 23 are in C
    assert nntp([A, B, C]).set_index(["i", "j"]).value.to_dict() == {
        (0, 0): 1, (0, 1): 6 / 8, (0, 2): 3 / 8, (1, 1): 1, (1, 2): 4 / 8, (2, 2): 1}
    table = births_and_deaths([A, B], LABELS)
    assert list(table.columns) == ["i", "j", "event", "neighbour", "count", "share"]
    assert table.set_index(["event", "neighbour"])["count"].to_dict() == {
        ("kept", "same class"): 2, ("kept", "other class"): 4,  # 10 23; 02 12 20 31
        ("birth", "same class"): 0, ("birth", "other class"): 2,  # 03 30
        ("death", "same class"): 2, ("death", "other class"): 0}  # 01 32
    assert (table.share == table["count"] / 8).all()


def test_against_sets():
    graphs, labels = random_graphs(4), torch.randint(0, 3, (40,))
    sets = [edges(graph) for graph in graphs]
    total = len(sets[0])
    for i, j, value in nnts_matrix(graphs).itertuples(index=False):
        assert value == pytest.approx(len(sets[i] & sets[j]) / total)
    persistence = nntp(graphs)
    for i, j, value in persistence.itertuples(index=False):
        assert value == pytest.approx(len(set.intersection(*sets[i:j + 1])) / total)
    for row in births_and_deaths(graphs, labels).itertuples():
        a, b = sets[row.i], sets[row.j]
        chosen = {"kept": a & b, "birth": b - a, "death": a - b}[row.event]
        same = {(n, m) for n, m in chosen if labels[n] == labels[m]}
        assert row.count == len(same if row.neighbour == "same class" else chosen - same)
    for born, layer, share in cohorts(persistence).itertuples(index=False):
        alive = set.intersection(*sets[born:layer + 1]) - (sets[born - 1] if born else set())
        assert share == pytest.approx(len(alive) / total)


def test_bounds_and_monotony():
    graphs = random_graphs(5)
    matrix = nnts_matrix(graphs).pivot(index="i", columns="j", values="value").to_numpy()
    assert (np.diag(matrix) == 1).all() and (matrix == matrix.T).all() and (matrix >= 0).all() and (matrix <= 1).all()
    persistence = nntp(graphs).pivot(index="i", columns="j", values="value")
    for i in range(5):
        assert (np.diff(persistence.loc[i, i:]) <= 0).all()
    flow = births_and_deaths(graphs)
    assert set(flow.neighbour) == {"any"}
    counts = flow.pivot(index="i", columns="event", values="count")
    assert (counts.birth == counts.death).all() and (counts.kept + counts.death == 40 * 5).all()
    shares = cohorts(nntp(graphs))
    assert shares.share.min() >= 0
    np.testing.assert_allclose(shares.groupby("layer").share.sum(), 1)


def test_cohorts_of_layers_whose_numbers_have_gaps():
    persistence = nntp(random_graphs(4))
    spread = persistence.assign(i=3 * persistence.i + 2, j=3 * persistence.j + 2)
    assert cohorts(spread).share.tolist() == cohorts(persistence).share.tolist()


def test_the_order_of_neighbours_does_not_matter():
    a, b = random_graphs(2)
    assert nnts(a, KNNGraph(a.indices.flip(1), a.distances)) == 1
    assert nnts(a, KNNGraph(b.indices.flip(1), b.distances)) == nnts(a, b)


def test_rotation_and_scaling_leave_neighbours():
    x = torch.randn(200, 8, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64)).Q
    assert nnts(knn_graph(x, 6), knn_graph(37 * x @ rotation + 4, 6)) == 1


def test_random_graphs_agree_by_chance():
    k, n = 10, 500
    a, b = (knn_graph(torch.randn(n, 2), k) for _ in range(2))
    assert nnts(a, b) == pytest.approx(k / (n - 1), rel=0.25)


def test_two_networks():
    first, second = random_graphs(2), random_graphs(3)
    table = nnts_matrix(first, iter(second))
    assert len(table) == 6
    assert table.set_index(["i", "j"]).value[1, 2] == nnts(first[1], second[2])


@pytest.mark.parametrize("call, message", [
    (lambda: nnts(A, graph_of([[1], [0], [3], [2]])), "N=4, k=2 and N=4, k=1"),
    (lambda: nntp([A, graph_of([[1, 2], [0, 2], [0, 1]])]), "N=4, k=2 and N=3, k=2"),
    (lambda: nntp([]), "at least 1 graph, got 0"),
    (lambda: births_and_deaths([A]), "at least 2 graphs, got 1"),
    (lambda: births_and_deaths([A, B], torch.zeros(3, dtype=torch.int64)), r"4 samples.*\(3,\)"),
])
def test_graphs_that_do_not_match_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_identity_layer_keeps_all_neighbours():
    from rrahelpers.features import extract

    model = nn.Sequential(nn.Identity(), nn.Conv2d(1, 2, 3))
    found = extract(model, torch.randn(30, 1, 6, 6), ["input", "0", "1"])
    first, same, other = (knn_graph(x, 4) for x in found.values())
    assert nnts(first, same) == 1
    assert 0 < nnts(first, other) < 1
