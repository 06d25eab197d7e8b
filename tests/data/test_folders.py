"""Folders of image files: classes, sizes, orientation, damage."""

import numpy as np
import pytest
import torch
from PIL import Image

from rrahelpers.base.torchvision import torchvision
from rrahelpers.data import DataError
from rrahelpers.data.folders import evenly, load_folder


def photograph(path, width, height, mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(pixels, mode) if mode != "I;16" else Image.fromarray(pixels.astype(np.uint16))
    image.save(path)
    return pixels


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
class TestFolder:
    def test_classes_are_subfolders_in_order(self, tmp_path):
        cat = photograph(tmp_path / "b cat" / "deep" / "1.png", 6, 4)
        photograph(tmp_path / "a dog" / "2.PNG", 6, 4, seed=1)
        (tmp_path / "b cat" / "notes.txt").write_text("no image", encoding="utf-8")
        (tmp_path / "empty").mkdir()
        found = load_folder(tmp_path, progress=False)
        assert found.classes == ("a dog", "b cat") and found.labels.tolist() == [0, 1]
        assert found.images.dtype == torch.uint8 and torch.equal(found.images[1],
                                                                 torch.from_numpy(cat).permute(2, 0, 1))

    def test_images_alone_have_no_labels(self, tmp_path):
        grey = photograph(tmp_path / "1.png", 5, 5, "L")
        found = load_folder(tmp_path, progress=False)
        assert found.labels is None and found.classes == () and found.images.shape == (1, 3, 5, 5)
        assert np.array_equal(load_folder(tmp_path, channels=1, progress=False).images[0, 0], grey)

    @pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
    @pytest.mark.parametrize("width, height", [(50, 31), (31, 50), (40, 40), (9, 7)])
    def test_any_size_as_torchvision_evaluates(self, tmp_path, width, height, interpolation):
        photograph(tmp_path / "1.png", width, height)
        found = load_folder(tmp_path, 16, crop=0.875, interpolation=interpolation, progress=False)
        transforms = torchvision.transforms
        expected = transforms.Compose([
            transforms.Resize(18, transforms.InterpolationMode(interpolation)), transforms.CenterCrop(16)])
        with Image.open(tmp_path / "1.png") as image:
            assert np.array_equal(found.images[0].permute(1, 2, 0), np.asarray(expected(image)))

    def test_several_sizes_need_one(self, tmp_path):
        photograph(tmp_path / "1.png", 6, 4)
        photograph(tmp_path / "2.png", 8, 5)
        with pytest.raises(ValueError, match="of 2 sizes, from 4x6 to 5x8 pixels; expected image_size"):
            load_folder(tmp_path, progress=False)
        assert load_folder(tmp_path, 4, progress=False).images.shape == (2, 3, 4, 4)

    def test_a_photograph_on_its_side_is_turned(self, tmp_path):
        pixels = np.zeros((4, 6, 3), np.uint8)
        exif = Image.Exif()
        exif[274] = 6  # to be turned by a quarter
        Image.fromarray(pixels).save(tmp_path / "1.jpg", exif=exif)
        assert load_folder(tmp_path, progress=False).images.shape == (1, 3, 6, 4)

    def test_some_of_many(self, tmp_path):
        for number in range(7):
            photograph(tmp_path / f"{number}.png", 3, 3, seed=number)
        every, some = (load_folder(tmp_path, limit=limit, progress=False).images for limit in (None, 3))
        assert torch.equal(some, every[evenly(7, 3)])

    @pytest.mark.parametrize("make, words", [
        (lambda folder: None, "found none"),
        (lambda folder: (folder / "1.png").write_bytes(b"\x89PNG broken"), "1.png is damaged, or no image"),
        (lambda folder: [photograph(folder / name, 3, 3) for name in ("1.png", "a/1.png")],
         "in subfolders, one for each class, or in the folder itself; got 1 in it and some in a"),
        (lambda folder: photograph(folder / "1.png", 3, 3, "I;16"),
         "expected 8 bits a channel, got Pillow's mode I;16"),
    ])
    def test_what_is_no_folder_of_images(self, tmp_path, make, words):
        make(tmp_path)
        with pytest.raises(DataError, match=words):
            load_folder(tmp_path, progress=False)


def test_what_is_no_folder(tmp_path):
    with pytest.raises(DataError, match="expected a folder of images, got .*nowhere"):
        load_folder(tmp_path / "nowhere", progress=False)


@pytest.mark.parametrize("count, limit", [(10, 3), (7, 7), (100, 99), (5, None), (3, 10)])
def test_evenly_spread_places(count, limit):
    places = evenly(count, limit).tolist()
    assert places == sorted(set(places)) and len(places) == min(count, limit or count) and places[-1] < count
    if limit == 3:
        assert places[0] < 3 <= places[1] < 6 <= places[2]


def test_evenly_spread_places_meet_classes_that_take_turns():
    assert {place % 4 for place in evenly(400, 100).tolist()} == {0, 1, 2, 3}
