"""The neighbour graphs against brute force in float64, on ordinary and on adversarial data."""

import json
import subprocess
import sys
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rrahelpers.neighbors import KNNGraph, bands, candidates, knn_graph, pyramid_graphs, settling, tiles
from rrahelpers.neighbors.rows import Source, scan
from tests.neighbors.truth import ADVERSARIAL, brute_force, check, normal


@pytest.fixture
def maps():
    """Maps [120, 3, 12, 12] with structure at every scale."""
    return sum(F.interpolate(normal(120, 3, s, s, seed=s), 12) for s in (1, 3, 6, 12))


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_exact_on_adversarial_data(name):
    x = ADVERSARIAL[name]
    check(knn_graph(x, 5), x, 5)


@pytest.mark.parametrize("bfloat16", [True, False])
def test_both_precisions_are_exact(maps, monkeypatch, bfloat16):
    monkeypatch.setattr(candidates, "bfloat16_pays", lambda device: bfloat16)
    monkeypatch.setattr(candidates, "rounding_pays", lambda *given: True)
    monkeypatch.setattr(candidates, "MANY", 0)
    for module in (bands, candidates):
        monkeypatch.setattr(module, "WIDE", 8)  # coordinates from which a band is rounded
    for x in (maps, ADVERSARIAL["tiny differences"], ADVERSARIAL["duplicates"], ADVERSARIAL["near ties"]):
        check(knn_graph(x, 4), x, 4)


@pytest.mark.parametrize("bfloat16", [True, False])
def test_the_lower_bounds_hold_and_are_of_use(maps, monkeypatch, bfloat16):
    """Every lower bound lies below the true squared distance; for ordinary data by less than a few percent."""
    monkeypatch.setattr(bands, "WIDE", 8)
    for x, useful in ((maps, True), (100 * torch.exp(3 * normal(60, 3, 12, 12)), False), (maps + 1e4, True)):
        windows = [(12, 12), (6, 6), (3, 3), (1, 1)]
        plan = bands.Plan(windows, x.double().mean(0), 2.0**-6, bfloat16, len(x) - 1, 64)
        block = bands.Block(Source(x), plan)
        for (h, w), ((low, index),) in zip(windows, tiles.pair_candidates(block, block, plan)):
            z = F.avg_pool2d((x.double() - x.double().mean(0)) * plan.unit, (h, w)).flatten(1) * (h * w)**0.5
            true = torch.stack([(z - row).square().sum(1) for row in z]).gather(1, index)
            assert (low <= true).all()
            if useful:
                assert ((true - low) <= 0.04 * true.median()).all()


def test_the_bands_keep_distances(maps):
    windows = [(12, 12), (6, 6), (3, 3), (1, 1)]
    z = maps.double()
    _, parts = bands.decompose(z, windows)
    assert sum(band.shape[1] for band in parts) == 3 * 144
    for i, window in enumerate(windows):
        pooled = F.avg_pool2d(z, window).flatten(1)
        so_far = torch.cat(parts[:i + 1], 1)
        torch.testing.assert_close(F.pdist(so_far), F.pdist(pooled) * window[0])


def test_every_scale_of_a_pyramid(maps):
    scales = (1, 2, 3, 4, 6, 12, "global")  # 2 and 3 are not nested
    graphs = pyramid_graphs(maps, scales, 6)
    assert list(graphs) == list(scales)
    for scale, graph in graphs.items():
        check(graph, F.avg_pool2d(maps.double(), 12 if scale == "global" else scale), 6)
    assert torch.equal(graphs[12].indices, graphs["global"].indices)


def test_a_pyramid_without_its_finest_scale_and_of_an_oblong_map():
    x = normal(60, 4, 4, 8)
    graphs = pyramid_graphs(x, (2, "global"), 3)
    check(graphs[2], F.avg_pool2d(x.double(), 2), 3)
    check(graphs["global"], x.double().mean((2, 3)), 3)


def test_pooled_copies_and_large_norms_with_tiny_differences():
    """Maps that differ, whose pooled maps are equal or differ by less than float32 holds of them."""
    x = 1000 * normal(40, 2, 1, 1).expand(40, 2, 4, 4).repeat(3, 1, 1, 1) + 0
    x[:, :, ::2] += torch.arange(120.0)[:, None, None, None] / 2**12
    x[:, :, 1::2] -= torch.arange(120.0)[:, None, None, None] / 2**12
    for scale, graph in pyramid_graphs(x, (1, 2, "global"), 4).items():
        check(graph, F.avg_pool2d(x.double(), 4 if scale == "global" else scale), 4)


