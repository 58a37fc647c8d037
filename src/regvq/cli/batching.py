"""Tensors of any sizes, put together where neighbours have the same."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

K = TypeVar("K")

PIXELS = 16 * 256 * 256
"""How many pixels go through the networks at once; a larger image goes alone."""


def batches(items: "Iterable[tuple[K, Tensor]]", limit: int) -> "Iterator[tuple[list[K], Tensor]]":
    """Keys and stacked tensors of neighbours of one shape, in order.

    Args:
        items: keys and tensors ``[..., H, W]``.
        limit: of ``B * H * W`` of a stack with more than one tensor in it.
    """
    import torch

    keys: list[K] = []
    tensors: list[Tensor] = []
    for key, tensor in items:
        area = tensor.shape[-2] * tensor.shape[-1]
        if tensors and (tensor.shape != tensors[0].shape or area * (len(tensors) + 1) > limit):
            yield keys, torch.stack(tensors)
            keys, tensors = [], []
        keys.append(key)
        tensors.append(tensor)
    if tensors:
        yield keys, torch.stack(tensors)
