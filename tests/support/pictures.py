"""Photographs, and what happens to pictures on their way: ``[3, H, W]`` in [-1, 1] in and out."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regvq.data import Photos, to_uint8


def photographs(size: int, count: int) -> Tensor:
    """Crops of real photographs: ``[count, 3, size, size]``."""
    photos = Photos("val", size, count)
    return torch.stack([photos[number]["image"] for number in range(count)])


def levels(image: Tensor) -> Tensor:
    """Rounded to 8 bits, as any file rounds it."""
    return to_uint8(image).float() / 127.5 - 1


def resized(image: Tensor, factor: float, how: Image.Resampling = Image.Resampling.BICUBIC) -> Tensor:
    """Both sides times ``factor``."""
    picture = _pil(image)
    sides = (round(picture.width * factor), round(picture.height * factor))
    return _tensor(picture.resize(sides, how))


def jpeg(image: Tensor, quality: int = 75) -> Tensor:
    """Saved as JPEG and read again."""
    buffer = io.BytesIO()
    _pil(image).save(buffer, "JPEG", quality=quality)
    return _tensor(Image.open(buffer))


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """In dB, of each pair of images ``[B, 3, H, W]``: ``[B]``."""
    return 10 * torch.log10(4 / (images - others).square().mean((1, 2, 3)))


def _pil(image: Tensor) -> Image.Image:
    return Image.fromarray(to_uint8(image).permute(1, 2, 0).numpy())


def _tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1