def test_features_count_as_a_map_of_one_pixel():
    x = normal(50, 9)
    graphs = pyramid_graphs(x, (1, "global"), 3)
    check(graphs[1], x, 3)
    check(graphs["global"], x, 3)
    with pytest.raises(ValueError, match="2 x 2 does not divide a map of 1 x 1"):
        pyramid_graphs(x, (2,), 3)


@pytest.mark.parametrize("k", [1, 29])
def test_smallest_and_largest_k(k):
    for x in (normal(30, 5), torch.ones(30, 5)):
        check(knn_graph(x, k), x, k)


@pytest.mark.parametrize("factor", [1e-150, 1e-30, 1e30])
def test_any_unit_of_measurement_in_float64(factor):
    x = normal(40, 5).double()
    graph, scaled = knn_graph(x, 3), knn_graph(x * factor, 3)
    assert torch.equal(graph.indices, scaled.indices)
    torch.testing.assert_close(scaled.distances, (graph.distances * factor).float())


def test_unsigned_integers_keep_their_digits():
    x = np.array([[2**30 + 7], [2**30], [2**30 + 8]], np.uint32)
    assert knn_graph(x, 1).indices[:, 0].tolist() == [2, 0, 0]


SETTINGS = ("torch.backends.cuda.matmul.allow_tf32 = True", "torch.set_float32_matmul_precision('high')",
            "torch.backends.fp32_precision = 'tf32'", "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'", "")


@pytest.mark.parametrize("setting", SETTINGS)
def test_any_precision_of_products_is_worked_with_and_kept(setting):
    program = f"""
import torch
from rrahelpers.neighbors import bands
{setting}
backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
before = [backend.fp32_precision for backend in backends]
with bands.full_precision():
    assert [backend.fp32_precision for backend in backends] == ["ieee"] * 2
assert [backend.fp32_precision for backend in backends] == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_case_worked_by_hand():
    graph = knn_graph(torch.tensor([[0.0], [1.0], [3.0], [1.0]]), 2)
    assert graph.indices.tolist() == [[1, 3], [3, 0], [1, 3], [1, 0]]
    assert graph.distances.tolist() == [[1, 1], [0, 1], [2, 2], [0, 1]]
    assert len(graph) == 4 and graph.k == 2


def test_cosine():
    x = normal(100, 12) * torch.logspace(-3, 3, 100)[:, None]
    unit = x.double() / x.double().norm(dim=1, keepdim=True)
    indices, distances = brute_force(unit, 6)
    graph = knn_graph(x, 6, metric="cosine")
    assert torch.equal(graph.indices, indices)
    torch.testing.assert_close(graph.distances.double(), distances.square() / 2, rtol=2e-6, atol=0)
    x[7] = 0
    with pytest.raises(ValueError, match="zero sample in row 7"):
        knn_graph(x, 6, metric="cosine")


def test_scikit_learn_agrees():
    neighbours = pytest.importorskip("sklearn.neighbors")
    x = normal(200, 20)
    brute = neighbours.NearestNeighbors(n_neighbors=8, algorithm="brute")
    distances, indices = brute.fit(x.double().numpy()).kneighbors()
    graph = knn_graph(x.numpy(), 8)
    np.testing.assert_array_equal(graph.indices, indices)
    np.testing.assert_allclose(graph.distances, distances, rtol=1e-5)


def test_little_memory_a_memory_map_and_deterministic(tmp_path, monkeypatch):
    x = normal(260, 16, 8, 8)
    np.save(tmp_path / "x.npy", x.numpy())
    sizes = []
    encode = candidates.Search.encode
    monkeypatch.setattr(candidates.Search, "encode", lambda self, *a: sizes.append(self.block) or encode(self, *a))
    for memory in (2**20, 2.0**21, 2**31):
        graphs = pyramid_graphs(np.load(tmp_path / "x.npy", mmap_mode="r"), (1, 2, "global"), 5, memory=memory)
        for scale, graph in graphs.items():
            check(graph, F.avg_pool2d(x.double(), 8 if scale == "global" else scale), 5)
    assert min(sizes) < 200 and max(sizes) == 260  # small blocks were used, and one for all


def test_too_few_candidates_are_found_out(monkeypatch):
    """With bounds that say little, rows are looked at again, and the answer stays exact."""
    calls = []
    again = settling.Settling.look_again
    monkeypatch.setattr(settling.Settling, "look_again", lambda self, *a: calls.append(1) or again(self, *a))
    x = ADVERSARIAL["near ties"]
    check(knn_graph(x, 3), x, 3)
    assert calls


def test_rounding_only_where_it_leaves_few_rows_open(monkeypatch):
    """Orthogonal rows of nearly one length have nearly one distance, clusters have not; both answers are exact."""
    plans = []
    settle = settling.Settling.run
    monkeypatch.setattr(settling.Settling, "run", lambda self, kept: plans.append(self.plan) or settle(self, kept))
    monkeypatch.setattr(candidates, "bfloat16_pays", lambda device: True)
    monkeypatch.setattr(candidates, "MANY", 0)
    alike = torch.linalg.qr(normal(4096, 200))[0].T * (1 + 1e-3
                                                       * torch.rand(200, 1, generator=torch.Generator().manual_seed(0)))
    clusters = 10 * normal(20, 4096, seed=1).repeat(10, 1) + normal(200, 4096)
    for x in (alike, clusters):
        check(knn_graph(x, 3), x, 3)
    assert [plan.bfloat16 for plan in plans] == [False, True]


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_cores_gives_one_answer_and_keeps_torch_s_setting(maps, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        check(pyramid_graphs(maps, (2,), 5)[2], F.avg_pool2d(maps.double(), 2), 5)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_the_first_neighbours_are_the_graph_of_a_smaller_k():
    graph = knn_graph(normal(40, 5), 9)
    first, direct = graph.first(4), knn_graph(normal(40, 5), 4)
    assert torch.equal(first.indices, direct.indices) and torch.equal(first.distances, direct.distances)
    for k in (0, 10):
        with pytest.raises(ValueError, match=f"expected k from 1 to 9 .*, got {k}"):
            graph.first(k)


class Recorder:
    """An executor that runs a job at once and counts."""

    def __init__(self):
        self.jobs = 0

    def submit(self, f, *args):
        self.jobs += 1
        future = Future()
        future.set_result(f(*args))
        return future


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_an_executor_gives_the_same(metric):
    executor, x = Recorder(), torch.cat([normal(400, 30), normal(20, 30).repeat(2, 1)])
    graph, serial = knn_graph(x, 5, metric=metric, executor=executor), knn_graph(x, 5, metric=metric)
    assert executor.jobs == 21  # pairs of 6 blocks
    assert torch.equal(graph.indices, serial.indices) and torch.equal(graph.distances, serial.distances)


PROGRAM = """
import json, torch
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from rrahelpers.neighbors import knn_graph

