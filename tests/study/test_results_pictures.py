"""The pictures that notebooks show: from the data, or from what was stored when they were there."""

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from rrahelpers import data
from rrahelpers.data import sets
from rrahelpers.study import batch
from rrahelpers.study.results import pictures, pictures_of
from rrahelpers.training.runs import store_root
from rrahelpers.training.tables import RunError
from tests.data.test_data import write_hub


def write(folder, pixels):
    for split, part in (("train", pixels[:10]), ("test", pixels[10:])):
        write_hub(folder / "toy" / f"{split}-0.parquet", list(part), [i % 3 for i in range(len(part))])


@pytest.fixture(params=[(), (3,)], ids=["grey", "colour"])
def folder(request, tmp_path, monkeypatch):
    """A data set "toy" in a folder that RRA_DATA names."""
    write(tmp_path, np.random.default_rng(0).integers(0, 256, (30, 6, 6, *request.param), dtype=np.uint8))
    monkeypatch.setenv("RRA_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("size", [None, 12])
def test_without_the_data_the_stored_pictures_are_shown(folder, monkeypatch, size):
    whole = data.load("toy", "test", image_size=size)
    found = pictures("toy", size, count=4)
    assert torch.equal(found.images, whole.images[:4]) and torch.equal(found.labels, whole.labels[:4])
    assert (found.total, found.classes, found.checksum) == (len(whole), whole.classes, data.checksum("toy"))
    monkeypatch.delenv("RRA_DATA")
    with pytest.raises(data.DataError):
        data.load("toy", "test")
    again = pictures("toy", size, count=4)
    assert torch.equal(again.images, found.images) and again.labels.tolist() == found.labels.tolist()
    assert (again.total, again.classes, again.checksum, str(again)) == (found.total, found.classes, found.checksum,
                                                                       str(found))
    with pytest.raises(data.DataError, match="no data set 'toy'"):  # others weren't stored
        pictures("toy", size, count=5)


def test_other_data_replace_the_stored_pictures(folder):
    first = pictures("toy", count=4)
    write(folder, np.full((30, 6, 6, 3), 7, np.uint8))
    second = pictures("toy", count=4)
    assert second.checksum != first.checksum and (second.images == 7).all()
    assert len(list((store_root() / "pictures").glob("*.png"))) == 1


def test_without_its_very_data_a_run_has_the_pictures_of_another_copy(folder, monkeypatch):
    def run(checksum):
        def images(split, limit, *, download):
            if data.checksum("toy", download=download) != checksum:
                raise data.DataError("other data")
            return split, limit

        config = SimpleNamespace(data="toy", image_size=None, data_checksum=checksum)
        return SimpleNamespace(name="a run", config=config, images=images)

    whole = data.load("toy", "train")
    monkeypatch.setattr(sys.modules["rrahelpers.study.results.pictures"], "EXPLORED", 4)
    own, other = run(data.checksum("toy")), run("another")
    assert pictures_of(own, "test", 8) == ("test", 8)
    with pytest.warns(UserWarning, match="a run was trained on another copy of toy than these pictures are of"):
        found = pictures_of(other, "train", 8)
    monkeypatch.delenv("RRA_DATA")
    with pytest.warns(UserWarning, match="another copy"):
        stored = pictures_of(other, "train", 8)
    for few in (found, stored, pictures_of(own, "train", 8)):  # the own ones are of the very data: nothing is said
        assert torch.equal(few.images, whole.images[:4]) and torch.equal(few.labels, whole.labels[:4])


def test_nothing_is_downloaded_where_pictures_are_stored(monkeypatch):
    """A fresh clone draws its figures without a data set, on a machine with a network too."""
    from rrahelpers.base.torchvision import torchvision

    def cifar10(root, train, download):
        asked.append(download)
        if not download:
            raise RuntimeError("Dataset not found or corrupted.")

        class Samples(list):
            classes = ["cat", "dog"]

        return Samples((Image.fromarray(np.full((4, 4, 3), i, np.uint8)), i % 2) for i in range(6))

    asked = []
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", cifar10)
    monkeypatch.delenv("RRA_DATA", raising=False)
    first = pictures("cifar10", count=3)
    assert True in asked
    shutil.rmtree(sets.data_root() / "cache")
    asked.clear()
    assert torch.equal(pictures("cifar10", count=3).images, first.images)
    assert batch._checksum("cifar10") is None
    assert set(asked) == {False}


def test_bundled_digits_are_not_stored():
    assert pictures("digits", 16).images.shape == (10, 1, 16, 16)
    assert not (store_root() / "pictures").exists()


def test_damaged_pictures_say_what_to_do(folder, monkeypatch):
    pictures("toy", count=4)
    (path,) = (store_root() / "pictures").glob("*.png")
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(path)
    monkeypatch.delenv("RRA_DATA")
    with pytest.raises(RunError, match="is damaged .*; restore both with git checkout"):
        pictures("toy", count=4)
