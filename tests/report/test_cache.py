"""Features on the disk: the same numbers, fewer passes, nothing stale, nothing past a limit, nothing half written."""

import os

import pandas as pd
import pytest
import torch

from rrahelpers.__main__ import main
from rrahelpers.report import analyse, cache
from rrahelpers.report.cache import FeatureCache, OnDisk
from tests.report.networks import images, network

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = 2**17  # bytes: a pass for each layer, were there no disk


class Counted(torch.nn.Sequential):
    """Counts the images that pass."""

    passed, twice = 0, False

    def forward(self, x):
        self.passed += len(x)
        return super().forward(2 * x if self.twice else x)


def report(model, x, labels, **options):
    model.passed = 0
    return analyse(model, x, labels, k=5, progress=False, **{"memory": SMALL, **options})


def test_fewer_passes_the_same_numbers_and_none_for_the_next(data_folder):
    model, (x, labels) = Counted(*network()), images()
    plain = report(model, x, labels, memory=2**30)
    once = model.passed
    assert not cache.entries()
    without, many = report(model, x, labels, disk=0), model.passed
    kept, few = report(model, x, labels), model.passed
    again, none = report(model, x, labels), model.passed
    assert many > few == once and none == few - 60
    for other in (without, kept, again):
        pd.testing.assert_frame_equal(other.layers, plain.layers)
        assert list(other.graphs) == list(plain.graphs) and other.about["accuracy"] == plain.about["accuracy"]
    assert len(cache.entries()) == 5 and not list(data_folder.rglob("*.tmp"))


def test_other_images_weights_or_scales_are_other_entries():
    model, (x, labels) = Counted(*network()), images()
    report(model, x, labels)
    for change in (lambda: x.add_(1), lambda: model[0].weight.data.add_(0.1)):
        change()
        assert report(model, x, labels).layers.equals(report(model, x, labels, memory=2**30).layers)
    assert len(cache.entries()) == 15


def test_a_network_that_changed_without_its_weights_is_not_taken_for_the_old_one():
    model, (x, labels) = Counted(*network()), images()
    report(model, x, labels)
    model.twice = True  # as if its source were another
    pd.testing.assert_frame_equal(report(model, x, labels).layers, report(model, x, labels, memory=2**30).layers)


def test_damaged_entries_are_made_anew():
    model, (x, labels) = Counted(*network()), images()
    expected = report(model, x, labels)
    for number, (path, _, _) in enumerate(cache.entries()):
        target = path / ("entry.json" if number % 2 else "maps.bin")
        target.write_bytes(target.read_bytes()[:-7])
    pd.testing.assert_frame_equal(report(model, x, labels).layers, expected.layers)


def test_a_limit_lets_the_oldest_go(data_folder):
    model, (x, labels) = Counted(*network()), images()
    expected = report(model, x, labels, disk=0)
    limited = report(model, x, labels, disk=700_000)
    pd.testing.assert_frame_equal(limited.layers, expected.layers)
    assert 0 < sum(size for _, size, _ in cache.entries()) <= 700_000


def test_what_stays_for_the_next_report_is_less_than_a_report_may_take(monkeypatch):
    model, (x, labels) = Counted(*network()), images()
    report(model, x, labels)
    whole = sum(size for _, size, _ in cache.entries())
    cache.empty()
    monkeypatch.setattr(cache, "LASTING", whole // 2)
    report(model, x, labels)
    assert 0 < sum(size for _, size, _ in cache.entries()) <= whole // 2
    monkeypatch.setattr(cache, "LASTING", 0)
    report(model, x, labels)
    assert not cache.entries()


def test_a_cache_that_is_gone_at_the_end_costs_no_report(monkeypatch):
    def gone(_):
        raise FileNotFoundError("emptied by another process")

    model, (x, labels) = Counted(*network()), images()
    expected = report(model, x, labels, disk=0)
    monkeypatch.setattr(FeatureCache, "shrink", gone)
    pd.testing.assert_frame_equal(report(model, x, labels).layers, expected.layers)


def test_a_disk_that_is_full_costs_passes_and_nothing_else(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    model, (x, labels) = Counted(*network()), images()
    expected = report(model, x, labels, disk=0)
    monkeypatch.setattr(OnDisk, "put", full)
    found = report(model, x, labels)
    pd.testing.assert_frame_equal(found.layers, expected.layers)
    assert any("No space left on device" in note for note in found.notes) and not cache.entries()


def test_what_a_killed_process_left_goes_with_time(data_folder):
    left = data_folder / "features" / "abc.123.tmp"
    left.mkdir(parents=True)
    (left / "maps.bin").write_bytes(b"1" * 100)
    kept = FeatureCache(1000)
    kept.make_room(10)
    assert left.exists()  # of a process that may be at work
    os.utime(left, (0, 0))
    kept.make_room(10)
    assert not left.exists()


def test_the_command_shows_and_empties(capsys, data_folder):
    model, (x, labels) = network(), images()
    assert main(["cache"]) == 0
    assert f"0 entries, 0.0 MB, in {data_folder / 'features'}" in capsys.readouterr().out
    report(model, x, labels)
    assert main(["cache"]) == 0 and "5 entries" in capsys.readouterr().out
    assert main(["cache", "--empty"]) == 0 and "removed 5 entries" in capsys.readouterr().out
    assert not cache.entries()