if __name__ == "__main__":
    x = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        print(json.dumps(knn_graph(x, 4, executor=executor).indices.tolist()))
"""


def test_two_processes(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    out = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, encoding="utf-8", check=True)
    assert json.loads(out.stdout) == knn_graph(normal(300, 20), 4).indices.tolist()


def test_a_dask_cluster():
    distributed = pytest.importorskip("distributed")
    x = normal(300, 20)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster) as client:
        graph = knn_graph(x, 4, executor=client.get_executor())
    check(graph, x, 4)


def test_pynndescent():
    pytest.importorskip("pynndescent")
    x = normal(600, 10)
    graph, exact = knn_graph(x, 10, method="pynndescent", seed=1), knn_graph(x, 10)
    found = (graph.indices[:, :, None] == exact.indices[:, None]).any(2).float().mean()
    assert 0.9 < found <= 1 and abs(graph.recall - found) < 0.05 and exact.recall == 1
    assert torch.equal(graph.indices, knn_graph(x, 10, method="pynndescent", seed=1).indices)
    copies = torch.cat([x[:100]] * 3 + [torch.zeros(60, 10)])
    graph = knn_graph(copies, 5, method="pynndescent")
    assert (graph.indices != torch.arange(360)[:, None]).all() and (graph.indices >= 0).all()
    assert all(len(set(row)) == 5 for row in graph.indices.tolist())


def with_value(value):
    x = torch.zeros(20, 3)
    x[4, 1] = x[9, 0] = x[9, 2] = value
    return x


@pytest.mark.parametrize("x, k, options, error, message", [
    (with_value(torch.nan), 3, {}, ValueError, "3 NaN or infinite values in 2 of 20 rows, the first in row 4"),
    (with_value(torch.inf), 3, {}, ValueError, "3 NaN or infinite"),
    (torch.zeros(20, 3), 0, {}, ValueError, "1 <= k < 20 .* got k=0"),
    (torch.zeros(20, 3), 20, {}, ValueError, "1 <= k < 20 .* got k=20"),
    (torch.zeros(20, 3), 2.5, {}, TypeError, "whole number k, got 2.5"),
    (torch.tensor([[3e38], [-3e38], [1e38]]), 1, {}, ValueError,
     r"at most 3.4e\+38 apart .*, got -3.0e\+38 to 3.0e\+38"),
    (np.array([[1e308], [-1.5e308], [0]]), 1, {}, ValueError,
     r"at most 3.4e\+38 apart .*, got -1.5e\+308 to 1.0e\+308"),
    (torch.zeros(20), 3, {}, ValueError, r"\[N, D\].*got shape \(20,\)"),
    (torch.zeros(0, 3), 3, {}, ValueError, r"at least one sample.*\(0, 3\)"),
    (torch.zeros(20, 0), 3, {}, ValueError, r"one feature.*\(20, 0\)"),
    ([[1.0]], 3, {}, TypeError, "got list"),
    (torch.zeros(20, 3, dtype=torch.complex64), 3, {}, TypeError, "real numbers, got torch.complex64"),
    (torch.zeros(20, 3), 3, {"metric": "manhattan"}, ValueError, "'manhattan'; expected 'euclidean' or 'cosine'"),
    (torch.zeros(20, 3), 3, {"method": "lsh"}, ValueError, "'lsh'; expected 'exact' or 'pynndescent'"),
    (torch.zeros(20, 3), 3, {"memory": 100}, ValueError, "memory .* got 100"),
    (torch.zeros(20, 3), 3, {"method": "pynndescent", "executor": 1}, ValueError, "exact method only"),
])
def test_bad_input(x, k, options, error, message):
    with pytest.raises(error, match=message):
        knn_graph(x, k, **options)


@pytest.mark.parametrize("shape, scales, message", [
    ((20, 2, 6, 6), (4,), "4 x 4 does not divide a map of 6 x 6"),
    ((20, 2, 6, 6), (1, 12), "12 x 12 does not divide a map of 6 x 6"),
    ((20, 2, 6, 4), (3,), "3 x 3 does not divide a map of 6 x 4"),
    ((20, 2, 6, 6), (0,), "got 0"),
    ((20, 2, 6, 6), ("all",), "got 'all'"),
    ((20, 2, 6, 6), (), "at least one scale"),
    ((20, 2, 6), (4,), "4 x 1 does not divide a map of 6 x 1"),
    ((20, 2, 6, 6, 6), (1,), r"got shape \(20, 2, 6, 6, 6\)"),
])
def test_bad_scales(shape, scales, message):
    with pytest.raises(ValueError, match=message):
        pyramid_graphs(torch.zeros(shape), scales, 3)


def test_a_graph_checks_its_form():
    with pytest.raises(ValueError, match="of one shape"):
        KNNGraph(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 1))
    with pytest.raises(TypeError, match="int64 indices"):
        KNNGraph(torch.zeros(3, 2), torch.zeros(3, 2))


def test_a_search_of_hours_offers_the_approximate_one(monkeypatch):
    x, small = normal(1100, 4), {"memory": 2**21}  # so that there are many tiles
    exact = knn_graph(x, 3, **small)  # says nothing
    monkeypatch.setattr(candidates, "LONG", 0)
    assert torch.equal(knn_graph(x, 3, **small).indices, exact.indices)  # estimated, and short
    monkeypatch.setattr(candidates, "HOUR", 0)
    with pytest.warns(UserWarning, match=r"among 1,100 samples takes about 0\.\d hours here; .*method='pynndescent'"):
        graph = knn_graph(x, 3, **small)
    assert torch.equal(graph.indices, exact.indices)


def test_the_estimated_time_is_that_of_all_tiles(monkeypatch):
    monkeypatch.setattr(candidates, "time", SimpleNamespace(perf_counter=iter([0.0, 2.0]).__next__))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    source = Source(normal(2560, 4)[:, :, None, None])
    search = candidates.Search(source, [(1, 1)], 3, scan(source.x), memory=2**21)
    assert search.plan.tile == 256
    assert search.seconds() == 2 * 10 * 10 / 2
