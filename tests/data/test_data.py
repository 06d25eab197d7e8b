"""Data sets from every place they come from, and what is said when they are missing or damaged."""

import io
import json
import os
import re
import socket
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from rrahelpers import data
from rrahelpers.base import files
from rrahelpers.data import DataError, ImageSet, parquet
from rrahelpers.data.image_set import on_canvas, size_text


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def pictures(n, *shape, seed=0):
    """Random uint8 pictures, ``shape`` being (H, W) for grey or (H, W, 3) for colour."""
    return list(np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8))


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def write_hub(path, images, labels, names=None, image="image", label="label", extra=None):
    """A Parquet file as the Hugging Face hub lays it out; an image is an array, bytes taken as they are, a path, or
    None."""
    rows = [i if i is None else {"bytes": None, "path": i} if isinstance(i, str) else
            {"bytes": i if isinstance(i, bytes) else png(i), "path": None} for i in images]
    table = pa.table({
        **(extra or {}),
        image: pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        label: pa.array(labels, pa.int64()),
    })
    if names:
        about = {"info": {"features": {label: {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def as_tensor(arrays):
    """The pictures [N, H, W, 3] as [N, 3, H, W]."""
    return torch.from_numpy(np.stack(arrays).transpose(0, 3, 1, 2).copy())


# --- digits ---------------------------------------------------------------------------------------------------------


def test_digits_are_split_without_overlap_and_with_all_classes_in_proportion():
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert len(train) + len(test) == 1797
    assert train.images.shape == (len(train), 1, 8, 8) and train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64 and train.classes == tuple("0123456789")
    counts = train.labels.bincount(minlength=10), test.labels.bincount(minlength=10)
    assert (counts[1] / (counts[0] + counts[1]) - 0.2).abs().max() < 0.01

    def rows(s):
        return {row.tobytes() for row in s.images.flatten(1).numpy()}

    assert len(rows(train) | rows(test)) == 1797 and not rows(train) & rows(test)  # scikit-learn's has no duplicates
    assert train.images.max() == 255 and train.images.min() == 0


def test_digits_are_the_same_every_time():
    first, second = data.load("digits", "test"), data.load("digits", "test")
    assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
    # runs are named by this: another value would orphan every stored run on digits
    assert data.checksum("digits") == "14390281609a"


def test_limit_and_image_size_leave_the_checksum_alone():
    whole, part = data.load("digits", "test"), data.load("digits", "test", limit=7, image_size=16)
    assert part.images.shape == (7, 1, 16, 16) and torch.equal(part.labels, whole.labels[:7])
    assert part.checksum == whole.checksum


@pytest.mark.parametrize("arguments, options, message", [
    (("digits", "training"), {}, "unknown split 'training'; expected 'train' or 'test'"),
    (("digits", "test"), {"limit": 0}, "limit must be at least 1, got 0"),
    (("digits", "test"), {"limit": -5}, "limit must be at least 1, got -5"),
    (("digits", "test"), {"image_size": 0}, "image_size must be at least 1 pixel, got 0"),
    (("digits", "test"), {"image_size": -8}, "image_size must be at least 1 pixel, got -8"),
    (("digits", "test"), {"image_size": [16, 0]}, "image_size must be at least 1 pixel, got 0"),
    (("digits", "test"), {"image_size": []}, "expected a side in pixels, {'canvas': side}, or a list of such steps, "
                                             "got []"),
    (("digits", "test"), {"image_size": "32"}, "a list of such steps, got '32'"),
    (("digits", "test"), {"image_size": [16.0]}, "a list of such steps, got [16.0]"),
    (("digits", "test"), {"image_size": {"frame": 64}}, "a list of such steps, got {'frame': 64}"),
    (("digits", "test"), {"image_size": {"canvas": 7}}, "images of 8x8 pixels have no room on a canvas of 7x7"),
    (("", "test"), {}, "expected a data set's name"),
    (("..", "test"), {}, "expected a data set's name"),
    (("a/b", "test"), {}, "expected a data set's name"),
])
def test_impossible_requests(arguments, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        data.load(*arguments, **options)


# --- Parquet --------------------------------------------------------------------------------------------------------


def test_colour_and_grey_images_of_a_parquet_file(data_folder):
    colour, grey = pictures(2, 5, 7, 3), pictures(1, 5, 7)
    images = [colour[0], grey[0], colour[1]]
    write_hub(data_folder / "toy" / "train-00000-of-00001.parquet", images, [1, 0, 1], ["cat", "dog"])
    toy = data.load("toy", "train")
    assert torch.equal(toy.images, as_tensor([colour[0], np.repeat(grey[0][..., None], 3, 2), colour[1]]))
    assert toy.labels.tolist() == [1, 0, 1] and toy.labels.dtype == torch.int64
    assert toy.classes == ("cat", "dog") and "toy" in toy.source


def test_grey_images_alone_keep_one_channel(data_folder):
    grey = pictures(3, 4, 4)
    write_hub(data_folder / "toy" / "data" / "test-00000-of-00001.parquet", grey, [0, 1, 2])  # the hub's own sub-folder
    toy = data.load("toy", "test")
    assert torch.equal(toy.images, torch.from_numpy(np.stack(grey))[:, None])
    assert toy.classes == ("0", "1", "2")


@pytest.mark.parametrize("stem", ["valid", "validation"])
def test_a_validation_split_serves_as_test_split_only_where_there_is_no_other(data_folder, stem):
    write_hub(data_folder / "toy" / f"{stem}-00000-of-00001.parquet", pictures(2, 4, 4), [0, 1])
    assert len(data.load("toy", "test")) == 2
    write_hub(data_folder / "toy" / "test-00000-of-00001.parquet", pictures(3, 4, 4, seed=1), [0, 1, 1])
    assert len(data.load("toy", "test")) == 3


def test_class_names_from_a_listing_go_by_label_and_before_other_sources(data_folder):
    file = write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1], ["hub 0", "hub 1"])
    assert data.load("toy", "train").classes == ("hub 0", "hub 1")
    file.with_name("classes.csv").write_text('label,wnid,name\n1,n2,"tench, the fish"\n0,n1,goldfish\n',
                                             encoding="utf-8")
    assert data.load("toy", "train").classes == ("goldfish", "tench, the fish")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_listing_is_utf8_with_a_byte_order_mark_or_without(data_folder, encoding):
    file = write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1])
    file.with_name("classes.csv").write_text("label,name\n1,Löwe\n0,Bär\n", encoding=encoding)
    assert data.load("toy", "train").classes == ("Bär", "Löwe")


def test_a_listing_in_another_encoding_is_named(data_folder):
    file = write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1])
    file.with_name("classes.csv").write_text("label,name\n1,Löwe\n0,Bär\n", encoding="latin-1")
    with pytest.raises(data.DataError, match="classes.csv: expected text in UTF-8"):
        data.load("toy", "train")


