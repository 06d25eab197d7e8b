"""What chapter 7 says in words and in tables, on numbers that can be checked by hand."""

import pandas as pd
import pytest

from rrahelpers import models
from rrahelpers.study.eigenspaces import projections
from rrahelpers.study.eigenspaces.relevant import Relevance, side_by_side


def rows(network, delta, subspace, *relative, dimensions=10):
    """Rows of some seeds: the unprojected accuracy is 0.8."""
    return pd.DataFrame([{"network": network, "run": f"{network}-{seed}", "delta": delta, "subspace": subspace,
                          "draw": 0, "dimensions": dimensions, "accuracy": 0.8 * value, "difference": 0.8 * (1 - value),
                          "relative": value, "seed": seed} for seed, value in enumerate(relative)])


def test_the_layers_and_dimensions_that_the_dissertation_projects():
    resnet = models.resnet18(num_classes=10)
    assert len(projections.projected_layers(resnet)) == 17
    assert projections.dimensions(resnet) == 3904  # as printed (7.4.1)
    vgg = models.vgg11(width=1 / 16)
    assert projections.projected_layers(vgg)[-1] == "classifier.6"  # the logits too
    assert projections.dimensions(vgg) == (64 + 128 + 2 * 256 + 4 * 512) // 16 + 16 + 10


def test_statements():
    table = pd.concat([rows("A", 0.9, "eigenspace", 0.2, 0.4), rows("B", 0.9, "eigenspace", 0.5),
                       rows("A", 0.99, "eigenspace", 0.9, 0.9), rows("A", 0.99, "random", 0.1, 0.3)])
    found = projections.statements(table, [0.9, 0.99], 0.125).set_index("statement")["measured, relative accuracy"]
    assert found["eigenspaces at δ = 90 %"] == "0.40 (0.30 to 0.50; guessing: 0.12)"  # the mean of A's 0.3 and B's 0.5
    assert found["eigenspaces at δ = 99 %"] == "0.90 (0.90 to 0.90; guessing: 0.12)"
    assert found["random subspaces at δ = 96 %"] == "not in this profile"
    assert found["random subspaces at δ = 99 %"] == "0.20 (0.20 to 0.20; guessing: 0.12)"
    assert found["smallest δ with half of the accuracy, eigenspaces"] == "0.99"
    assert found["smallest δ with half of the accuracy, random subspaces"] == "none of them"


def test_statements_without_a_network():
    found = projections.statements(projections.accuracies([], None, [0.9], None), [0.9], None)
    assert set(found["measured, relative accuracy"]) == {"not trained yet", "not in this profile"}


def test_printed_and_measured_tests_side_by_side():
    network = ["resnet18", {}]
    table = pd.concat([rows("ResNet18", 0.9, "eigenspace", 0.5, 0.5 - 0.0125, 0.5 + 0.0125, dimensions=976),
                       rows("ResNet18", 0.99, "eigenspace", 1.0, 1.0, 1.0, dimensions=1952)])
    one = Relevance(network, table)
    assert one.title == "ResNet18" and one.size == 3904 and one.heading.endswith("measured: 3")
    beside = one.beside([0.9, 0.99])
    assert list(beside.index) == ["0.99", "0.9"]
    last = beside.loc["0.9", "measured"]
    # differences of 0.40, 0.41 and 0.39: their mean is 0.40, its error 0.01 / √3, t(2) at 97.5 % is 4.303
    assert last["lost [95 %]"] == f"+40.00 [{40 - 4.303 / 3**0.5:+.2f}, {40 + 4.303 / 3**0.5:+.2f}]"
    assert last["t"] == f"{0.4 / (0.01 / 3**0.5):.2f}" and last["dimensions"] == "976 (25%)"
    row = one.relevant(alpha=0.01, margin=0.01)
    assert row["measured", "no loss significant at 0.01"].startswith("0.99: 1952 (50%)")
    assert row["published", "named in the text"] == "0.9998: 2153 (55%)"
    saved = side_by_side([one])
    assert saved.who.value_counts().to_dict() == {"published": len(one.printed), "measured": 2}


def test_a_network_that_is_not_trained_yet():
    one = Relevance(["vgg11", {"width": 0.25}], pd.DataFrame(columns=projections.COLUMNS))
    assert one.measured.empty and one.heading.endswith("measured: 0")
    assert set(one.beside([0.9])["measured", "t"]) == {""}
    assert one.relevant(0.01, 0.01)["measured", "no loss significant at 0.01"] == "not trained yet"


@pytest.mark.parametrize("model", ["resnet18", "vgg11", "vgg13", "vgg19"])
def test_every_printed_table_can_be_shown(model):
    one = Relevance([model, {}], pd.DataFrame(columns=projections.COLUMNS))
    assert len(one.beside(one.printed.delta)) == len(one.printed)
