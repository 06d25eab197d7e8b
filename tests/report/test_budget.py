"""A time budget: what it leaves out, and that this is said."""

import time

import pytest

from rrahelpers.base.arguments import seconds
from rrahelpers.report import analyse, budget
from tests.report.networks import images, network

pytestmark = pytest.mark.usefixtures("one_thread")
LAYERS = [f"l{n}" for n in range(11)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only trials move."""
    now = [0.0]
    monkeypatch.setattr(budget.time, "perf_counter", lambda: now[0])
    return now


def costs(clock, fixed, each):
    def trial(images):
        clock[0] += fixed + each * images
    return trial


def planned(monkeypatch, clock, time, fixed=1.0, each=0.01, numbers=1e6, speed=1e9, **options):
    monkeypatch.setattr(budget, "_speed", lambda: speed)
    return budget.plan(time, costs(clock, fixed, each), 2000, LAYERS, numbers, **options)


def test_time_enough_leaves_nothing_out(monkeypatch, clock):
    assert planned(monkeypatch, clock, 1e5) == (2000, LAYERS, "")


def test_fewer_images_come_first(monkeypatch, clock):
    count, layers, told = planned(monkeypatch, clock, 200)
    left = 0.8 * (200 - 1.04 - 1.04 - 1.64) - 1  # three trials; the fixed part comes again
    assert layers == LAYERS and told == f"budget: 200 seconds allow {count} of 2000 images"
    assert count == pytest.approx(((0.01**2 + 4e-3 * left) ** 0.5 - 0.01) / 2e-3, abs=1)


def test_the_second_trial_takes_a_quarter_of_the_time_at_most(monkeypatch, clock):
    planned(monkeypatch, clock, 100, fixed=0, each=1)
    assert clock[0] == 4 + 4 + 23  # of 92 seconds that are left


def test_below_the_least_layers_go_and_the_first_and_last_stay(monkeypatch, clock):
    count, layers, told = planned(monkeypatch, clock, 50, fixed=0, each=1)
    assert layers[0] == "l0" and layers[-1] == "l10" and len(layers) == 11 * 0.8 * (50 - 18) // 30.9
    assert told.startswith("budget: 50 seconds allow 30 of 2000 images and") and count == 30
    assert f"{len(layers)} of 11 layers (without l" in told


def test_a_budget_of_nothing_leaves_the_least(monkeypatch, clock):
    count, layers, _ = planned(monkeypatch, clock, 0.1)
    assert (count, layers) == (30, ["l0", "l5", "l10"])


def test_a_report_within_a_budget():
    x, labels = images(300)
    start = time.perf_counter()
    analyse(network(), x, labels, samples=20, progress=False)  # sets up
    report = analyse(network(), x, labels, budget="0.01s", progress=False)  # the trials alone take longer
    assert time.perf_counter() - start < 60
    assert any(note.startswith("budget: ") for note in report.notes)
    assert report.about["images"] < 300 or len(report.layers) < 5
    ample = analyse(network(), x[:30], labels[:30], budget="2h", k=3, progress=False)
    assert ample.about["images"] == 30 and ample.notes == []
    assert ample.layers.equals(analyse(network(), x[:30], labels[:30], k=3, progress=False).layers)


def test_what_is_no_time():
    assert seconds("1.5h") == 5400 and seconds(90) == 90
    with pytest.raises(ValueError, match="expected a time such as 90s"):
        analyse(network(), *images(), budget="soon", progress=False)
