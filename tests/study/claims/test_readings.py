"""What is read from tables: by network, paired or not, and what is said where something is missing."""

import json

import numpy as np
import pandas as pd
import pytest

from rrahelpers.study.claims import verbs
from rrahelpers.study.claims.layers import border, compare, gain_behind, lower, tail, to_the_output, width
from rrahelpers.study.claims.readings import correlation, each, last_epoch, row, unpaired, value
from rrahelpers.study.claims.tables import Missing, Tables, matching
from rrahelpers.study.recipes import recipe
from rrahelpers.study.significance import Sample, welch


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "runs").mkdir()
    return Tables(tmp_path / "figures", tmp_path / "runs")


def write(tables, name, rows, **provenance):
    pd.DataFrame(rows).to_csv(tables.folder / f"{name}.csv", index=False)
    (tables.folder / f"{name}.json").write_text(json.dumps(provenance), encoding="utf-8")


def run(tables, name, config, **last):
    (tables.runs / name).mkdir()
    record = {"config": config.as_dict(), "history": [{"epoch": 1, "test_accuracy": 0.1}, {"epoch": 2, **last}]}
    (tables.runs / name / "record.json").write_text(json.dumps(record), encoding="utf-8")


CURVES = [{"index": i, "scale": "1", "value": v, "seed": seed} for seed, values in enumerate([(0.2, 0.1), (0.3, 0.25)])
          for i, v in enumerate(values)]


def test_one_number_for_each_network(tables):
    write(tables, "curves", CURVES)
    first = value("curves", index=0)(tables)
    assert first.to_dict() == {0: 0.2, 1: 0.3}
    step = (value("curves", index=1) - value("curves", index=0))(tables)
    assert step.tolist() == pytest.approx([-0.1, -0.05])
    assert each("curves", lambda t: t.value.max())(tables).tolist() == [0.2, 0.3]
    assert value("curves", index=[0, 1])(tables).tolist() == pytest.approx([0.15, 0.275])
    assert value("curves", by="network")(tables).tolist() == pytest.approx([0.2125])  # no such column: one network
    assert tables.used == {"curves"}


@pytest.mark.parametrize("reading, said", [
    (value("nothing"), "no figure nothing"), (value("curves", "probe"), "no column 'probe'"),
    (value("curves", panel="a"), "no column 'panel'"), (value("curves", index=7), "no row with index 7"),
    (value("curves", scale="global", index=0), "no row with scale global")])
def test_what_is_missing_is_said(tables, reading, said):
    write(tables, "curves", CURVES)
    with pytest.raises(Missing, match=said):
        reading(tables)


def test_a_damaged_table_is_missing(tables):
    (tables.folder / "curves.csv").write_bytes(b"")
    with pytest.raises(Missing, match="can't be read"):
        tables.read("curves")
    (tables.folder / "other.csv").write_text("a\n1\n", encoding="utf-8")
    (tables.folder / "other.json").write_text("{", encoding="utf-8")
    assert tables.provenance("other") == {} and len(tables.read("other")) == 1


def test_networks_without_a_number_are_missing(tables):
    write(tables, "curves", [row | {"value": np.nan} for row in CURVES])
    with pytest.raises(Missing, match="no value yet"):
        value("curves")(tables)
    write(tables, "shifted", [row | {"seed": row["seed"] + 2} for row in CURVES])
    with pytest.raises(Missing):
        (value("curves") - value("shifted"))(tables)


@pytest.mark.parametrize("wanted, expected", [
    ("VGG16~: *", [True, True, False]), ("VGG16*", [True, True, True]), ("VGG16: 32 px", [True, False, False]),
    (["VGG16: 32 px"], [True, False, False]), (lambda label: "1/4" in label, [False, True, False])])
def test_patterns_of_labels(wanted, expected):
    labels = pd.Series(["VGG16: 32 px", "VGG16, width 1/4: 32 px", "VGG16, dilation 3: 32 px"])
    assert matching(labels, wanted).tolist() == expected


def test_rows_of_accuracies(tables):
    columns = ["label", "who", "mean", "std", "seeds", "status"]
    write(tables, "table", pd.DataFrame([
        ("Base", "measured", 80.0, 0.3, 3, "measured"), ("STAC", "measured", 82.0, 0.4, 3, "measured"),
        ("Base", "published", 89.9, 0.2, 8, "printed"), ("STAC", "published", 90.6, 0.2, 8, "printed"),
        ("BAM", "measured", np.nan, np.nan, 0, "not trained yet"), ("BAM", "published", 90.5, 0.2, 8, "printed"),
    ], columns=columns))
    found = row("table", "STAC", "Base")(tables)
    expected = welch(Sample(82, 0.4, 3), Sample(80, 0.3, 3))
    assert (found.value, found.low, found.high, found.printed) == pytest.approx((*expected, "+0.7"))
    assert verbs.rises(row("table", "STAC", "Base")).decide(tables).verdict == "agrees"
    assert verbs.rises(row("table", "Base", "STAC")).decide(tables).verdict == "disagrees"
    assert row("table", "Base")(tables).printed == "89.9 ± 0.2"
    assert verbs.rises(row("table", "BAM", "Base")).decide(tables).why == "table.csv: BAM is not trained yet"


