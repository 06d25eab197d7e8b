"""Section 3 of the STAC paper in numbers, on curves that can be checked by hand."""

import numpy as np
import pandas as pd
import pytest

from rrahelpers.study import classrepsim


def curves(panel, seed, *, side=32, **scales):
    """Rows of one network; ``scales``: a function of the layer's number for each."""
    return pd.DataFrame([{"panel": panel, "seed": seed, "index": index, "scale": scale.removeprefix("x"),
                          "side": side // int(scale.strip("x")) if scale != "globally" else 1, "value": value(index)}
                         for scale, value in scales.items() for index in range(13)])


def test_two_classes_touch_at_transition_1_and_not_before():
    for transition, gap in ((0, 0.5), (0.5, 0.25), (1, 0)):
        points, labels = classrepsim.strips(transition, np.random.default_rng(0), n=2000)
        assert points[labels == 1, 0].min() - points[labels == 0, 0].max() == pytest.approx(gap, abs=0.005)
        assert points.shape == (4000, 2) and points[:, 1].max() == pytest.approx(2, abs=0.005)


def test_class_similarity_falls_on_the_way():
    table = classrepsim.approach([0, 1], draws=2)
    mean = table.groupby("transition").value.mean()
    assert len(table) == 4 and mean[0] == 1 > mean[1] > 0.8


def test_statements_are_means_over_seeds_with_the_extremes():
    line = lambda slope: lambda index: slope * index
    scales = {"x1": line(0.01), "x4": line(0.02), "x8": line(0.05), "global": lambda index: 0.03 * index + 0.1}
    table = pd.concat([curves("A", 1, side=32, x1=scales["x1"], x4=scales["x4"], x8=scales["x8"]),
                       curves("A", 1, x1=scales["global"]).assign(scale="global", side=1),
                       curves("A", 2, side=32, x1=line(0.02), x4=scales["x4"], x8=scales["x8"]),
                       curves("A", 2, x1=scales["global"]).assign(scale="global", side=1)])
    found = classrepsim.statements(table).set_index("statement")["A"]
    texts = list(found)
    assert texts[0] == "-0.015 (-0.020 to -0.010)"  # layer 0 less layer 1
    assert texts[1] == "0.030 (0.020 to 0.040)"  # layer 10 less layer 8
    assert texts[2] == "0.600 (0.600 to 0.600)"  # 12 times 0.05
    assert texts[3] == "0.018 (0.000 to 0.035)"  # 3.5 times 0.01, and nothing; 0.0175 rounds up
    assert texts[4] == "0.105 (0.105 to 0.105)" and texts[5] == "0.030 (0.030 to 0.030)"  # 0.1 less 3.5 times 0.02
    assert texts[6] == "1.000 (1.000 to 1.000)"


def test_best_scales_name_all_that_are_highest():
    table = pd.concat([curves("B", 1, x1=lambda i: 0.5, x2=lambda i: 0.5 if i else 0.6),
                       curves("A", 1, x1=lambda i: 0.1 * (i < 3), x2=lambda i: 0.1 * (i < 2), x4=lambda i: 0.05)])
    best = classrepsim.best_scales(table)
    assert list(best.columns) == ["B", "A"]
    assert best["B"].tolist() == ["2"] + ["all the same"] * 12
    assert best["A"].tolist() == ["1, 2"] * 2 + ["1"] + ["4"] * 10


def test_correlations_of_pairs_with_one_window_and_with_one_map():
    up, down = lambda index: index, lambda index: -index
    table = pd.concat([curves("A", 1, side=32, x1=up, x2=down), curves("B", 1, side=64, x1=up, x2=up)])
    pairs = classrepsim.correlations(table).set_index(["first", "second"])
    assert pairs.r.round(6).to_dict() == {("1", "1"): 1, ("1", "2"): 1, ("2", "1"): -1, ("2", "2"): -1}
    assert pairs["equal window"].to_dict() == {("1", "1"): True, ("1", "2"): False, ("2", "1"): False, ("2", "2"): True}
    assert pairs["equal map"].to_dict() == {("1", "1"): False, ("1", "2"): True, ("2", "1"): False, ("2", "2"): False}
    read = classrepsim.correlations_for_reading(pairs.reset_index()).set_index("pairs")
    assert read.measured.round(6).tolist() == [0, 1, 0] and read.number.tolist() == [2, 1, 4]
    with pytest.raises(ValueError, match="curves of two panels, got 1: A"):
        classrepsim.correlations(table[table.panel == "A"])
