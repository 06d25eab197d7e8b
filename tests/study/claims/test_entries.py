"""Claims on tables on either side of their boundary."""

import json

import pandas as pd
import pytest

from rrahelpers.study.claims import CLAIMS, Tables


@pytest.fixture
def decide(tmp_path):
    """A function: the verdict on a claim by rows of figures, {name: rows}."""
    def decided(id, **figures):
        for name, rows in figures.items():
            pd.DataFrame(rows).to_csv(tmp_path / f"{name.replace('_', '-')}.csv", index=False)
            (tmp_path / f"{name.replace('_', '-')}.json").write_text(json.dumps({}), encoding="utf-8")
        return next(claim for claim in CLAIMS if claim.id == id).decide(Tables(tmp_path, tmp_path)).verdict
    return decided


@pytest.mark.parametrize("values, expected", [
    ((0.03, 0.03, 0.03), "agrees"), ((0.2, 0.21, 0.2), "disagrees"), ((0.03,), "partly"), ((0.0, 0.1, 0.02), "partly")])
def test_symmetries_across_scales(decide, values, expected):
    pairs = (("1", "2"), ("1", "global"), ("2", "global"))
    rows = [{"a": a, "b": b, "run": f"run {n}", "asymmetry": value} for n, value in enumerate(values) for a, b in pairs]
    assert decide("004-006", response_symmetries=rows) == expected


@pytest.mark.parametrize("networks, deviation, expected", [(40, 0.5, "agrees"), (40, 1.5, "disagrees"),
                                                           (2, 0.5, "partly"), (40, 0.75, "partly")])
def test_how_far_saturation_deviates(decide, networks, deviation, expected):
    rows = [{"who": "measured", "network": "VGG19, width 1/4", "networks": networks, "delta": delta,
             "saturation_std": deviation * share} for delta, share in ((0.9, 0.3), (0.99, 1.0), (0.999, 0.9))]
    assert decide("003-090d", projection_tables=rows) == expected


@pytest.mark.parametrize("keep, remove, expected", [
    ((3, 5, 5), (False, False, True), "partly"),  # the smaller network isn't built
    ((3, 5, 5), (False, False, False), "disagrees"), ((3, 9, 5), (False, False, True), "disagrees")])
def test_filters_to_keep(decide, keep, remove, expected):
    rows = [{"index": i, "filters": 8, "keep": k, "remove": r} for i, (k, r) in enumerate(zip(keep, remove))]
    assert decide("003-023", saturation_figure_32=rows) == expected


@pytest.mark.parametrize("flipped, index, expected", [(0.0, 1, "agrees"), (0.01, 1, "disagrees"),
                                                      (0.0, 0.99, "not measured")])
def test_what_is_guaranteed_is_right(decide, flipped, index, expected):
    rows = [{"factor": 0.9, "flipped": flipped, "SI": index}, {"factor": 2, "flipped": 1.0, "SI": index}]
    assert decide("002-017", separation_attack=rows) == expected


def test_the_slides_classifier_behind_layers(decide):
    layers = [{"network": "VGG16 on CIFAR-10", "split": split, "measure": "separation index", "order": 1,
               "layer": f"features.{i}", "index": i, "value": i / 10} for i in range(8) for split in ("train", "test")]
    dense = [{"network": "VGG16 on CIFAR-10", "classifier": "dense", "index": i, "value": 0.2 + (i + i % 3) / 20,
              "train": 1 - i / 9 + i % 2 / 20} for i in range(8)]
    assert decide("002-008c", separation_layers=layers, separation_dense=dense) == "agrees"
    assert decide("002-008d", separation_layers=layers, separation_dense=dense) == "disagrees"
    assert decide("002-010", separation_dense=dense) == "partly", "100 epochs are not more than 100"


@pytest.mark.parametrize("fitted, same", [((0.8, 0.6), "agrees"), ((0.7, 0.5), "disagrees"), ((0.8,), "partly")])
def test_trained_layers_with_a_new_classifier(decide, fitted, same):
    rows = [{"network": network, "way": way, "seed": 0, "accuracy": value}
            for network, whole, new in zip(("VGG11", "VGG13"), (0.8, 0.6), fitted)
            for way, value in (("whole", whole), ("fitted", new))]
    assert decide("003-219", advice_stumps=rows) == "agrees"
    assert decide("003-219b", advice_stumps=rows) == same
    assert decide("003-219c", advice_stumps=rows) == "not measured", "none is trained again"
    assert decide("003-219", advice_stumps=[row for row in rows if row["way"] == "whole"]) == "disagrees"


@pytest.mark.parametrize("seconds, expected", [(16.2, "agrees"), (12, "disagrees")])
def test_what_a_larger_map_costs(decide, seconds, expected):
    rows = [{"pooling": "average", "size": size, "layer": layer, "index": index, "seconds": value * (1 + index)}
            for size, value in ((1, 1), (4, seconds)) for index, layer in enumerate("ab")]
    assert decide("003-112b", probes_places=rows) == expected
