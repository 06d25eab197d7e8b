"""What the rule saves a search: summary and fronts by hand, tables stored once, the command."""

import matplotlib

matplotlib.use("Agg")

import pandas as pd
import pytest

from rrahelpers import data
from rrahelpers.__main__ import main
from rrahelpers.advisor import Space
from rrahelpers.plots.search import fronts as plot
from rrahelpers.study import search
from rrahelpers.training import Interrupted

TINY = {"data_set": "digits", "seeds": 1, "limit": 64, "epochs": 2, "width": 1 / 16, "image_size": 32,
        "space": Space(1, (0,), (1,), (1,)), "budgets": {"VGG19": 6}}


def table():
    """One network, two seeds: with the rule the second of three is passed over, and so another is found."""
    rows = []
    for arm, seed, run, idle, epochs, accuracy, spent in (
            ("with the rule", 0, "a", 0, 10, 0.80, 1.0), ("with the rule", 0, "b", 3, 0, float("nan"), 0.0),
            ("with the rule", 0, "c", 0, 10, 0.90, 1.0), ("with the rule", 1, "a", 0, 10, 0.82, 1.0),
            ("with the rule", 1, "c", 0, 1, 0.30, 1.0),
            ("without it", 0, "a", 0, 10, 0.80, 1.0), ("without it", 0, "b", 3, 10, 0.70, 2.0),
            ("without it", 1, "a", 0, 10, 0.82, 1.0), ("without it", 1, "b", 3, 1, 0.20, 1.0)):
        cost = {"a": 1, "b": 9, "c": 5}[run]
        rows.append({"network": "VGG19", "arm": arm, "seed": seed, "run": f"{run}{seed}", "ends": run, "stem": 0,
                     "width": 1.0, "image_size": 32, "flops": cost, "params": cost, "memory": cost, "idle": idle,
                     "ruled_out": "idle" if idle and not epochs else "", "epochs": epochs, "accuracy": accuracy,
                     "spent": spent})
    return pd.DataFrame(rows)


def test_summary_by_hand():
    rows = search.summary(table()).set_index("arm")
    rule, without = rows.loc["with the rule"], rows.loc["without it"]
    assert rule[["seeds", "drawn", "ruled_out", "trained", "spent"]].tolist() == [2, 2.5, 0.5, 2, 2]
    # 2 of 3 trainings, and 1 of 2: their mean is 7/12, half their distance 1/12, Student's factor 12.706
    assert rule.on_idle == 0 and without.on_idle == pytest.approx(7 / 12)
    assert without.on_idle_high - without.on_idle == pytest.approx(12.706 / 12, abs=1e-3)
    assert rule.accuracy == pytest.approx(0.86) and without.accuracy == pytest.approx(0.81)
    assert rule.gain == pytest.approx(0.05) and rule.gain_low < 0 < rule.gain_high and pd.isna(without.gain)


def test_fronts_by_hand():
    rows = search.fronts(table()).set_index(["arm", "ends"])
    assert rows.front.to_dict() == {("with the rule", "a"): True, ("with the rule", "c"): True,
                                    ("without it", "a"): True, ("without it", "b"): False}
    first = rows.loc["with the rule", "a"]
    assert first.accuracy == pytest.approx(0.81) and first.seeds == 2 and first.low < 0.8 < 0.82 < first.high
    assert pd.isna(rows.loc["with the rule", "c"].low)


def test_the_plot_draws_every_finished_network():
    fig = plot(search.fronts(table()))
    for ax in fig.axes:
        points = [container[0].get_xdata().tolist() for container in ax.containers]
        assert points == [[1, 5], [1, 9]]
    assert [text.get_text() for text in fig.axes[-1].get_legend().texts] == ["with the rule", "without it"]
    assert plot(search.fronts(table().iloc[:0])).axes[0].texts[0].get_text() == "not searched yet"


@pytest.mark.usefixtures("one_thread")
def test_what_is_searched_is_stored_and_read_without_data(monkeypatch):
    assert search.arms(["VGG19"], **TINY).empty
    with pytest.raises(Interrupted):
        search.arms(["VGG19"], compute=True, deadline=0, **TINY)
    found = search.arms(["VGG19"], compute=True, **TINY)
    assert found.arm.unique().tolist() == ["with the rule", "without it"]
    assert (found.epochs[(found.arm == "with the rule") & (found.idle > 0)] == 0).all()
    assert (found.epochs[found.arm == "without it"] > 0).all() and found.front.any()
    assert (found.ruled_out[found.arm == "without it"] == "").all()
    pd.testing.assert_frame_equal(search.arms(["VGG19"], **TINY), found)

    def missing(name):
        raise data.DataError("no data")

    monkeypatch.setattr(data, "checksum", missing)
    pd.testing.assert_frame_equal(search.arms(["VGG19"], **TINY), found)


def test_the_command_searches_and_tells(monkeypatch, capsys):
    asked = []

    def arms(networks, data_set, seeds, **settings):
        asked.append((networks, data_set, seeds, settings["limit"], settings["compute"]))
        if settings["deadline"] is not None:
            raise Interrupted("time is up")
        return table()

    monkeypatch.setattr(search, "arms", arms)
    assert main("search --network VGG19 --data digits --seeds 2 --limit 64".split()) == 0
    assert "without it" in capsys.readouterr().out
    assert main("search --budget 1s".split()) == 0
    assert "time is up. The same command goes on" in capsys.readouterr().out
    assert asked == [(["VGG19"], "digits", 2, 64, True), (["VGG19", "ResNet34"], "cifar10", 3, 20000, True)]
