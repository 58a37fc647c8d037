"""What happens to most pictures by the way, as far as the mark is to outlive it."""

import io

from PIL import Image
from torch import Tensor

from regvq.data.images import load_image, to_uint8

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
    return load_image(file.getvalue())