def test_class_names_that_the_files_lack_come_from_our_own_list(data_folder):
    write_hub(data_folder / "cifar10" / "train-0.parquet", pictures(2, 4, 4, 3), [0, 9], image="img")
    assert data.load("cifar10", "train").classes[::9] == ("airplane", "truck")


def test_several_files_are_joined_in_order(data_folder):
    images = pictures(5, 4, 4, 3)
    write_hub(data_folder / "toy" / "train-00001-of-00002.parquet", images[3:], [1, 0])
    write_hub(data_folder / "toy" / "train-00000-of-00002.parquet", images[:3], [0, 1, 1])
    toy = data.load("toy", "train")
    assert torch.equal(toy.images, as_tensor(images)) and toy.labels.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("column", ["image_id", "coarse_label", "label_confidence"])
def test_a_column_of_numbers_before_the_labels_is_not_taken_for_them(data_folder, column):
    write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [1, 0], extra={column: [400, 500]})
    assert data.load("toy", "train").labels.tolist() == [1, 0]


def test_rra_data_comes_before_the_projects_own_folder(data_folder, tmp_path, monkeypatch):
    write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1])
    write_hub(tmp_path / "toy" / "train-0.parquet", pictures(3, 4, 4), [0, 1, 1])
    write_hub(data_folder / "own" / "train-0.parquet", pictures(4, 4, 4), [0, 1, 1, 0])
    assert len(data.load("toy", "train")) == 2
    monkeypatch.setenv("RRA_DATA", str(tmp_path))
    assert len(data.load("toy", "train")) == 3
    assert len(data.load("own", "train")) == 4  # what $RRA_DATA lacks is still found in data/


