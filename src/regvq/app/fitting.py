"""A visitor's image in the size that a generator makes."""

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import crop, resize


def fit(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest middle part of an image [3, H, W] that has the shape of ``size``, resized to it.

    Args:
        image: in [-1, 1].
        size: height and width in pixels.
    """
    height, width = image.shape[1:]
    share = min(height / size[0], width / size[1])
    part = max(1, round(size[0] * share)), max(1, round(size[1] * share))
    middle = crop(image, (height - part[0]) // 2, (width - part[1]) // 2, *part)
    resized: Tensor = resize(middle, list(size), InterpolationMode.BICUBIC, antialias=True)
    return resized.clamp(-1, 1)
