"""Notebook 10's tables, on numbers that can be checked by hand."""

import pandas as pd
import pytest
import torch

from rrahelpers.neighbors import KNNGraph
from rrahelpers.study import augmentation, neighbour_settings


def graph(*rows):
    indices = torch.tensor(rows)
    return KNNGraph(indices, torch.zeros(indices.shape))


def test_what_is_read_of_a_chain_of_graphs():
    before, after = graph([1], [0], [3], [2]), graph([1], [2], [3], [2])  # sample 1 changes its neighbour
    rows = pd.DataFrame(neighbour_settings.measures([before, before, after], torch.tensor([0, 0, 1, 1])))
    value = rows.set_index(["measure", "index"]).value
    assert value["class similarity"].tolist() == [1, 1, 0.75]
    assert value["NNTS with the layer before"].to_dict() == {1: 1, 2: 0.75}
    assert value["NNTP from the stem"].to_dict() == {1: 1, 2: 0.75}


def test_graphs_of_every_setting():
    x = torch.randn(16, 2, 3) * torch.tensor([1.0, 1.0, 100.0])
    found = neighbour_settings.graphs(x, [1, 5, 50], 3)
    assert {setting: (len(one), one.k) for setting, one in found.items()} == {
        ("k", "k = 1"): (16, 1), ("k", "k = 5"): (16, 5), ("k", "k = 15"): (16, 15),  # 16 samples have 15 others
        ("samples", "4 samples"): (4, 3), ("samples", "8 samples"): (8, 3),
        ("samples", "16 samples"): (16, 3), ("distances", "Euclidean"): (16, 3), ("distances", "cosine"): (16, 3),
        ("distances", "unit deviation"): (16, 3), ("search", "exact"): (16, 3), ("search", "pynndescent"): (16, 3)}


def test_spreads_are_the_mean_over_layers_of_highest_less_lowest():
    table = pd.DataFrame([("k", "k = 1", 0, "NNTS", 0.5), ("k", "k = 5", 0, "NNTS", 0.9),
                          ("k", "k = 1", 1, "NNTS", 0.3), ("k", "k = 5", 1, "NNTS", 0.1),
                          ("search", "exact", 0, "NNTS", 1.0)],
                         columns=["study", "setting", "index", "measure", "value"])
    spreads = neighbour_settings.spreads(table)
    assert spreads.setting.tolist() == ["k", "search"] and spreads.NNTS.tolist() == pytest.approx([0.3, 0.0])


def test_panels_and_their_means_by_training():
    layers = pd.DataFrame({"scale": ["1", "1", "2", "1"], "index": [2, 10, 2, 2], "value": [0.2, 0.4, 9.0, 7.0],
                           "measure": ["class similarity"] * 3 + ["intrinsic dimension"]})
    pairs = pd.DataFrame({"scale": ["1"] * 4, "i": [1, 1, 1, 2], "j": [2, 3, 4, 11],
                          "measure": ["NNTS", "NNTS", "NNTP", "NNTP"], "value": [0.5, 0.6, 0.7, 0.8]})
    own = {"training": "with augmentation", "run": "a"}
    panels = augmentation.panels(layers.assign(**own), pairs.assign(**own))
    assert panels["class similarity"].value.tolist() == [0.2, 0.4]
    assert panels["NNTS with the layer before"][["index", "value"]].to_numpy().tolist() == [[2, 0.5]]
    assert panels["NNTP from the stem"][["index", "value"]].to_numpy().tolist() == [[4, 0.7]]
    (row, *_) = augmentation.by_training(panels).itertuples()
    assert row.mean == pytest.approx(0.3) and (row.lowest, row.highest, row.networks) == (0.2, 0.4, 1)
    assert row.layers == "blocks (2 to 10)" and row.training == "with augmentation"
