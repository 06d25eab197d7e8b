"""Figure 1's table and the gates of a STAC network."""

from types import SimpleNamespace

import pytest
import torch

from rrahelpers import models
from rrahelpers.plots.stac import SHORT
from rrahelpers.study import comparison, gates, published
from rrahelpers.study.trade_off import trade_off_table


def test_trade_off_has_printed_and_measured_networks():
    table = published.table(1).query("data == 'CIFAR10'").reset_index(drop=True)
    runs = {"Base": [SimpleNamespace(accuracy=0.9), SimpleNamespace(accuracy=0.8)]}
    found = trade_off_table({"digits": table.assign(runs=[runs.get(label, []) for label in table.label])})
    panels = ["published: ResNet34, ImageNet64x64", "published: ResNet20, CIFAR-10", "measured: ResNet20, digits"]
    assert list(dict.fromkeys(found.panel)) == panels
    assert set(found.label) == set(SHORT)
    ours = found[found.panel == panels[2]].set_index("label")
    assert ours.loc["Base", "top1"] == pytest.approx(85) and ours.top1.notna().sum() == 1
    base = table.iloc[0]
    counted = comparison.count(base.model, base.options, base.image_size, base.num_classes)
    assert ours.loc["Base", "flops"] == counted.flops
    printed = found[found.panel == panels[1]].set_index("label")
    assert printed.loc["Base", "params"] == published.number(base.params)


def test_gates_of_the_last_blocks_and_how_far_they_differ():
    torch.manual_seed(0)
    network = models.build("resnet20", width=0.25, attention="stac", in_channels=1).eval()
    run = SimpleNamespace(model=lambda: network, preprocess=lambda images: images.float())
    found = gates.last_gates(run, torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8))
    assert [tuple(gate.shape) for gate in found.values()] == [(4, 4, 32, 32), (4, 8, 16, 16), (4, 16, 8, 8)]
    assert all(gate.min() > 0 and gate.max() < 1 for gate in found.values())
    block = network.stages[2][2]
    by_hand = {}
    block.standard.register_forward_pre_hook(lambda _, args: by_hand.update(x=args[0]))
    with torch.no_grad():
        network(torch.zeros(1, 1, 32, 32))
        expected = block.standard.attention_map(by_hand["x"])
    again = gates.last_gates(run, torch.zeros(1, 1, 32, 32, dtype=torch.uint8))
    torch.testing.assert_close(again[3], expected.expand_as(again[3]))


def test_spreads():
    gate = torch.tensor([[[[0.2, 0.4]], [[0.6, 0.6]]], [[[0.4, 0.6]], [[0.6, 0.6]]]])  # two images, two channels, 1 x 2
    (row,) = gates.spreads({1: gate}).itertuples(index=False)
    stage, mean, channels, images, places = row
    assert stage == 1 and mean == pytest.approx(0.5)
    assert channels == pytest.approx(0.2 / 2**0.5)  # of 0.4 and 0.6
    assert images == pytest.approx((0.2 / 2**0.5 + 0) / 2)  # channel 1 has 0.3 and 0.5, channel 2 0.6 twice
    assert places == pytest.approx((0.1 + 0 + 0.1 + 0) / 4)
