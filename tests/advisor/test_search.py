"""The search: its fronts and halving by hand, its rule against the table, and one result however often it is killed."""

import math

import numpy as np
import pandas as pd
import pytest

from rrahelpers import complexity, models
from rrahelpers.advisor import Space, front, search, searching
from rrahelpers.advisor.candidates import candidates
from rrahelpers.advisor.searching import interval
from rrahelpers.base.devices import default_device
from rrahelpers.receptive_field import beyond_border, receptive_fields
from rrahelpers.training import Interrupted, RunConfig, loop, runs

SMALL = {"options": {"width": 1 / 16}, "image_size": 32, "limit": 64, "epochs": 3, "batch_size": 32, "augmentation": ()}
SPACE = Space(depths=2, widths=(1,), resolutions=(1,))

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def trainings(monkeypatch):
    """A made-up training: the wider and the deeper the better, 1 point more an epoch. Returns what was asked for."""
    asked = []

    def train_until(config, epochs, **_):
        asked.append((config, epochs))
        depth = {"features.8": 0.1, "features.18": 0.2}.get(config.options.get("truncate_at"), 0.3)
        accuracy = depth + config.options["width"] + 0.01 * config.seed
        return [{"loss": 1.0, "test_accuracy": accuracy + epoch / 100, "seconds": 2.0} for epoch in range(epochs)]

    monkeypatch.setattr(searching, "train_until", train_until)
    return asked


def test_the_front_by_hand():
    table = pd.DataFrame({"accuracy": [0.9, 0.8, 0.8, 0.95, np.nan, 0.9], "flops": [5, 3, 4, 9, 1, 5],
                          "params": [5, 3, 3, 9, 1, 5], "memory": [5, 3, 3, 9, 1, 5]})
    assert front(table).tolist() == [True, True, False, True, False, True]  # equals don't beat each other


def test_the_interval_by_the_printed_table_of_student():
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert mean == 2 and high - mean == pytest.approx(4.303 / math.sqrt(3), rel=1e-3) and mean - low == high - mean
    assert interval([0.5])[0] == 0.5 and math.isnan(interval([0.5])[1])
    assert all(map(math.isnan, interval([0.5, math.nan])))  # one that diverged


@pytest.mark.parametrize("epochs, rounds", [(1, [1]), (2, [1, 2]), (3, [1, 3]), (10, [1, 3, 10]), (90, [10, 30, 90])])
def test_rounds(epochs, rounds):
    assert searching._rounds(epochs, 3) == rounds


def test_candidates_are_what_is_trained_and_counted():
    start = loop.resolve(RunConfig("vgg11", "digits", **SMALL))
    found = list(candidates(start, Space(depths=3, widths=(1, 2), resolutions=(1, 1.5)), seed=1))
    assert found[0].config == start and len(found) == 4 * 3 * 2 * 2
    assert len({candidate.config.name for candidate in found}) == len(found)
    assert {candidate.image_size for candidate in found} == {32, 48}
    for candidate in found[::7]:
        model = models.build("vgg11", in_channels=1, **candidate.config.options)
        shape = (1, candidate.image_size, candidate.image_size)
        assert (candidate.flops, candidate.params) == complexity.count(model, shape, "macs")
        assert candidate.memory == complexity.memory(model, shape)
        assert candidate.idle == beyond_border(receptive_fields(model, shape), shape).sum()
    again = list(candidates(start, Space(depths=3, widths=(1, 2), resolutions=(1, 1.5)), seed=1))
    assert [c.row() for c in again] == [c.row() for c in found]


def test_in_a_resnet_ends_are_where_all_paths_meet():
    start = loop.resolve(RunConfig("resnet18", "digits", options={"width": 1 / 16}, image_size=32))
    found = {c.ends for c in candidates(start, Space(depths=9, stems=(0,), widths=(1,), resolutions=(1,)))}
    assert found == {"", "layer2.0.conv1", "layer2.1.conv1", "layer3.0.conv1", "layer3.1.conv1", "layer4.0.conv1",
                     "layer4.1.conv1"}


