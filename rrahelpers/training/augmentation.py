"""The sources' augmentations on whole batches of tensors, one draw for each image.

"resized_crop" is the dissertation's (9.1.1), the others the STAC paper's (section 5). The paper names crop, flip,
rotation, colour jitter, greyscale and blur without their strengths; ours are the constants below. Crop, flip and
rotation are one affine resampling, colour jitter and greyscale one affine map of the colours, so that the whole chain
costs a few per cent of a ResNet20 training step. Contrast turns about the mean of all channels (torchvision: about the
mean luma).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from rrahelpers.base.shapes import ImageTensor

AUGMENTATIONS = ("crop", "flip", "rotation", "colour", "greyscale", "blur")  # the STAC paper's
KNOWN = (*AUGMENTATIONS, "resized_crop")

SHIFT = 1 / 8  # crop: largest shift, as a share of the side (4 pixels at 32), zeros outside
ANGLE = 15  # rotation: largest angle in degrees
JITTER = 0.2  # colour: brightness, contrast and saturation are scaled by 1 - JITTER to 1 + JITTER
HUE = 0.05  # colour: largest shift of the hue, in turns
GREYSCALE = 0.1  # greyscale: probability
BLUR = 0.1  # blur: probability of a 3x3 Gaussian blur
SIGMA = (0.3, 1.0)  # blur: standard deviation in pixels
AREA = (0.05, 1.0)  # resized_crop: share of the image that the square covers

LUMA = (0.299, 0.587, 0.114)
YIQ = ((0.299, 0.587, 0.114), (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))


def augment(images: ImageTensor, names: Iterable[str], generator: torch.Generator) -> ImageTensor:
    """Augment a batch.

    Parameters
    ----------
    images: uint8 [N, C, H, W] with C = 1 or 3 (with one channel, greyscale, saturation and hue do nothing).
    names: which of ``KNOWN`` to apply.
    generator: ``torch.Generator`` on the images' device.

    Returns float32 [N, C, H, W] in [0, 1].
    """
    if unknown := set(names) - set(KNOWN):
        raise ValueError(f"unknown augmentation {sorted(unknown)}; expected some of {KNOWN}")
    x = images.float() / 255
    if {"crop", "flip", "rotation", "resized_crop"} & set(names):
        x = _resample(x, names, generator)
    if {"colour", "greyscale"} & set(names):
        x = _recolour(x, names, generator)
    if "blur" in names:
        x = _blur(x, generator)
    return x


def _resample(x, names, generator):
    n, _, height, width = x.shape
    angle = _uniform(n, -ANGLE, ANGLE, generator) * (math.pi / 180 if "rotation" in names else 0)
    mirror = torch.where(_uniform(n, 0, 1, generator) < 0.5, -1.0, 1.0) if "flip" in names else torch.ones_like(angle)
    reach = [int(side * SHIFT) if "crop" in names else 0 for side in (width, height)]
    shift = [2 * torch.round(_uniform(n, -r - 0.5, r + 0.5, generator).clamp(-r, r)) / side if r
             else torch.zeros_like(angle)
             for r, side in zip(reach, (width, height))]
    cos, sin = angle.cos(), angle.sin()
    if "resized_crop" in names:  # the place of the square: as far from the middle as it stays within the image
        scale = _uniform(n, *AREA, generator).sqrt()
        shift = [s + _uniform(n, -1, 1, generator) * (1 - scale) for s in shift]
        cos, sin = scale * cos, scale * sin
    rows = [mirror * cos, -mirror * sin * height / width, shift[0], sin * width / height, cos, shift[1]]
    grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _recolour(x, names, generator):
    n, channels = x.shape[:2]
    ones = torch.ones(n, device=x.device)
    jitter = "colour" in names
    brightness, contrast, saturation = (
        _uniform(n, 1 - JITTER, 1 + JITTER, generator) if jitter else ones for _ in range(3))
    matrix = torch.eye(channels, device=x.device).expand(n, -1, -1)
    if channels == 3:
        if jitter:
            matrix = _hue_rotation(_uniform(n, -HUE, HUE, generator))
        if "greyscale" in names:
            saturation = torch.where(_uniform(n, 0, 1, generator) < GREYSCALE, 0.0, saturation)
        luma = torch.tensor(LUMA, device=x.device).expand(3, 3)
        saturation = saturation[:, None, None]
        matrix = (saturation * torch.eye(3, device=x.device) + (1 - saturation) * luma) @ matrix
    matrix = matrix * (brightness * contrast)[:, None, None]
    mean = x.mean((1, 2, 3)) * brightness * (1 - contrast)
    return torch.baddbmm(mean[:, None, None], matrix, x.flatten(2)).view_as(x).clamp(0, 1)


def _hue_rotation(turns):
    """The colour matrices [N, 3, 3] that rotate the hue by ``turns`` [N] in the IQ plane."""
    basis = torch.tensor(YIQ, device=turns.device)
    cos, sin, zero, one = (2 * math.pi * turns).cos(), (2 * math.pi * turns).sin(), turns * 0, turns * 0 + 1
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    return torch.linalg.inv(basis) @ rotation @ basis


def _blur(x, generator):
    n = x.shape[0]
    sigma = _uniform(n, *SIGMA, generator)
    chosen = _uniform(n, 0, 1, generator) < BLUR
    side = torch.exp(-1 / (2 * sigma**2)) * chosen
    side = (side / (1 + 2 * side)).view(n, 1, 1, 1)
    for dim, pad in ((3, (1, 1, 0, 0)), (2, (0, 0, 1, 1))):
        y = F.pad(x, pad, mode="replicate")
        size = x.shape[dim]
        x = (1 - 2 * side) * x + side * (y.narrow(dim, 0, size) + y.narrow(dim, 2, size))
    return x


def _uniform(n, low, high, generator):
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low