# --- the decoded cache ----------------------------------------------------------------------------------------------


def test_decoded_once(data_folder, monkeypatch):
    write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1], ["a", "b"])
    first = data.load("toy", "train")
    monkeypatch.setattr(parquet, "read", lambda *_: pytest.fail("decoded again"))
    second = data.load("toy", "train")
    assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
    assert (first.classes, first.checksum, first.source) == (second.classes, second.checksum, second.source)


def test_decoded_again_when_the_file_changes(data_folder):
    file = data_folder / "toy" / "train-0.parquet"
    write_hub(file, pictures(2, 4, 4), [0, 1])
    before = data.load("toy", "train")
    write_hub(file, pictures(2, 4, 4, seed=1), [0, 1])
    os.utime(file, ns=(0, 1))  # even where the clock stood still, and the size is likely the same
    after = data.load("toy", "train")
    assert torch.equal(after.images[:, 0], torch.from_numpy(np.stack(pictures(2, 4, 4, seed=1))))
    assert after.checksum != before.checksum


@pytest.mark.parametrize("damage", [lambda b: b[:len(b) // 2], lambda b: b"", lambda b: b"\xff" * len(b),
                                    lambda b: b.replace(b'"__metadata__"', b'"__metadatA__"')])
def test_a_damaged_cache_is_decoded_again_with_a_warning(data_folder, damage):
    write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1])
    good = data.load("toy", "train")
    cache, = (data_folder / "cache").iterdir()
    cache.write_bytes(damage(cache.read_bytes()))
    with pytest.warns(UserWarning, match=f"{re.escape(str(cache))} is damaged .* decoding the data again"):
        again = data.load("toy", "train")
    assert torch.equal(again.images, good.images) and again.checksum == good.checksum
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.load("toy", "train")  # mended


def test_a_cache_that_cannot_be_written_costs_no_data(data_folder):
    write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), [0, 1])
    (data_folder / "cache").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.warns(UserWarning, match="cannot write .*cache.* decoded again next time"):
        assert len(data.load("toy", "train")) == 2


# --- damaged data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:100], lambda b: b""])
def test_a_truncated_parquet_file_is_named(data_folder, damage):
    write_hub(data_folder / "toy" / "train-00000-of-00002.parquet", pictures(2, 4, 4), [0, 1])
    second = write_hub(data_folder / "toy" / "train-00001-of-00002.parquet", pictures(2, 4, 4), [0, 1])
    second.write_bytes(damage(second.read_bytes()))
    with pytest.raises(DataError, match=f"cannot read {re.escape(str(second))}: the file is damaged or truncated"):
        data.load("toy", "train")
    assert not list((data_folder / "cache").glob("*"))


@pytest.mark.parametrize("image", [png(pictures(1, 30, 30)[0])[:-300], b"no picture", b""])
def test_a_damaged_image_is_named_with_its_file_and_row(data_folder, image):
    write_hub(data_folder / "toy" / "train-00000-of-00002.parquet", pictures(4, 30, 30), [0, 1, 1, 0])
    second = write_hub(data_folder / "toy" / "train-00001-of-00002.parquet", [*pictures(2, 30, 30), image], [0, 1, 1])
    with pytest.raises(DataError, match=f"{re.escape(str(second))}: the image in row 2 is damaged"):
        data.load("toy", "train")


@pytest.mark.parametrize("image, said", [
    (None, "row 1 has no image; expected an encoded image in every row"),
    ("", "row 1 has no image"),
    ("lion.png", "row 1 holds no image but the path of a file that isn't embedded, lion.png; expected that file below"),
    ("/dev/zero", "row 1 holds no image but the path of a file that isn't embedded, /dev/zero"),
    ("../outside.png", "row 1 holds no image but the path of a file that isn't embedded, ../outside.png"),
    ("pictures", "row 1 holds no image but the path of a file that isn't embedded, pictures"),
])
def test_a_row_without_an_image_says_what_it_has_instead(data_folder, image, said):
    file = write_hub(data_folder / "toy" / "train-0.parquet", [pictures(1, 4, 4)[0], image], [0, 1])
    (data_folder / "outside.png").write_bytes(png(pictures(1, 4, 4)[0]))
    (file.parent / "pictures").mkdir()
    with pytest.raises(DataError, match=re.escape(f"{file}: {said}")):
        data.load("toy", "train")


