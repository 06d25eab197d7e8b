"""What makes the search fast, as far as it can be counted: few operations and few waits; and exact in all its parts."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rrahelpers.neighbors import bands, candidates, kernels, knn_graph, pyramid_graphs, rows, selection, settling, tiles
from tests.neighbors.truth import brute_force, normal

WAITS = {"_local_scalar_dense", "nonzero", "unique_consecutive", "_unique2", "unique_dim", "masked_select", "equal"}


class Operations(TorchDispatchMode):
    """Counts the operations, and among them those for whose answer a device would be waited for."""

    def __init__(self):
        super().__init__()
        self.all = self.waits = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masks = [part for arg in args if isinstance(arg, (list, tuple)) for part in arg
                 if isinstance(part, torch.Tensor) and part.dtype == torch.bool]
        self.all += 1
        self.waits += function.overloadpacket.__name__ in WAITS or (
            function.overloadpacket.__name__.startswith("index") and bool(masks))
        return function(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_device(monkeypatch):
    """The sizes and the selection of CUDA."""
    for sizes in (candidates.TILE, bands.PANEL):
        monkeypatch.setitem(sizes, "cpu", sizes["cuda"])
    for module in (bands, rows, settling):
        monkeypatch.setattr(module, "piece", lambda device: 2**26)
    monkeypatch.setattr(tiles, "SHORT", 0)  # nothing is compiled
    monkeypatch.setattr(candidates, "HALVED", 2**31)
    monkeypatch.setattr(rows.Source, "plain", lambda self: None)
    for module in (selection, candidates, tiles, settling):
        monkeypatch.setattr(module, "lowest", lambda values, width: values.topk(min(width, values.shape[1]),
                                                                                largest=False, sorted=False))


def test_few_operations_and_waits_whatever_the_size(as_on_a_device):
    counted = []
    for n in (400, 1600):
        with Operations() as operations:
            knn_graph(normal(n, 200), 10)
        counted.append(operations)
    assert max(o.all for o in counted) <= 320 and counted[1].all - counted[0].all <= 25
    assert max(o.waits for o in counted) <= 10
    with Operations() as operations:
        pyramid_graphs(normal(400, 4, 8, 8), k=10)
    assert operations.all <= 1400 and operations.waits <= 30  # five scales; what is open depends on the rounding


def test_as_many_operations_however_wide_the_window_is():
    """A map of 61 places along a side pools to nothing but itself and one place."""
    counted = []
    for side in (2, 61):
        with Operations() as operations:
            bands.decompose(normal(3, 2, side, side), [(side, side), (1, 1)])
        counted.append(operations.all)
    assert counted[0] == counted[1] <= 30


SETS = {
    "normal": normal(700, 6),
    "ties of whole numbers": torch.randint(0, 4, (600, 5), generator=torch.Generator().manual_seed(0)).float(),
    "copies of some": torch.cat([normal(500, 9), normal(1, 9).repeat(90, 1), normal(40, 9, seed=1).repeat(2, 1)]),
    "tiny differences far away": torch.cat([1000 + 1e-3 * normal(350, 20), 1e-3 * normal(350, 20, seed=1)]),
    "mixed scales": normal(600, 12) * torch.logspace(-9, 9, 12),
    "constant rows": torch.arange(500.0)[:, None].square().expand(500, 8).contiguous(),
    "more features than are measured at once": normal(500, 200),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("tile", [128, 2048])
@pytest.mark.parametrize("short", [0, 256])
def test_exact_in_tiles_and_as_a_whole(monkeypatch, name, tile, short):
    monkeypatch.setitem(candidates.TILE, "cpu", tile)
    monkeypatch.setattr(tiles, "SHORT", short)
    assert torch.equal(knn_graph(SETS[name], 7).indices, brute_force(SETS[name], 7)[0])


def test_exact_for_all_neighbours_and_on_a_device(as_on_a_device):
    for x, k in ((normal(150, 5), 149), (SETS["ties of whole numbers"], 10)):
        assert torch.equal(knn_graph(x, k).indices, brute_force(x, k)[0])


@pytest.mark.parametrize("width", [1, 5, 14, 200])
def test_the_smallest_of_rows_and_columns(width):
    t = torch.randint(0, 5000, (512, 768), generator=torch.Generator().manual_seed(0)).float()
    for found, matrix in ((selection.lowest_of_rows(t, width), t), (selection.lowest_of_columns(t, width), t.T)):
        values, places = found
        assert torch.equal(values.sort(dim=1)[0], matrix.sort(dim=1)[0][:, :width])
        assert torch.equal(matrix.gather(1, places), values)
        assert all(len(set(row)) == width for row in places.tolist())


@pytest.mark.parametrize("width", [1, 5, 14])
def test_the_smallest_of_rows_and_columns_tile_by_tile(width):
    """Two tiles beside two others, the last ones with fewer rows and columns than they hold."""
    t = normal(256, 192)
    t[200:], t[:, 150:] = torch.inf, torch.inf
    rows_kept, columns_kept = tiles.Kept(200, width, t.device), tiles.Kept(150, width, t.device)
    for of_rows in (slice(0, 128), slice(128, 256)):
        for of_columns in (slice(0, 64), slice(64, 192)):
            rows_kept.take(t[of_rows, of_columns].contiguous(), of_rows, of_columns, columns_kept)
    for kept, matrix in ((rows_kept, t[:200, :150]), (columns_kept, t[:200, :150].T)):
        values, places = matrix.sort(dim=1)
        assert torch.equal(kept.low, values[:, :width]) and torch.equal(kept.index, places[:, :width])


@pytest.mark.parametrize("features", [1, 50, 128, 1000])
def test_distances_in_one_pass(features):
    """Against float64; the error stays below what the search supposes."""
    x, i = 100 + normal(40, features), torch.arange(40)
    j = torch.randint(0, 40, (40, 7), generator=torch.Generator().manual_seed(0))
    out = torch.empty(40, 7, dtype=torch.float64)
    kernels.squared_distances(x.numpy(), i.numpy(), j.numpy(), np.float32(0.5), out.numpy())
    expected = (x.double()[i][:, None] - x.double()[j]).square().sum(2) / 4
    assert ((out - expected).abs() <= expected * (min(features, 128) + 8) * 2.0**-24).all()
    assert (out[j == i[:, None]] == 0).all()


GROWN = """
import resource
import torch
from rrahelpers.neighbors.bands import Plan
from rrahelpers.neighbors.rows import Source
from rrahelpers.neighbors.settling import Settling

x = torch.randn(40, 80, 32, 32, generator=torch.Generator().manual_seed(0))
plan = Plan([(2, 2), (1, 1)], torch.zeros(80, 32, 32), 1.0, False, 10, 40)
settling = Settling(Source(x), plan, 3, memory=2**24, block=40)
pairs = torch.arange(40).repeat_interleave(40), torch.arange(40).repeat(40)
settling.exact_distances((2, 2), *(side[:2] for side in pairs))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
settling.exact_distances((2, 2), *pairs)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_many_pairs_of_wide_samples_take_no_more_memory_than_few():
    """1,600 pairs of .7 MB each: where the heap grew with every pair this was a gigabyte."""
    grown = subprocess.run([sys.executable, "-c", GROWN], capture_output=True, text=True, encoding="utf-8", check=True)
    assert float(grown.stdout) < 100
