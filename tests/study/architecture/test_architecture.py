"""Tables of probes, tails and borders worked by hand; drawn networks against the paths that they are drawn by."""

import pandas as pd
import pytest

from rrahelpers.study import published
from rrahelpers.study.architecture import advising, borders, chapters, drawn, probing, tails


def curve(*values, **columns):
    return pd.DataFrame([{"layer": f"layer {index}", "index": index, "value": value, "seed": 0, **columns}
                         for index, value in enumerate(values)])


def test_how_probes_rise():
    found = probing.rise(curve(0.2, 0.5, 0.4, 0.9, 0.895), 0.88).measured.tolist()
    assert found == ["2 of 4 upwards", "10.0 points", "3 of 4", "+2.0 points"]


def test_ways_of_fitting_against_the_first():
    seeds = [curve(0.2, 0.5, 0.6, train=0.9, seconds=2.0, seed=seed) for seed in (0, 1)]
    other = [curve(0.25 + d, 0.5 + d, 0.5 + d, train=0.7, seconds=0.5, seed=0) for d in (-0.02, 0.02)]
    rows = probing.fit_summary({"optimum": pd.concat(seeds), "stopped": pd.concat(other)}).set_index("fit")
    assert rows.loc["optimum"].tolist() == pytest.approx([1.3 / 3, 0.9, 0, 0, 12])
    assert rows.loc["stopped"].tolist() == pytest.approx([1.25 / 3, 0.7, 5, 10, 3])


def test_probes_around_a_shortcut():
    layers = ["first", "skipped.1", "skipped.3", "joined", "tail", "logits"]
    before, after = (curve(*values).assign(layer=layers) for values in
                     ((0.5, 0.4, 0.3, 0.5, 0.5, 0.1), (0.9, 0.2, 0.1, 0.8, 0.7, 0.95)))
    found = probing.shortcut(before, after, 0.95, 0.1)
    assert found.measured.tolist() == [0.2, 0.1, 0.8, 0.7, 0.95, 0.95]
    assert found["before training"].tolist()[:5] == [0.4, 0.3, 0.5, 0.5, 0.1]


def test_what_pooling_costs():
    table = pd.concat([curve(0.2, 0.3, 0.5, 0.9, size=1), curve(0.4, 0.6, 0.5, 0.9, size=4)])
    table = pd.concat([table, table.assign(seed=1, value=table.value + 0.02)])
    summary = probing.pooling_summary({("average", "net"): table, ("nearest", "net"): table}, [1, 4])
    least = summary.iloc[0]
    assert least[["accuracy", "lost", "lost early", "lost late"]].tolist() == pytest.approx(
        [0.343333, 16.6667, 20, 15], abs=1e-4)
    assert summary.iloc[1][["lost", "rank correlation", "falls"]].tolist() == pytest.approx([0, 1, 10])
    told = probing.pooling_statements(summary, [1, 4]).measured.tolist()
    assert told[0] == "16.7 points" and told[3] == "20.0 points early, 15.0 late"
    assert told[4] == "lost at 1x1: 16.7, 4x4: 0.0" and told[6] == "4x4 loses 0.0 points"
    spread = probing.seed_spread({("average", "net"): table})
    assert spread.iloc[:, -1].tolist() == pytest.approx([1.41421, 1.41421], abs=1e-4)


ADVICE = pd.DataFrame([{"layer": f"features.{i}", "conv": i + 1, "border": "b_max, b_min" if i == 3 else "",
                        "saturation": 0.8 if i < 4 else 0.2, "probe": probe, "productive": i < 3}
                       for i, probe in enumerate((0.3, 0.4, 0.5, 0.6, 0.62, 0.61, 0.63))])


def test_a_networks_tail_in_numbers():
    row = tails.numbers("VGG", ADVICE, 0.65)
    assert (row["b_max"], row["b_min"], row["tails"]) == ("4", "4", "5 to 7 (75% lower)")
    assert row["probes within 1 point of the best from"] == "5"
    assert tails.numbers("VGG", ADVICE, None)["tails"] == "not trained yet"


