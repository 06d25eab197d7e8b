"""Features that don't fit the memory at once: each number is worked on once, and the answer is the same."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from rrahelpers.neighbors import bands, candidates, cores, knn_graph, pyramid_graphs, settling, tiles
from tests.neighbors.truth import ADVERSARIAL, brute_force, check, normal


@pytest.fixture
def encoded(monkeypatch):
    """(rows, numbers of each) of the blocks that are encoded."""
    sizes, init = [], bands.Block.__init__

    def counted(self, source, *others):
        sizes.append((len(source), source.x[0].numel()))
        init(self, source, *others)

    monkeypatch.setattr(bands.Block, "__init__", counted)
    return sizes


@pytest.mark.parametrize("bfloat16", [False, True])
def test_all_rows_of_some_channels_at_a_time(monkeypatch, encoded, bfloat16):
    monkeypatch.setattr(candidates, "bfloat16_pays", lambda device: bfloat16)
    monkeypatch.setattr(candidates, "MANY", 100)
    for module in (bands, candidates):
        monkeypatch.setattr(module, "WIDE", 200)
    judged, pays = [], candidates.rounding_pays
    monkeypatch.setattr(candidates, "rounding_pays", lambda *given: judged.append(pays(*given)) or encoded.clear()
                        or judged[-1])
    x = normal(200, 62, 8, 8) + normal(5, 62, 1, 1, seed=1)[torch.arange(200) % 5]
    graphs = pyramid_graphs(x, (1, 2, 4, "global"), 5, memory=3 * 2**20)
    for scale, graph in graphs.items():
        check(graph, F.avg_pool2d(x.double(), 8 if scale == "global" else scale), 5)
    groups = [numbers for rows, numbers in encoded if rows == 200]
    assert len(groups) > 1 and sum(groups) == 62 * 64
    assert judged == ([True] if bfloat16 else [])


@pytest.mark.parametrize("name", ["wide", "wide near ties"])
def test_exact_by_channels_where_it_is_hard(encoded, name):
    x = ADVERSARIAL[name]
    graph = knn_graph(x, 7, memory=2**20)
    assert encoded[0][0] == len(x) and encoded[0][1] < x.shape[1]
    check(graph, x, 7)


def test_bounds_of_groups_of_channels_hold_when_added_up():
    """Of maps with large norms and tiny differences, whose squared distances float32 can't tell from zero."""
    x = 100 * normal(1, 12, 4, 4) + 1e-4 * normal(50, 12, 4, 4, seed=1)
    windows = [(4, 4), (2, 2), (1, 1)]
    plan = bands.Plan(windows, torch.zeros(12, 4, 4), 1.0, False, 10, 64, groups=4)
    sums, of_group = {}, replace(plan, mean=plan.mean[:3])
    for part in cores.slices(12, 3):
        tiles.add_bounds(bands.Block(candidates.Source(x[:, part]), of_group, map), plan, sums)
    for (h, w), low in zip(windows, sums[0, 0]):
        pooled = F.avg_pool2d(x.double(), (h, w)).flatten(1) * math.sqrt(h * w)
        true = torch.stack([(pooled - row).square().sum(1) for row in pooled])
        assert (low[:50, :50].double() <= true).all()
        assert (low[50:] == torch.inf).all()


@pytest.mark.parametrize("memory", [2**20, 2**30])
@pytest.mark.parametrize("shape", [(24, 16, 16), (2, 64, 64)])
def test_scales_whose_maps_are_not_held_are_pooled_again_place_by_place(shape, memory, monkeypatch):
    """Of many channels some, of large maps some lines at a time."""
    torch.manual_seed(0)
    base = torch.randn(1, *shape)
    x = torch.cat([base + 1e-3 * torch.randn(90, *shape), base.repeat(9, 1, 1, 1), torch.randn(40, *shape)])
    asked, places = [], settling.Settling.places

    def counted(self, window, rows):
        asked.append([])
        for channels, lines in places(self, window, rows):
            assert 4 * rows * self.plan.mean[channels, lines].numel() <= memory // 4 * math.prod(window)
            asked[-1].append(torch.ones(shape)[channels, lines])
            yield channels, lines

    monkeypatch.setattr(settling.Settling, "places", counted)
    graphs = pyramid_graphs(x, (1, 2, 4, "global"), 7, memory=memory)
    for scale, graph in graphs.items():
        pooled = F.avg_pool2d(x.double(), shape[1] if scale == "global" else scale).flatten(1)
        assert torch.equal(graph.indices, brute_force(pooled, 7)[0]), scale
    assert all(sum(part.numel() for part in parts) == math.prod(shape) for parts in asked)
    assert any(len(parts) > 1 for parts in asked) == (memory == 2**20)
