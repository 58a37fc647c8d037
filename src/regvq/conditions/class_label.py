"""A class as one id."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from regvq.conditions.base import Condition, require_key
from regvq.data import Sample
from regvq.errors import RegvqError


class ClassLabel(Condition):
    """One of a set of named classes.

    Args:
        classes: their names, in the order of the labels; read from the data where none are given.
    """

    key: ClassVar[str | None] = "class_label"
    length = 1

    def __init__(self, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)

    @property
    def size(self) -> int:
        """Number of classes, and null."""
        return len(self.classes) + 1

    def prepare(self, dataset: Dataset[Sample], grid: tuple[int, int]) -> None:
        """Takes the names that the data set knows."""
        if not self.classes:
            require_key(dataset[0], "class_label", type(self).__name__)
            self.classes = tuple(getattr(dataset, "class_names", ()))
            self.resolve_init_args(classes=self.classes)
        if not self.classes:
            raise RegvqError("this data does not name its classes: give condition.init_args.classes")

    def ids(self, values: Sequence[int] | Tensor) -> Tensor:
        """Labels in ``[0, classes)`` to ``[B, 1]``."""
        labels = torch.as_tensor(values, dtype=torch.int64).reshape(-1, 1)
        wrong = labels[(labels < 0) | (labels >= len(self.classes))]
        if len(wrong):
            raise RegvqError(
                f"there is no class {int(wrong[0])}: labels go from 0 to {len(self.classes) - 1}"
            )
        return labels + 1

    def read(self, text: str) -> int:
        """The label of a class by its name or its number."""
        if text in self.classes:
            return self.classes.index(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return int(text)
        known = ", ".join(self.classes[:20]) + (", …" if len(self.classes) > 20 else "")
        raise RegvqError(f"there is no class {text!r}: choose one of {known}")