def test_unpaired_and_correlated(tables):
    write(tables, "a", [{"value": v, "seed": s} for s, v in enumerate((1.0, 2.0, 3.0, 4.5, 5.0))])
    write(tables, "b", [{"value": -v, "seed": s} for s, v in enumerate((1.0, 2.2, 3.0, 4.0, 5.5))])
    found = unpaired(value("a"), value("b"))(tables)
    assert found.value == pytest.approx(6.24) and found.low < found.value < found.high
    r = correlation(value("a"), value("b"))(tables)
    expected = np.corrcoef((1, 2, 3, 4.5, 5), (-1, -2.2, -3, -4, -5.5))[0, 1]
    assert r.value == pytest.approx(expected)
    z, half = np.arctanh(expected), 1.959964 / np.sqrt(2)
    assert (r.low, r.high) == pytest.approx((np.tanh(z - half), np.tanh(z + half)))
    assert verbs.falls(correlation(value("a"), value("b"))).decide(tables).verdict == "agrees"
    assert verbs.rises(correlation(value("a"), value("b"))).decide(tables).verdict == "disagrees"


LAYERS = [{"index": i, "conv": i + 1, "border": "b_max, b_min" if i == 3 else "", "saturation": s, "in_tail": i >= 4,
           "probe": p, "panel": "VGG, width 1/4: x"}
          for i, (s, p) in enumerate([(0.8, 0.3), (0.8, 0.4), (0.8, 0.5), (0.8, 0.6), (0.2, 0.62), (0.2, 0.61)])]


def test_layers_tails_and_borders(tables):
    write(tables, "layers", LAYERS)
    assert tail("layers", panel="VGG~: *")(tables).tolist() == [5]
    assert to_the_output("layers")(tables).tolist() == [1]
    assert lower("layers")(tables).tolist() == pytest.approx([0.75])
    assert gain_behind("layers")(tables).tolist() == pytest.approx([0.12])
    assert border(tables.read("layers")) == 4
    write(tables, "even", [row | {"in_tail": False, "border": ""} for row in LAYERS])
    assert tail("even")(tables).tolist() == [0] and to_the_output("even")(tables).tolist() == [0]
    assert verbs.rises(gain_behind("even")).decide(tables).why == "no layer is marked b_min"
    write(tables, "untrained", [row | {"saturation": None, "probe": None} for row in LAYERS])
    assert "isn't trained" in verbs.equals(tail("untrained"), 5).decide(tables).why


def test_networks_compared_layer_by_layer(tables):
    rows = [row | {"layer": f"layer {row['index']}", "seed": seed, "network": name, "probe": row["probe"] + shift}
            for seed in (0, 1) for name, shift in (("a", 0.0), ("b", -0.1 * (seed + 1))) for row in LAYERS]
    write(tables, "layers", rows)
    apart = compare("layers", "probe", lambda a, b: (a - b).abs().max(), {"network": "a"}, {"network": "b"})
    assert apart(tables).to_dict() == pytest.approx({0: 0.1, 1: 0.2})
    write(tables, "single", [row | {"network": name} for name in ("a", "b") for row in LAYERS])
    assert compare("single", "probe", lambda a, b: (a - b).abs().max(), {"network": "a"}, {"network": "b"}, key="conv")(
        tables).tolist() == [0]


@pytest.mark.parametrize("label, expected", [("VGG16", 1), ("VGG16, width 1/4", 0.25), ("width 2: top-1 30 %", 2)])
def test_widths_of_labels(label, expected):
    assert width(label) == expected


def test_where_numbers_come_from(tables):
    config = recipe("STAC paper, section 5", "cifar10", "resnet20", options={"width": 0.25}, epochs=15,
                    data_checksum="abc")
    run(tables, "one", config, test_accuracy=0.8, train_accuracy=0.9)
    write(tables, "curves", CURVES, runs=["one", "gone"], data={"cifar10": "abc", "mnist": "def"},
          parameters={"data_notes": {"abc": "lossy JPEG copy"}, "epochs": 15})
    assert tables.origin(["curves"]) == {"data": "CIFAR-10 (lossy JPEG copy), MNIST", "models": "resnet20 (width 0.25)",
                                         "recipe": "STAC paper, section 5", "epochs": "15"}
    assert last_epoch("curves", "test_accuracy")(tables).tolist() == [0.8]
    with pytest.raises(Missing, match="no test_top5"):
        last_epoch("curves", "test_top5")(tables)


def test_procedures_are_those_of_the_runs(tables):
    config = recipe("dissertation, table 11", "cifar10", "vgg16", epochs=15, data_checksum="abc")
    run(tables, "one", config)
    write(tables, "curves", CURVES, runs=["one"], parameters={"picture_size": 64})
    assert verbs.trained_as("curves", batch_size=64, augmentation=["flip", "crop"]).decide(tables).verdict == "agrees"
    found = verbs.trained_as("curves", batch_size=64, epochs=60, networks=3).decide(tables)
    assert (found.verdict, found.why) == ("partly", "epochs 15 (printed 60); 1 networks of each at most (printed 3)")
    assert verbs.trained_as("curves", epochs=60).decide(tables).verdict == "disagrees"
    other = verbs.trained_as("curves", only=lambda c: c.data == "mnist", epochs=60)
    assert other.decide(tables).verdict == "not measured"
    assert verbs.set_as("curves", picture_size=64).decide(tables).verdict == "agrees"
    assert verbs.set_as("curves", picture_size=224).decide(tables).why == "picture_size 64 (printed 224)"
    assert verbs.set_as("curves", rate=1).decide(tables).why == "curves.json has no parameter rate"


def test_a_pattern_needs_two_networks(tables):
    def rising(table):
        return table.sort_values("index").value.is_monotonic_increasing
    write(tables, "curves", CURVES)
    assert verbs.shows("curves", rising).decide(tables).verdict == "disagrees"
    assert verbs.shows("curves", lambda t: not rising(t)).decide(tables).verdict == "agrees"
    assert verbs.shows("curves", lambda t: t.value.max() > 0.25).decide(tables).verdict == "partly"
    found = verbs.shows("curves", rising, seed=0).decide(tables)
    assert (found.verdict, found.why) == ("partly", "not told apart: one network, which doesn't show it")