def test_what_lies_behind_a_border():
    row = chapters.around((ADVICE, 0.65), "min", network="VGG")
    assert (row["network"], row["layer"], row["tails"]) == ("VGG", 4, "5 to 7")
    assert (row["probe gain before"], row["probe gain behind"]) == pytest.approx((0.2, 0.13))
    assert row["saturation before"] == pytest.approx(0.8) and row["saturation behind"] == pytest.approx(0.35)
    assert chapters.around((ADVICE.assign(border=""), 0.65), "min") is None
    behind = tails.behind_border("passes on", ["vgg16", "digits", {}, [32]], ADVICE, 0.65)
    assert behind["layers behind b_min"] == 4 and behind["turns"] == "2 of 2"
    assert behind["net change (points)"] == pytest.approx(3)


def test_one_bound_alone():
    shown = chapters.only(ADVICE.assign(r_min=3, r_max=7), "max")
    assert (shown.r_min == 7).all() and shown.border.tolist()[3] == "b_max"
    assert chapters.at(shown) == "b_max at 4"


@pytest.mark.parametrize("stages", [[[[3]], [[1], [3, 3], [5]], [[3], [5, 3]], [[3]]], [[[3, 3]], [[7], [1]], [[3]]]])
def test_the_drawn_paths_have_the_receptive_fields_of_the_network(stages):
    for chosen, size in drawn.bounds(stages).values():
        assert size == 1 + sum(kernel - 1 for branches, place in zip(stages, chosen) for kernel in branches[place])


def test_receptive_fields_of_a_sequence():
    assert drawn.reach([(3, 1)] * 3) == [1, 3, 5, 7] and drawn.reach([(3, 2), (3, 1), (3, 1)]) == [1, 3, 7, 11]
    stem, *blocks = drawn.multipath("MPNet18")
    assert len(stem) == 1 and all(set(small) == {3} and set(large) == {7} for small, large in blocks)


def test_border_layers_as_printed():
    assert borders.borders("VGG16") == {"b_max": 8, "b_min": 8}
    titles = borders.heatmap_titles("VGG16", 32, convolutions=[5, 8], largest=8)
    assert list(titles.values()) == ["conv 5", "conv 8 = b_max, b_min"]


def test_costs_of_half_the_width():
    half = advising.width_costs().set_index("published").loc["half the memory and FLOPs"]
    assert 0.25 < half["of full width"] < 0.26 and 0.25 < half["of full width "] < 0.28


def test_what_a_cut_changes():
    row = {"network": "VGG", "params": 10, "flops": 100, "cut before": "", "truncated": False, "top1": 80.0,
           "top1_std": 1.0, "seeds": 3}
    cut = row | {"params": 4, "flops": 80, "cut before": "features.9", "truncated": True, "top1": 82.0, "seeds": 3}
    found = advising.changes(pd.DataFrame([row, cut])).iloc[0]
    assert found["parameters saved"] == pytest.approx(0.6) and found["FLOPs saved"] == pytest.approx(0.2)
    assert found["measured (points) [95 %]"] == "+2.00 [-0.27, +4.27]" and found.networks == "3 and 3"
    untrained = advising.changes(pd.DataFrame([row, cut | {"top1": None, "top1_std": None, "seeds": 0}])).iloc[0]
    assert untrained["measured (points) [95 %]"] == "not trained yet"


def test_table_10_without_networks():
    group = ["resnet18", "digits", {}, [32, 4, [4, 32]]]
    table = tails.detail_table([(group, {"a": [], "b": [], "c": []})])
    assert len(table) == 1 + len(published.dissertation("resolution"))
    assert table[table.who == "measured"]["C"].item() == "4 px to 32 px"
    assert tails.side("digits", [16, {"canvas": 48}]) == 16 and tails.side("digits", None) == 8
