"""What every data set of this package is, and how a training and a validation half are said once."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import numpy as np
from torch.utils.data import Dataset

from regvq.configurable import Configurable

Sample = dict[str, Any]


class ImageDataset(Dataset[Sample], ABC):
    """A map-style data set whose samples are a pure function of ``(seed, index)``.

    A sample holds at least ``"image"``, float32 ``[3, S, S]`` in [-1, 1]; some also ``"class_label"``
    (int), ``"label_map"`` (int64 ``[S, S]``) and ``"caption"`` (str).

    An index at or beyond ``len`` is the same item in a later epoch, augmented anew: index
    ``epoch * len + item``. So augmentation varies between epochs, needs no state, and is the same in
    every process, which is what makes a run resumable in the middle of an epoch.

    Args:
        length: the number of items.
        seed: decides all chance.
        stream: keeps data sets of one seed apart, such as the splits of generated data.
    """

    resize: ClassVar[str] = "none"
    """How images get their size."""

    def __init__(self, length: int, seed: int = 0, stream: int = 0) -> None:
        self.length = length
        self.seed = seed
        self.stream = stream

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index < 0:
            index += self.length
        return self.sample(index % self.length, self.rng(index))

    def __iter__(self) -> Iterator[Sample]:
        """One pass over the first epoch (indices have no end, so Python could not find it itself)."""
        return (self[index] for index in range(self.length))

    def rng(self, index: int) -> np.random.Generator:
        """The generator that sample ``index`` is drawn from."""
        return np.random.default_rng((self.seed, self.stream, index))

    def share(self, rng: np.random.Generator, batch_size: int, rank: int, ranks: int) -> np.ndarray:
        """The items that one rank shows in an epoch, in order.

        All ranks together show each item once, but for what does not fill a batch on each.

        Args:
            rng: all chance is drawn from it; the same on every rank.
            batch_size: of a rank.
            rank: which.
            ranks: number of them.
        """
        return dealt(rng.permutation(self.length), batch_size, rank, ranks)

    @abstractmethod
    def sample(self, item: int, rng: np.random.Generator) -> Sample:
        """Makes item ``item`` in ``[0, len)``; all chance is drawn from ``rng``."""


class ImageData(Configurable, ABC):
    """A training and a validation data set that share their settings, so that nothing is said twice."""

    @abstractmethod
    def train(self, seed: int) -> Dataset[Sample]:
        """The training half; ``seed`` decides crops and flips."""

    @abstractmethod
    def val(self) -> Dataset[Sample]:
        """The validation half, the same whatever the run's seed: figures of two runs are comparable."""


class GivenData(ImageData):
    """Two data sets that are already there.

    Args:
        train: training data; any map-style data set of dicts with an ``"image"``.
        val: validation data, likewise.
    """

    def __init__(self, train: Dataset[Sample], val: Dataset[Sample]) -> None:
        self._train = train
        self._val = val

    def train(self, seed: int) -> Dataset[Sample]:
        """The given training set; it was seeded where it was made."""
        return self._train

    def val(self) -> Dataset[Sample]:
        """The given validation set."""
        return self._val


def dealt(order: np.ndarray, batch_size: int, rank: int, ranks: int) -> np.ndarray:
    """One rank's part of an order of items: its own of each ``ranks * batch_size`` in turn.

    So the batches of all ranks, joined, are those of one process with a batch ``ranks`` times as large.
    """
    rows = order[: len(order) // (batch_size * ranks) * batch_size * ranks]
    return rows.reshape(-1, ranks, batch_size)[:, rank].flatten()


def run_of(length: int, rank: int, ranks: int) -> range:
    """One rank's part of ``length`` items, which follow each other; some ranks have one more."""
    return range(rank * length // ranks, (rank + 1) * length // ranks)


def size_of(dataset: Dataset[Sample]) -> int:
    """The number of samples of a map-style data set."""
    return len(cast(Any, dataset))
