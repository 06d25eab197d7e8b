"""Each augmentation against an independent computation.

``draws`` sets what ``augment`` draws, in its order. That order is pinned on purpose: with another one, the same
configuration would train on other images.
"""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F

from rrahelpers.base.torchvision import torchvision
from rrahelpers.training import augmentation
from rrahelpers.training.augmentation import AUGMENTATIONS, augment

functional = torchvision.transforms.functional


def batch(n=6, channels=3, height=16, width=16, low=0, high=256, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (n, channels, height, width), generator=generator, dtype=torch.uint8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def draws(monkeypatch):
    """Make the next draws be at these fractions of their range, the same for every image of the batch."""
    def fix(*fractions):
        queue = list(fractions)
        monkeypatch.setattr(augmentation, "_uniform",
                            lambda n, low, high, generator: torch.full((n,), low + queue.pop(0) * (high - low)))
    return fix


def test_no_augmentation_is_a_change_of_units():
    images = batch()
    assert torch.equal(augment(images, (), seeded()), images.float() / 255)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"unknown augmentation \['cutmix'\]; expected some of \('crop'"):
        augment(batch(), ("crop", "cutmix"), seeded())


@pytest.mark.parametrize("channels, height, width", [(1, 16, 16), (3, 16, 16), (3, 12, 20), (1, 9, 5), (3, 1, 1)])
def test_everything_together_gives_images_in_range_and_is_decided_by_the_generator(channels, height, width):
    images = batch(32, channels, height, width)
    images[0], images[1] = 0, 255
    first, second, other = (augment(images, AUGMENTATIONS, seeded(seed)) for seed in (7, 7, 8))
    assert first.shape == images.shape and first.dtype == torch.float32
    assert first.min() >= 0 and first.max() <= 1 and first.isfinite().all()
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_the_order_of_names_means_nothing():
    images = batch()
    assert torch.equal(augment(images, AUGMENTATIONS, seeded()), augment(images, AUGMENTATIONS[::-1], seeded()))


def test_the_recipe_is_the_one_that_stored_runs_were_trained_with():
    """Run names don't change with this code: whatever changes these numbers makes stored runs irreproducible."""
    images = (torch.arange(4 * 3 * 8 * 8) * 37 % 251).byte().view(4, 3, 8, 8)
    x = augment(images, AUGMENTATIONS, seeded(0))  # under this seed one image is blurred and one is grey
    moments = torch.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))])
    pinned = torch.tensor([[0.4557, 0.4710, 0.3605, 0.4123], [0.3275, 0.3085, 0.2159, 0.0785]])
    torch.testing.assert_close(moments, pinned, atol=2e-4, rtol=0)


# --- crop, flip, rotation -------------------------------------------------------------------------------------------


def shifted(image, right, down):
    """``image`` [C, H, W] moved by whole pixels, zeros moving in."""
    height, width = image.shape[1:]
    padded = F.pad(image, (width, width, height, height))
    return padded[:, height - down:2 * height - down, width - right:2 * width - right]