def test_a_path_in_a_row_is_that_of_a_file_beside_the_table(data_folder):
    beside, below = pictures(2, 4, 4)
    write_hub(data_folder / "toy" / "part" / "train-0.parquet", ["beside.png", "pictures/below.png"], [0, 1])
    (data_folder / "toy" / "part" / "pictures").mkdir()
    (data_folder / "toy" / "part" / "beside.png").write_bytes(png(beside))
    (data_folder / "toy" / "part" / "pictures" / "below.png").write_bytes(png(below))
    assert torch.equal(data.load("toy", "train").images, torch.from_numpy(np.stack([beside, below]))[:, None])


TURNED = {1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud, 5: lambda p: p.swapaxes(0, 1),
          6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
          8: np.rot90}  # the EXIF standard's table


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_images_are_turned_upright_as_their_exif_says(data_folder, orientation, form):
    stored = np.kron(pictures(1, 2, 3, 3)[0], np.ones((16, 16, 1), np.uint8))  # large squares: JPEG keeps their middles
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(buffer, form, exif=exif, quality=95)
    write_hub(data_folder / "toy" / "train-0.parquet", [buffer.getvalue()], [0])
    (image,) = data.load("toy", "train").images.numpy()
    expected = TURNED[orientation](stored).transpose(2, 0, 1)
    assert image.shape == expected.shape
    middles = slice(8, None, 16)
    assert np.abs(image[:, middles, middles].astype(int)
                  - expected[:, middles, middles]).max() <= (40 if form == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow says so, and reads the picture
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"])
def test_a_sound_image_with_a_damaged_exif_is_read_as_it_lies(data_folder, exif):
    buffer = io.BytesIO()
    Image.fromarray(pictures(1, 4, 6, 3)[0]).save(buffer, "JPEG", exif=exif)
    write_hub(data_folder / "toy" / "train-0.parquet", [buffer.getvalue()], [0])
    assert data.load("toy", "train").images.shape == (1, 3, 4, 6)


def test_images_of_sixteen_bits_are_refused(data_folder):
    deep = io.BytesIO()
    Image.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369).save(deep, "PNG")
    write_hub(data_folder / "toy" / "train-0.parquet", [deep.getvalue(), deep.getvalue()], [0, 1])
    with pytest.raises(DataError, match="expected images of 8 bits a channel, got Pillow's mode I;16"):
        data.load("toy", "train")


def test_whatever_byte_of_an_image_is_wrong_the_error_is_ours():
    picture = png(pictures(1, 5, 5, 3)[0])
    refused = 0
    for position in range(len(picture)):
        damaged = bytearray(picture)
        damaged[position] ^= 0x80
        try:
            parquet.decode([bytes(damaged)], Path("toy/train-0.parquet"))
        except DataError:
            refused += 1
    assert refused > len(picture) / 2


def test_images_of_several_sizes(data_folder):
    file = write_hub(data_folder / "toy" / "train-0.parquet", [*pictures(1, 4, 6), *pictures(1, 5, 5)], [0, 1])
    expected = f"{file}: expected images of one size, got 2 sizes from (5, 5) to (6, 4)"
    with pytest.raises(DataError, match=re.escape(expected)):
        data.load("toy", "train")


@pytest.mark.parametrize("labels, message", [
    ([0, None], "row 1 has no label"),
    ([0, 2], "expected labels from 0 to 1 for 2 classes, got 0 to 2"),
    ([-1, -1], "expected labels from 0 to 1 for 2 classes, got -1 to -1"),  # the hub's mark for labels held back
])
def test_impossible_labels(data_folder, labels, message):
    file = write_hub(data_folder / "toy" / "train-0.parquet", pictures(2, 4, 4), labels, ["cat", "dog"])
    with pytest.raises(DataError, match=f"{re.escape(str(file))}: {message}"):
        data.load("toy", "train")


