"""What happens to a picture by the way: files, resizes, noise, crops, mirrors."""

import io
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from regvq.data import to_uint8

Harm = Callable[[Image.Image], Image.Image]

NOTHING, WORST = "nothing", "90 %, JPEG 75"


def picture(image: torch.Tensor) -> Image.Image:
    """An image ``[3, H, W]`` in [-1, 1] with 8 bits."""
    return Image.fromarray(to_uint8(image).permute(1, 2, 0).numpy())


def tensor(found: Image.Image) -> torch.Tensor:
    """The way back."""
    return torch.from_numpy(np.array(found)).permute(2, 0, 1).float() / 127.5 - 1


def jpeg(picture: Image.Image, quality: int = 75) -> Image.Image:
    """Through a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def resized(picture: Image.Image, factor: float) -> Image.Image:
    """Both sides times ``factor``."""
    sides = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(sides, Image.Resampling.BICUBIC)


def noisy(picture: Image.Image, levels: float = 4) -> Image.Image:
    """White noise of so many levels in every channel, always the same."""
    values = np.asarray(picture, np.float32)
    noise = np.random.default_rng(0).normal(0, levels, values.shape)
    return Image.fromarray((values + noise).round().clip(0, 255).astype(np.uint8))


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """Without ``share`` of each side, at both ends alike, a pixel or more."""
    across, down = (max(1, round(side * share / 2)) for side in picture.size)
    return picture.crop((across, down, picture.width - across, picture.height - down))


HARMS: dict[str, Harm] = {
    NOTHING: lambda picture: picture,
    "JPEG 75": jpeg,
    "90 %": lambda picture: resized(picture, 0.9),
    "110 %": lambda picture: resized(picture, 1.1),
    WORST: lambda picture: jpeg(resized(picture, 0.9)),
    "110 %, JPEG 75": lambda picture: jpeg(resized(picture, 1.1)),
    "JPEG 50": lambda picture: jpeg(picture, 50),
    "noise": noisy,
    "75 %": lambda picture: resized(picture, 0.75),
    "cut 3 %": lambda picture: cropped(picture, 0.03),
    "cut 10 %": lambda picture: cropped(picture, 0.1),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}
