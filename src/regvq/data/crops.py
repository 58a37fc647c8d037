"""The square of an image that a sample shows: one transform for a picture and its label map."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

# A training crop shows at least this part of the short side: enough to vary, and things stay whole.
SMALLEST_CROP = 0.8


@dataclass(frozen=True)
class Square:
    """A square inside an image, in pixels; ``mirror`` turns it left to right."""

    top: int
    left: int
    side: int
    mirror: bool = False


def middle_square(height: int, width: int) -> Square:
    """The largest square, in the middle."""
    side = min(height, width)
    return Square((height - side) // 2, (width - side) // 2, side)


def random_square(height: int, width: int, least: int, mirror: bool, rng: np.random.Generator) -> Square:
    """A square of 0.8 to 1 of the short side at a random place, half of them mirrored.

    Args:
        height: of the image, in pixels.
        width: likewise.
        least: no smaller side where the image has so many pixels.
        mirror: whether it may be mirrored.
        rng: four numbers are drawn from it, whatever the arguments.
    """
    short = min(height, width)
    part, down, across, turn = rng.random(4)
    side = min(short, max(least, round(short * (SMALLEST_CROP + (1 - SMALLEST_CROP) * part))))
    top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
    return Square(top, left, side, mirror and bool(turn < 0.5))


def cut_image(image: Tensor, square: Square, size: int) -> Tensor:
    """The square of an image [3, H, W] in [-1, 1], bicubic: ``[3, size, size]``."""
    return _cut(image, square, size, InterpolationMode.BICUBIC).clamp_(-1, 1)


def cut_labels(labels: Tensor, square: Square, size: int) -> Tensor:
    """The square of a label map [H, W] (int64), by the nearest pixel: ``[size, size]``."""
    return _cut(labels[None], square, size, InterpolationMode.NEAREST_EXACT)[0]


def fit_labels(labels: Tensor, height: int, width: int) -> Tensor:
    """A label map [h, w] of the same scene in another resolution, by the nearest pixel: ``[H, W]``."""
    resized: Tensor = v2.resize(labels[None], [height, width], InterpolationMode.NEAREST_EXACT)
    return resized[0]


def _cut(picture: Tensor, square: Square, size: int, interpolation: InterpolationMode) -> Tensor:
    """The same for a picture and for its labels but for the interpolation.

    That is named here because torchvision's own for masks lies half a pixel beside the image's.
    """
    cut = v2.crop(picture, square.top, square.left, square.side, square.side)
    if square.side != size:
        cut = v2.resize(cut, [size, size], interpolation, antialias=True)
    if square.mirror:
        cut = v2.horizontal_flip(cut)
    return torch.clone(cut, memory_format=torch.contiguous_format)