@pytest.mark.parametrize("names", [("crop",), ("crop", "flip")])
@pytest.mark.parametrize("height, width", [(16, 16), (16, 24)])
def test_a_crop_is_a_shift_by_whole_pixels_and_a_flip_a_mirror_image(names, height, width):
    images = batch(120, 1, height, width, low=1)
    seen = set()
    for image, result in zip(images.float() / 255, augment(images, names, seeded())):
        candidates = {(mirror, right, down): shifted(image.flip(2) if mirror else image, right, down)
                      for mirror in ((False, True) if "flip" in names else (False,))
                      for right in range(-width // 8, width // 8 + 1) for down in range(-height // 8, height // 8 + 1)}
        fits = [key for key, candidate in candidates.items() if torch.allclose(result, candidate, atol=1e-4)]
        assert len(fits) == 1
        seen.add(fits[0])
    for place, side in ((1, width), (2, height)):  # up to an eighth of the side each way, the ends included
        assert {key[place] for key in seen} == set(range(-(side // 8), side // 8 + 1))
    assert {key[0] for key in seen} == ({False, True} if "flip" in names else {False})


def test_half_of_the_images_are_flipped():
    images = batch(1000, 1, 4, 4)
    flipped = augment(images, ("flip",), seeded()).isclose(images.flip(3) / 255, atol=1e-5).all((1, 2, 3))
    kept = augment(images, ("flip",), seeded()).isclose(images / 255, atol=1e-5).all((1, 2, 3))
    assert (flipped ^ kept).all() and 450 < flipped.sum() < 550


def test_a_rotation_by_nothing_is_the_image(draws):
    draws(0.5)
    images = batch(height=12, width=20)
    torch.testing.assert_close(augment(images, ("rotation",), None), images / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fraction", [0, 0.3, 1])
@pytest.mark.parametrize("height, width", [(16, 16), (12, 20)])
def test_a_rotation_agrees_with_scipy(draws, fraction, height, width):
    draws(fraction)
    images = batch(2, 2, height, width)
    angle = math.radians((2 * fraction - 1) * 15)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])  # (row, column)
    centre = np.array([height - 1, width - 1]) / 2
    geometry = {"matrix": matrix, "offset": centre - matrix @ centre, "order": 1, "mode": "grid-constant"}
    expected = [[scipy.ndimage.affine_transform(channel, **geometry) for channel in image]
                for image in (images / 255).double().numpy()]
    result = augment(images, ("rotation",), None).double()
    torch.testing.assert_close(result, torch.tensor(np.array(expected)), atol=1e-4, rtol=0)


# --- colours --------------------------------------------------------------------------------------------------------

MIDDLE = {"low": 100, "high": 156}  # nothing reaches black or white, where torchvision clips between the steps


@pytest.mark.parametrize("fraction", [0, 0.2, 1])
def test_brightness_agrees_with_torchvision(draws, fraction):
    draws(fraction, 0.5, 0.5, 0.5)
    expected = functional.adjust_brightness(batch(**MIDDLE) / 255, 0.8 + 0.4 * fraction)
    torch.testing.assert_close(augment(batch(**MIDDLE), ("colour",), None), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fraction", [0, 0.2, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_agrees_with_torchvision_about_the_mean_of_all_channels(draws, fraction, channels):
    draws(0.5, fraction, 0.5, 0.5)
    images = batch(channels=1, **MIDDLE).expand(-1, channels, -1, -1)  # there torchvision's mean, of the luma, is ours
    expected = functional.adjust_contrast(images / 255, 0.8 + 0.4 * fraction)
    torch.testing.assert_close(augment(images, ("colour",), None), expected, atol=2e-4, rtol=0)


def test_contrast_of_a_coloured_image_keeps_the_mean_of_all_channels(draws):
    draws(0.5, 0, 0.5, 0.5)
    x = batch(**MIDDLE) / 255
    mean = x.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(augment(batch(**MIDDLE), ("colour",), None), mean + 0.8 * (x - mean), atol=1e-5, rtol=0)


@pytest.mark.parametrize("fraction", [0, 0.2, 1])
def test_saturation_agrees_with_torchvision(draws, fraction):
    draws(0.5, 0.5, fraction, 0.5)
    expected = functional.adjust_saturation(batch(**MIDDLE) / 255, 0.8 + 0.4 * fraction)
    torch.testing.assert_close(augment(batch(**MIDDLE), ("colour",), None), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("fraction", [0, 0.7, 1])
def test_hue_turns_the_colour_and_keeps_the_luma(draws, fraction):
    draws(0.5, 0.5, 0.5, fraction)
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])  # NTSC
    before, after = (np.einsum("ij,njhw->inhw", to_yiq, x.double().numpy())
                     for x in (batch(**MIDDLE) / 255, augment(batch(**MIDDLE), ("colour",), None)))
    np.testing.assert_allclose(after[0], before[0], atol=1e-4)
    turned = (after[1] + 1j * after[2]) / (before[1] + 1j * before[2])
    chroma = np.hypot(before[1], before[2]) > 0.05  # the hue of a grey pixel means nothing
    assert chroma.sum() > 100
    np.testing.assert_allclose(turned[chroma], np.exp(2j * np.pi * 0.05 * (2 * fraction - 1)), atol=0.01)


def test_brightness_and_contrast_work_on_one_channel_and_clip(draws):
    draws(1, 1, 0.5)
    images = batch(channels=1)
    x = images.double() / 255
    mean = x.mean((1, 2, 3), keepdim=True)
    expected = (1.2 * (mean + 1.2 * (x - mean))).clamp(0, 1)
    assert ((expected == 0) | (expected == 1)).any()
    torch.testing.assert_close(augment(images, ("colour",), None).double(), expected, atol=1e-5, rtol=0)


def test_greyscale_takes_a_tenth_of_the_images_and_agrees_with_torchvision():
    images = batch(2000, 3, 4, 4)
    x = augment(images, ("greyscale",), seeded())
    grey = (x[:, 0] - x[:, 1]).abs().amax((1, 2)) < 1e-5
    expected = functional.rgb_to_grayscale(images / 255, num_output_channels=3)
    torch.testing.assert_close(x[grey], expected[grey], atol=3e-4, rtol=0)
    torch.testing.assert_close(x[~grey], (images / 255)[~grey], atol=1e-5, rtol=0)
    assert 160 < grey.sum() < 240


def test_greyscale_does_nothing_to_one_channel():
    images = batch(50, channels=1)
    torch.testing.assert_close(augment(images, ("greyscale",), seeded()), images / 255, atol=1e-6, rtol=0)


# --- blur -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction, sigma", [(0, 0.3), (0.5, 0.65), (1, 1.0)])
@pytest.mark.parametrize("channels, height, width", [(3, 12, 20), (1, 16, 16)])
def test_blur_agrees_with_torchvision(draws, fraction, sigma, channels, height, width):
    draws(fraction, 0)
    images = batch(3, channels, height, width)
    edges = F.pad(images / 255, (1, 1, 1, 1), mode="replicate")  # torchvision mirrors the image at its edges
    expected = functional.gaussian_blur(edges, 3, sigma)[..., 1:-1, 1:-1]
    torch.testing.assert_close(augment(images, ("blur",), None), expected, atol=1e-5, rtol=0)


def test_blur_takes_a_tenth_of_the_images():
    images = batch(2000, 1, 4, 4)
    changed = (augment(images, ("blur",), seeded()) - images / 255).abs().amax((1, 2, 3)) > 1e-4
    assert 160 < changed.sum() < 240


def test_a_resized_crop_covers_5_to_100_per_cent_of_the_image():
    """A ramp from left to right and one from top to bottom: their slopes tell the square's size, their means its
    place."""
    side = 64
    ramp = torch.arange(side).float().mul(3).to(torch.uint8)
    images = torch.stack([ramp.expand(side, side), ramp[:, None].expand(side, side),
                          torch.zeros(side, side, dtype=torch.uint8)])
    x = augment(images.expand(400, -1, -1, -1), ["resized_crop"], seeded(3)) * 255 / 3
    across, down = (x[:, 0, 32, 40] - x[:, 0, 32, 24]) / 16, (x[:, 1, 40, 32] - x[:, 1, 24, 32]) / 16
    torch.testing.assert_close(across, down, rtol=0, atol=1e-3)  # a square
    area = across**2
    assert 0.05 - 1e-3 <= area.min() < 0.1 and 0.9 < area.max() <= 1 + 1e-3
    assert area.mean() == pytest.approx(0.525, abs=0.05)  # evenly from 0.05 to 1
    middle = torch.stack([x[:, 0, 32, 31:33].mean(1), x[:, 1, 31:33, 32].mean(1)])
    half = across * side / 2
    assert (middle - half > -0.6).all() and (middle + half < side - 0.4).all()  # within the image
    small = area < 0.2
    assert middle[:, small].min() < 18 and middle[:, small].max() > 45  # anywhere in it