def test_what_is_predicted_to_be_idle_is_never_trained(trainings):
    table = search("vgg11", "digits", budget=100, space=SPACE, **SMALL)
    idle = table[table.idle > 0]
    assert len(idle) and (idle.epochs == 0).all() and (idle.spent == 0).all()
    assert idle.ruled_out[0] == "3 of 8 convolutions get more than 32 pixels already"
    names = {config.name for config, _ in trainings}
    assert names == set(table.run[table.idle == 0])
    without = search("vgg11", "digits", budget=100, space=SPACE, rule=False, **SMALL)
    assert (without.ruled_out == "").all() and (without.epochs > 0).all()
    assert without.run.tolist() == table.run.tolist()  # the same draw


def test_halving_by_hand(trainings):
    space = Space(depths=2, stems=(0,), widths=(1, 2, 4), resolutions=(1,))
    table = search("vgg11", "digits", budget=1000, space=space, rule=False, seeds=(0, 1), **SMALL)
    assert len(table) == 9 and (table.epochs[table.epochs < 3] == 1).all()
    finished = table[table.epochs == 3]
    # a third goes on: the most accurate, none of which another beats (0.55; 0.45; 0.425 for less arithmetic than that)
    assert set(zip(finished.ends, finished.width)) == {("", 0.25), ("features.18", 0.25), ("", 0.125)}
    assert (finished.seeds == 2).all() and finished.accuracy.tolist() == pytest.approx(
        [{"features.8": 0.1, "features.18": 0.2}.get(row.ends, 0.3) + row.width + 0.02 + 0.005
         for row in finished.itertuples()])
    unit = table.flops[0]
    assert finished.spent.tolist() == pytest.approx([(3 + 3) / 3 * flops / unit for flops in finished.flops])
    assert (finished.seconds == 12).all()  # two trainings of three epochs


def test_the_budget_is_kept(trainings):
    space = Space(depths=2, widths=(0.5, 1, 2))
    for budget in (1.5, 4, 20):
        table = search("vgg11", "digits", budget=budget, space=space, rule=False, **SMALL)
        unit = table.flops[0] * 3
        spent = sum(table.flops[table.run == name].iloc[0] * epochs / unit
                    for name, epochs in table.set_index("run").epochs.items())
        assert spent == pytest.approx(table.spent.sum()) and 0 < spent <= budget
        assert (table.epochs == 3).any()
    with pytest.raises(ValueError, match="a budget of 0.5 trainings leaves 0.25 for the last of 2 rounds; expected at "
                                         "least 1.3"):
        search("vgg11", "digits", budget=0.5, space=space, **SMALL)


def test_where_all_is_idle_that_is_said():
    with pytest.raises(ValueError, match="all 1 networks are ruled out, the first because 3 of 8 convolutions"):
        search("vgg11", "digits", budget=9, space=Space(0, (0,), (1,), (1,)), **SMALL)


@pytest.mark.parametrize("changed, message", [
    ({"options": {"truncate_at": "features.8"}}, "whose layers are not changed yet, got the options .'truncate_at'"),
    ({"image_size": {"canvas": 40}}, "expected image_size to be a side in pixels"),
])
def test_starts_that_cannot_be_changed(changed, message):
    with pytest.raises(ValueError, match=message):
        search("vgg11", "digits", budget=9, **(SMALL | changed))


def test_a_search_that_is_broken_off_goes_on_to_the_same_result(monkeypatch):
    asked = {"budget": 4, "space": Space(2, (0,), (1,), (1,)), "rule": False, "device": default_device()}
    real, calls = loop._train, []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise Interrupted("killed")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_train", dies)
        with pytest.raises(Interrupted, match="killed"):
            search("vgg11", "digits", **asked, **SMALL)
    table = search("vgg11", "digits", **asked, **SMALL)
    assert table.front.any() and table.accuracy.between(0, 1).sum() == 3
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_train", lambda *_: pytest.fail("trained once more"))
        pd.testing.assert_frame_equal(search("vgg11", "digits", **asked, **SMALL), table)
    run = next(run for run in runs.stored_runs() if run.name == table.run[table.front].iloc[0])
    assert run.accuracy == table.accuracy[table.front].iloc[0]
