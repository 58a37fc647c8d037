"""Images of any size for a tokenizer that needs whole tokens."""

import torch
from torch import Tensor


def pad_to_multiple(images: Tensor, factor: int) -> Tensor:
    """Mirrors images ``[..., H, W]`` at their right and lower edge until ``factor`` divides both sides.

    The edge pixels themselves are not repeated (numpy's ``reflect``); a side shorter than its padding
    is mirrored more than once. An image that fits already is returned as it is.
    """
    for axis in (-2, -1):
        length = images.shape[axis]
        if length % factor:
            index = _mirrored(length, -(-length // factor) * factor)
            images = images.index_select(axis, index.to(images.device))
    return images


def _mirrored(length: int, target: int) -> Tensor:
    """0, 1, …, length-1, length-2, …, 1, 0, 1, … up to ``target`` entries."""
    period = max(2 * (length - 1), 1)
    index = torch.arange(target) % period
    return torch.minimum(index, period - index) if length > 1 else torch.zeros_like(index)
