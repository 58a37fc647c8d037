"""What happens to most pictures by the way, as far as the mark is to outlive it."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regvq.data.images import to_uint8

QUALITY = 75
"""Of the JPEG file that a picture goes through."""

SHRUNK = 0.9
"""The length of its sides on the way, as a share of what they were."""


def worn(image: Tensor) -> Tensor:
    """An image ``[3, H, W]`` in [-1, 1] after a resize to nine tenths of its sides and JPEG 75.

    Of what the mark is asked to outlive, this takes the most from it (docs/responsible-use.md).

    Returns:
        ``[3, 0.9 H, 0.9 W]`` float32 in [-1, 1].
    """
    picture = Image.fromarray(to_uint8(image).permute(1, 2, 0).numpy())
    sides = (max(1, round(picture.width * SHRUNK)), max(1, round(picture.height * SHRUNK)))
    file = io.BytesIO()
    picture.resize(sides, Image.Resampling.BICUBIC).save(file, "JPEG", quality=QUALITY)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 127.5 - 1
