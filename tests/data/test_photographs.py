"""Folders of photographs and torchvision's sets of them as data sets with splits and a side in their names."""


import numpy as np
import pytest
from PIL import Image

from rrahelpers import data, training
from rrahelpers.data import DataError, downloads, photographs
from rrahelpers.training import RunConfig


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_DATA", str(tmp_path / "sets"))
    monkeypatch.setattr("rrahelpers.data.sets.data_root", lambda: tmp_path / "data")
    return tmp_path / "sets"


def photograph(path, width, height, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), level, np.uint8)).save(path)


def test_names_and_sides():
    assert photographs.name_and_side("food101-128") == ("food101", 128)
    assert photographs.name_and_side("food101") == ("food101", None)
    assert photographs.name_and_side("tiny-imagenet-50") == ("tiny-imagenet", 50)
    assert photographs.name_and_side("mine-0") == ("mine-0", None)


def test_every_fifth_image_of_a_class_is_for_testing(root):
    for number in range(10):
        photograph(root / "mine" / "cat" / f"{number}.png", 8 + number, 6, level=number)
    for number in range(5):
        photograph(root / "mine" / "dog" / f"{number}.png", 6, 9, level=100 + number)
    train, test = (data.load("mine-4", split) for split in data.SPLITS)
    assert train.classes == test.classes == ("cat", "dog")
    assert test.images.shape == (3, 3, 4, 4)
    assert test.images[:, 0, 0, 0].tolist() == [4, 9, 104] and test.labels.tolist() == [0, 0, 1]
    assert sorted(train.images[:, 0, 0, 0].tolist()) == [0, 1, 2, 3, 5, 6, 7, 8, 100, 101, 102, 103]
    assert data.load("mine-2", "test").images.shape == (3, 3, 2, 2)
    with pytest.raises(DataError, match=r"images of 11 sizes.*it is a part of the data set's name: mine-64 for 64"):
        data.load("mine", "train")


def test_splits_may_be_subfolders(root):
    for part, level in (("train", 10), ("val", 200)):
        for name in ("cat", "dog"):
            photograph(root / "mine" / part / name / "1.png", 4, 4, level)
    assert data.load("mine", "train").images.unique().tolist() == [10]
    assert data.load("mine", "test").images.unique().tolist() == [200]
    before = data.checksum("mine")
    photograph(root / "mine" / "val" / "dog" / "2.png", 4, 4, 201)  # no old images from the cache
    assert len(data.load("mine", "test")) == 3 and data.checksum("mine") != before
    photograph(root / "mine" / "train" / "bird" / "1.png", 4, 4, 1)
    with pytest.raises(DataError, match=r"one subfolder for each class in both splits; got 3 in train/ and 2 in val/"):
        data.load("mine", "train")


@pytest.mark.parametrize("files, message", [
    (["train/cat/1.png"], "has no test split; expected a subfolder test or valid or validation or val"),
    (["1.png", "2.png"], "expected a subfolder for each class, got images alone")])
def test_folders_that_are_no_data_set(root, files, message):
    for file in files:
        photograph(root / "mine" / file, 4, 4, 0)
    with pytest.raises(DataError, match=message):
        data.load("mine", "train")


def test_a_network_is_trained_on_a_folder(root, tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_RUNS", str(tmp_path / "runs"))
    for name, level in (("cat", 20), ("dog", 220)):
        for number in range(10):
            photograph(root / "mine" / name / f"{number}.png", 9, 12 + number, level + number)
    run = training.train(RunConfig("resnet20", "mine-8", {"width": 0.25}, epochs=1, batch_size=8))
    assert run.name.startswith("resnet20-mine-8-") and len(run.images("test")) == 4


class Photographs:
    """Stands in for torchvision's Flowers102."""

    def __init__(self, root, split, download):
        assert download
        self.level = {"train": 10, "test": 200}[split]

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return Image.fromarray(np.full((6 + 3 * index, 9, 3), self.level + index, np.uint8)), index


def test_photographs_of_torchvision_are_named_with_their_side(root, monkeypatch):
    from rrahelpers.base.torchvision import torchvision

    monkeypatch.setattr(torchvision.datasets, "Flowers102", Photographs)
    test = data.load("flowers102-5", "test")
    assert test.images.shape == (2, 3, 5, 5) and test.images[:, 0, 2, 2].tolist() == [200, 201]
    assert test.labels.tolist() == [0, 1] and test.source == "torchvision's Flowers102"
    with pytest.raises(DataError, match="(?s)no data set 'flowers102'.*flowers102-128.*another number of pixels"):
        data.load("flowers102", "test")


@pytest.mark.parametrize("name", downloads.DOWNLOADS)
def test_torchvision_has_them(name):
    from rrahelpers.base.torchvision import torchvision

    assert hasattr(torchvision.datasets, downloads.DOWNLOADS[name].dataset)
    assert downloads.is_one(f"{name}-64" if downloads.DOWNLOADS[name].sizes else name)
    assert not downloads.is_one(name if downloads.DOWNLOADS[name].sizes else f"{name}-64")
