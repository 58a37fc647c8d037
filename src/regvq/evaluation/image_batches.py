"""Images of a data set in batches."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from regvq.data import Sample
from regvq.data.base import size_of
from regvq.errors import RegvqError


def images_to_take(dataset: Dataset[Sample], count: int | None) -> int:
    """How many of its images are judged: ``count``, or all that there are.

    Raises:
        RegvqError: fewer than two.
    """
    total = min(size_of(dataset), count or size_of(dataset))
    if total < 2:
        raise RegvqError(f"an evaluation needs at least 2 images, not {total}")
    return total


def image_batches(
    dataset: Dataset[Sample], count: int, batch_size: int, workers: int = 0
) -> Iterator[Tensor]:
    """The images of ``spread``: ``[B, 3, H, W]`` in [-1, 1] each."""
    taken = Subset(dataset, spread(dataset, count))
    yield from DataLoader(taken, batch_size, num_workers=workers, collate_fn=_images_alone)


def spread(dataset: Dataset[Sample], count: int) -> list[int]:
    """``count`` items, evenly spread: many data sets lie class by class, and their first are of a few."""
    total = size_of(dataset)
    return [item * total // count for item in range(count)]


def _images_alone(samples: list[Sample]) -> Tensor:
    return torch.stack([sample["image"] for sample in samples])
