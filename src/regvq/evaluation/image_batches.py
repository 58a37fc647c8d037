"""Images of a data set in batches."""

from collections.abc import Iterator, Sequence

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
    dataset: Dataset[Sample],
    items: Sequence[int],
    batch_size: int,
    workers: int = 0,
    damaged: set[str] | None = None,
) -> Iterator[Tensor]:
    """Images ``[B, 3, H, W]`` in [-1, 1].

    Args:
        dataset: where they are read.
        items: their places in it, e.g. of ``spread``.
        batch_size: images at once.
        workers: processes that read; 0 reads in this one.
        damaged: gets the names of those that could not be read, for which their neighbours stood in.
    """
    taken = Subset(_ImagesAndDamage(dataset), items)
    loader = DataLoader(taken, batch_size, num_workers=workers, collate_fn=_together)
    for images, names in loader:
        if damaged is not None:
            damaged.update(names)
        yield images


def damage_notes(damaged: set[str]) -> list[str]:
    """What a reader of the figures must know of images that could not be read."""
    if not damaged:
        return []
    return [
        f"{len(damaged)} of the images could not be read, first {min(damaged)}: "
        "the next one stood in for each"
    ]


def spread(dataset: Dataset[Sample], count: int) -> list[int]:
    """``count`` items, evenly spread: many data sets lie class by class, and their first are of a few."""
    total = size_of(dataset)
    return [item * total // count for item in range(count)]


class _ImagesAndDamage(Dataset[tuple[Tensor, Sequence[str]]]):
    """An image, and what this process has found damaged so far: a worker's own data set is out of reach."""

    def __init__(self, dataset: Dataset[Sample]) -> None:
        self.dataset = dataset

    def __getitem__(self, item: int) -> tuple[Tensor, Sequence[str]]:
        image = self.dataset[item]["image"]
        return image, getattr(self.dataset, "damaged", ())


def _together(items: list[tuple[Tensor, Sequence[str]]]) -> tuple[Tensor, set[str]]:
    return torch.stack([image for image, _ in items]), {name for _, names in items for name in names}
