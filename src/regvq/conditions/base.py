"""The contract of every condition: what an image is generated from, as token ids."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from regvq.configurable import Configurable
from regvq.data import Sample
from regvq.errors import RegvqError

NULL = 0
"""The id that says "not given", the same in every condition."""


class Condition(Configurable, ABC):
    """Values such as class labels or captions to ids ``[B, P]``, and back from what a user types.

    The ids are the condition's own, in ``[0, size)``; a generator moves them behind its codes (see
    ``regvq.generators.Vocabulary``). Id 0 is null. The null form, a row of zeros, says that nothing is
    known; classifier-free guidance needs it, and training puts it in place of a share of the conditions.

    A condition is built without what the data and the tokenizer say; ``prepare`` fills that in once, and
    ``init_args`` keeps it, so that a saved generator needs neither.
    """

    key: ClassVar[str | None]
    """Where a data set's samples hold the values; ``None`` where there are none."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of ids, null included."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Number of ids an image, P."""

    def prepare(self, dataset: Dataset[Sample], grid: tuple[int, int]) -> None:
        """Reads from training data and from the token grid (rows, columns) what the condition lacks.

        Raises:
            RegvqError: the data does not say it.
        """

    @abstractmethod
    def ids(self, values: Any) -> Tensor:
        """A batch of values, as a data loader collates them, to ids ``[B, P]`` int64.

        Raises:
            RegvqError: a value is not one of this condition's.
        """

    @abstractmethod
    def read(self, text: str) -> Any:
        """One value from what a user typed: a name, a sentence, a file.

        Raises:
            RegvqError: it is none.
        """

    def null(self, batch_size: int) -> Tensor:
        """The null form: ``[B, P]`` zeros."""
        return torch.full((batch_size, self.length), NULL, dtype=torch.int64)

    def of(self, batch: Sample) -> Tensor:
        """The ids of a batch of samples.

        Raises:
            RegvqError: the samples lack the values.
        """
        if self.key is None:
            return self.null(len(next(iter(batch.values()))))
        require_key(batch, self.key, type(self).__name__)
        return self.ids(batch[self.key])


def require_key(sample: Sample, key: str, name: str) -> None:
    """Refuses data without the values that a condition reads."""
    if key not in sample:
        raise RegvqError(
            f"the condition {name} reads {key!r}, which this data does not have (it has "
            f"{', '.join(sorted(sample))}): choose other data or another condition"
        )
