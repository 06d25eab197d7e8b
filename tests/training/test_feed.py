"""What training gets to see: by hand, and the same whether images are brought to size at once or batch by batch."""

import pytest
import torch

from rrahelpers.data.image_set import ImageSet, fit, resize
from rrahelpers.training import feed as image_feed
from rrahelpers.training.config import RunConfig
from rrahelpers.training.feed import ImageFeed

STEPS = [None, 12, [4, 16], [8, {"canvas": 20}], [{"canvas": 20}, 10]]


@pytest.fixture
def images():
    return torch.randint(0, 256, (30, 3, 8, 8), dtype=torch.uint8)


def feed(images, **fields):
    return ImageFeed(images, RunConfig("m", "d", **fields), torch.device("cpu"))


def seeded():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("size", STEPS)
@pytest.mark.parametrize("augment_first", [False, True])
def test_held_or_not_a_batch_is_the_same(monkeypatch, images, size, augment_first):
    chosen = torch.tensor([3, 29, 0, 3])
    answers = []
    for room in (2**30, 0):
        monkeypatch.setattr(image_feed, "ROOM", room)
        made = feed(images, image_size=size, augment_first=augment_first, augmentation=("crop", "flip"))
        answers.append((made.augmented(chosen, seeded()), torch.cat(list(made.batches())), made.statistics()))
    (x, test, statistics), (x2, test2, statistics2) = answers
    torch.testing.assert_close(x, x2, rtol=0, atol=1e-6)
    assert torch.equal(test, test2) and statistics == statistics2
    expected = images if size is None else fit(images, size)
    assert torch.equal(test, expected)
    assert statistics == ImageSet(expected, torch.zeros(30), ("a",), "", "").statistics()


def test_images_are_augmented_before_they_are_resized_where_asked(images):
    """The dissertation crops at the data's own size (8.3.1): a shift there is a multiple of the enlargement."""
    images[:] = 0
    images[..., 4, 4] = 255
    chosen = torch.arange(30)
    first = feed(images, image_size=32, augmentation=("crop",), augment_first=True).augmented(chosen, seeded())
    native = feed(images, augmentation=("crop",)).augmented(chosen, seeded())
    torch.testing.assert_close(first, resize(native, 32))
    assert first.dtype == torch.float32 and len({tuple(x.flatten().argmax().unsqueeze(0).tolist()) for x in first}) > 3


def test_a_canvas_is_drawn_anew_where_asked(images):
    images[:] = 255
    size = [{"canvas": 20}]
    redrawn = feed(images, image_size=size, redraw_canvas=True, augmentation=())
    fixed = feed(images, image_size=size, augmentation=())
    chosen, generator = torch.zeros(200, dtype=torch.int64), seeded()
    places = [redrawn.augmented(chosen, generator)[:, 0].flatten(1).argmax(1) for _ in range(2)]
    assert len(set(places[0].tolist())) > 50 and not torch.equal(*places)
    corners = torch.stack([places[0] // 20, places[0] % 20])
    assert corners.min() == 0 and corners.max() == 12  # never truncated, up to either edge
    assert len(set(fixed.augmented(chosen, generator)[:, 0].flatten(1).argmax(1).tolist())) == 1
    assert all(x.sum().item() == 3 * 64 for x in redrawn.augmented(chosen[:5], generator))


def test_a_canvas_comes_before_the_augmentation(images):
    """The place is the first step of the source's preprocessing (9.2.1)."""
    images[:] = 255
    made = feed(images, image_size=[{"canvas": 20}, 40], augment_first=True, augmentation=("flip",))
    x = made.augmented(torch.arange(30), seeded())
    assert x.shape == (30, 3, 40, 40)
    placed = fit(images, [{"canvas": 20}]).float().div(255)
    off = torch.stack([(x - resize(way, 40)).abs().amax((1, 2, 3)) for way in (placed, placed.flip(3))])
    assert off.min(0).values.max() < 1e-4 and 5 < (off[0] < off[1]).sum() < 25