def test_a_table_without_rows_or_without_images(data_folder):
    write_hub(data_folder / "empty" / "train-0.parquet", [], [])
    with pytest.raises(DataError, match="expected images, got a table without rows"):
        data.load("empty", "train")
    (data_folder / "text").mkdir()
    pq.write_table(pa.table({"text": ["a"], "label": [0]}), data_folder / "text" / "train-0.parquet")
    with pytest.raises(DataError, match=r"expected a column of encoded images .* got \['text', 'label'\]"):
        data.load("text", "train")


# --- missing data and downloads -------------------------------------------------------------------------------------


def test_a_missing_data_set_lists_every_place_and_what_to_do(data_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RRA_DATA", str(tmp_path))
    with pytest.raises(DataError) as error:
        data.load("nowhere", "test")
    text = str(error.value)
    assert f"{tmp_path / 'nowhere'}/test|valid|validation-*.parquet" in text
    assert f"{data_folder / 'nowhere'}/test|valid|validation-*.parquet" in text
    assert "RRA_DATA" in text and "digits, cifar10" in text


@pytest.fixture
def torchvision_cifar10(monkeypatch):
    """Put a stand-in in the place of torchvision's CIFAR10."""
    from rrahelpers.base.torchvision import torchvision

    return lambda dataset: monkeypatch.setattr(torchvision.datasets, "CIFAR10", dataset)


def test_a_failed_download_lists_every_place_and_the_command(data_folder, tmp_path, monkeypatch, torchvision_cifar10):
    def offline(root, train, download):
        raise URLError("no route to host")

    torchvision_cifar10(offline)
    monkeypatch.setenv("RRA_DATA", str(tmp_path))
    with pytest.raises(DataError) as error:
        data.load("cifar10", "train")
    text = str(error.value)
    for place in (tmp_path / "cifar10", data_folder / "cifar10", data_folder / "torchvision", "no route to host"):
        assert str(place) in text
    command = re.search('python -c "(.*)"', text)[1]

    torchvision_cifar10(fake_cifar10)  # the network is back: the command that was given works
    names = {}
    exec(command.replace("data.load(", "found = data.load("), names)
    assert len(names["found"]) == 3


def fake_cifar10(root, train, download):
    assert download

    class Samples(list):
        classes = ["cat", "dog"]

    return Samples((Image.fromarray(p), label) for p, label in zip(pictures(3, 6, 6, 3, seed=int(train)), [0, 1, 1]))


def test_a_download_is_decoded_and_kept(data_folder, torchvision_cifar10):
    torchvision_cifar10(fake_cifar10)
    train, test = data.load("cifar10", "train"), data.load("cifar10", "test")
    assert torch.equal(train.images, as_tensor(pictures(3, 6, 6, 3, seed=1)))
    assert torch.equal(test.images, as_tensor(pictures(3, 6, 6, 3, seed=0)))
    assert train.labels.tolist() == [0, 1, 1] and train.classes == ("cat", "dog") and "torchvision" in train.source
    torchvision_cifar10(lambda *_, **__: pytest.fail("fetched again"))
    assert torch.equal(data.load("cifar10", "train").images, train.images)


# --- arithmetic -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, size", [((12, 12), 5), ((12, 20), 8), ((8, 8), 32), ((9, 9), 8)])
def test_resize_agrees_with_pillow(shape, size):
    images = pictures(3, *shape, 3)
    bilinear = Image.Resampling.BILINEAR
    expected = as_tensor([np.asarray(Image.fromarray(i).resize((size, size), bilinear)) for i in images])
    resized = data.resize(as_tensor(images), size, batch=2)
    assert resized.dtype == torch.uint8 and resized.shape == (3, 3, size, size)
    difference = (resized.int() - expected.int()).abs()
    assert difference.max() <= 1 and difference.float().mean() < 0.25  # Pillow rounds after each direction


def test_resize_to_the_size_at_hand_changes_nothing():
    images = as_tensor(pictures(2, 6, 6, 3))
    assert torch.equal(data.resize(images, 6), images)


def test_the_steps_of_an_image_size_are_gone_through_in_order():
    images = data.load("digits", "test").images
    steps = data.load("digits", "test", image_size=[4, 32]).images
    assert torch.equal(steps, data.resize(data.resize(images, 4), 32))
    one, plain = (data.load("digits", "test", image_size=size).images for size in ([32], 32))
    assert torch.equal(one, plain)


def test_a_canvas_holds_each_image_whole_at_every_place_alike():
    images = as_tensor([np.maximum(picture, 1) for picture in pictures(4000, 4, 6, 3)])  # no black pixels
    canvases = on_canvas(images, 9)
    filled = canvases.amax(1) > 0
    assert torch.equal(filled.sum((1, 2)), torch.full((4000,), 24))
    assert torch.equal(canvases.permute(0, 2, 3, 1)[filled].view(4000, 24, 3), images.permute(0, 2, 3, 1).flatten(1, 2))
    top, left = filled.any(2).int().argmax(1), filled.any(1).int().argmax(1)
    counts = torch.bincount(4 * top + left, minlength=24)  # 6 x 4 places
    assert len(counts) == 24 and (counts - 4000 / 24).abs().max() < 5 * (4000 / 24) ** 0.5


def test_an_image_keeps_its_place_on_the_canvas_however_many_there_are():
    size = [8, {"canvas": 20}]
    whole = data.load("digits", "test", image_size=size).images
    assert torch.equal(data.load("digits", "test", limit=5, image_size=size).images, whole[:5])
    assert torch.equal(on_canvas(whole, 20), whole)  # no room to be moved


@pytest.mark.parametrize("size, text", [
    (64, "64 px"), ([16, 64], "16 px to 64 px"), ([32, {"canvas": 160}], "32 px on a canvas of 160 px")])
def test_an_image_size_in_words(size, text):
    assert size_text(size) == text


def test_statistics_agree_with_numpy():
    images = as_tensor(pictures(5, 6, 7, 3))
    images[:, 1] = 40  # a constant channel
    images[:, 2] //= 3
    mean, std = ImageSet(images, torch.zeros(5, dtype=torch.long), ("a",), "", "").statistics()
    reference = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, reference.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std[::2], reference.std((0, 2, 3))[::2], rtol=1e-9)
    assert 0 < std[1] < 1e-5  # never zero: it divides


