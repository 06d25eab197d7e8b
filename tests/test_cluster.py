"""On a Dask cluster of two workers on this machine, one of which is killed in between: the results of one process."""

import os
import signal
import threading
import time

import pytest
import torch

from rrahelpers.neighbors import knn_graph
from rrahelpers.report import analyse
from rrahelpers.training import RunConfig, train_all
from tests.report.networks import broken, images, same

distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster():
    """A client of two workers; each is a process, and begun anew when it dies."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            distributed.Client(cluster) as client:
        yield client


def kill_one(client):
    """End a worker's process, as the system does when memory runs out."""
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


class Deadly:
    """An executor that kills a worker when the given number of jobs was sent."""

    def __init__(self, client, after):
        self.client, self.executor, self.left = client, client.get_executor(), after

    def submit(self, *job):
        self.left -= 1
        if self.left == 0:
            kill_one(self.client)
        return self.executor.submit(*job)


def test_neighbours_though_a_worker_is_killed(cluster):
    x = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    executor = Deadly(cluster, after=3)
    graph, alone = knn_graph(x, 4, executor=executor), knn_graph(x, 4)
    assert executor.left < 0
    assert torch.equal(graph.indices, alone.indices) and torch.equal(graph.distances, alone.distances)


def test_a_report_though_a_worker_is_killed(cluster):
    """What its layers lack is noted by the workers as it is here."""
    model, (x, labels) = broken(), images()
    executor = Deadly(cluster, after=3)
    report, alone = (analyse(model, x, labels, k=5, progress=False, executor=one) for one in (executor, None))
    assert executor.left == 3 - len(report.layers)
    same(report, alone)


def test_networks_though_a_worker_is_killed(monkeypatch, tmp_path, one_thread, request):
    """Each goes on after its last finished epoch, and ends with the weights that it would have had."""
    if "ONEDNN_MAX_CPU_ISA" not in os.environ:  # whether bfloat16 pays is measured, in each process anew
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    cluster = request.getfixturevalue("cluster")
    configs = [RunConfig("resnet20", "digits", options={"width": 0.25}, limit=200, epochs=4, seed=seed)
               for seed in (0, 1)]
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "alone"))
    alone = list(train_all(configs))
    store = tmp_path / "cluster"
    monkeypatch.setenv("RRA_RUNS", str(store))
    cluster.run(os.environ.__setitem__, "RRA_RUNS", str(store))
    cluster.register_plugin(Environment(str(store)))  # of the worker that comes after the one that was killed, too

    def kill():
        while not list(store.glob("*/checkpoint.pt")):
            time.sleep(0.02)
        kill_one(cluster)

    killer = threading.Thread(target=kill)
    killer.start()
    runs = list(train_all(configs, executor=cluster.get_executor()))
    killer.join()
    for run, expected in zip(runs, alone, strict=True):
        assert run.folder.parent == store
        assert run.history["loss"].tolist() == pytest.approx(expected.history["loss"].tolist(), rel=1e-3)
        torch.testing.assert_close(run.model().state_dict(), expected.model().state_dict(), rtol=1e-3, atol=1e-3)


class Environment(distributed.WorkerPlugin):
    def __init__(self, store):
        self.store = store

    def setup(self, worker):
        os.environ["RRA_RUNS"] = self.store