def test_one_pixel_or_label_changes_the_checksum(data_folder):
    file = data_folder / "toy" / "train-0.parquet"
    write_hub(file.with_name("test-0.parquet"), pictures(2, 4, 4), [0, 1])
    images = pictures(2, 4, 4)
    seen = set()
    for stamp, (labels, change) in enumerate([([0, 1], 0), ([0, 1], 1), ([1, 1], 1)]):
        images[1][2, 3] += change
        write_hub(file, images, labels)
        os.utime(file, ns=(0, stamp))
        seen.add((data.load("toy", "train").checksum, data.checksum("toy")))
    assert len({a for a, _ in seen}) == 3 and len({b for _, b in seen}) == 3


def test_the_checksum_does_not_depend_on_the_encoding(data_folder):
    images = pictures(2, 4, 4)
    buffers = [io.BytesIO(), io.BytesIO()]
    for image, buffer in zip(images, buffers):
        Image.fromarray(image).save(buffer, "BMP")
    write_hub(data_folder / "a" / "train-0.parquet", images, [0, 1])
    write_hub(data_folder / "b" / "train-0.parquet", [buffer.getvalue() for buffer in buffers], [0, 1])
    assert data.load("a", "train").checksum == data.load("b", "train").checksum


def test_the_readme_makes_a_data_set_of_the_first_classes(tmp_path, monkeypatch):
    """The recipe in data/README.md, on four images of Tiny ImageNet's kind."""
    labels = [49, 50, 0, 0]
    for name in ("train", "valid"):
        write_hub(tmp_path / "downloaded" / f"{name}-0.parquet", pictures(4, 64, 64, 3), labels)
    text = (files.project_root() / "data" / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    monkeypatch.setenv("RRA_DATA", str(tmp_path))
    for name in ("train", "test"):
        assert data.load("tiny-imagenet-50", name).labels.tolist() == [0, 49, 0]  # a turn of each class, then the next
