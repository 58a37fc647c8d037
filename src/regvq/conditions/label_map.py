"""A label map as one id a token."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from regvq.conditions.base import Condition, require_key
from regvq.conditions.label_patterns import cells_of_tokens, frequent_patterns, majority, nearest_patterns
from regvq.data import Sample
from regvq.data.base import size_of
from regvq.data.label_files import read_numbers
from regvq.errors import RegvqError

_WELL_COVERED = 0.95  # below, edges are visibly not what the label maps say


class LabelMap(Condition):
    """Which of a set of named labels each part of the image has: one id a token.

    The image is divided into cells, ``cells_per_token`` by ``cells_per_token`` for every token; a cell has
    the label that most of its pixels have (the lowest of several). Where a token is one cell, its id is
    that label. Finer cells are named together: a token's id stands for the pattern of its cells, so that
    the edges inside it are known and the condition is no longer than the image. The patterns are learned
    from the training data, as the byte pairs of captions are, and travel with the generator; one that is
    not among them takes the id of the pattern that it shares the most cells with.

    Args:
        cells_per_token: along each side of a token; 1 is the token grid itself.
        labels: names in the order of the ids of a map; read from the data where none are given.
        grid: rows and columns of the token grid; read from the tokenizer where none is given.
        vocabulary: so many patterns of more than one label at most, the most frequent ones.
        learn_from: label maps of the training data that patterns are learned from, at most.
        patterns: the learned ones, each the labels of a token's cells row by row; learned from the data
            where none are given.
    """

    key: ClassVar[str | None] = "label_map"

    def __init__(
        self,
        cells_per_token: int = 1,
        labels: Sequence[str] = (),
        grid: tuple[int, int] | None = None,
        vocabulary: int = 4096,
        learn_from: int = 2000,
        patterns: Sequence[Sequence[int]] | None = None,
    ) -> None:
        if cells_per_token < 1:
            raise RegvqError(f"cells_per_token must be at least 1, not {cells_per_token}")
        if vocabulary < 0 or learn_from < 1:
            raise RegvqError(
                f"label maps need vocabulary >= 0 and learn_from >= 1, not {vocabulary} and {learn_from}"
            )
        self.cells_per_token = cells_per_token
        self.labels = tuple(labels)
        self.grid = None if grid is None else (grid[0], grid[1])
        self.vocabulary = vocabulary
        self.learn_from = learn_from
        self.patterns = () if cells_per_token == 1 else patterns
        self._table = self._build_table()

    @property
    def size(self) -> int:
        """Number of labels and patterns, and null.

        Raises:
            RegvqError: the patterns are not known yet.
        """
        return len(self._known()) + 1

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells.

        Raises:
            RegvqError: ``prepare`` has not been called.
        """
        if self.grid is None:
            raise RegvqError("this label map does not know its token grid yet: call prepare first")
        return self.grid[0] * self.cells_per_token, self.grid[1] * self.cells_per_token

    @property
    def length(self) -> int:
        """Number of tokens."""
        rows, columns = self.cells
        return rows * columns // self.cells_per_token**2

    def prepare(self, dataset: Dataset[Sample], grid: tuple[int, int]) -> None:
        """Takes the names that the data set knows, and the token grid, and learns the patterns."""
        self.grid = grid
        self.labels = self.labels or tuple(getattr(dataset, "label_names", ()))
        if not self.labels:
            require_key(dataset[0], "label_map", type(self).__name__)
            raise RegvqError("this data does not name its labels: give condition.init_args.labels")
        if self.patterns is None:
            maps = _label_maps(dataset, self.learn_from)
            cells = (self._cells(self._checked(one[None])) for one in maps)
            found, covered = frequent_patterns(cells, self.vocabulary)
            if covered < _WELL_COVERED:
                warnings.warn(
                    f"the {len(found)} most frequent label patterns cover {covered:.0%} of the tokens; "
                    "of the others the nearest pattern is shown: raise condition.init_args.vocabulary, or "
                    "lower cells_per_token",
                    stacklevel=2,
                )
            self.patterns = found
        self._table = self._build_table()
        self.resolve_init_args(grid=grid, labels=self.labels, patterns=self.patterns)

    def ids(self, values: Tensor) -> Tensor:
        """Maps ``[B, H, W]`` of label numbers, sides multiples of the cells, to ``[B, P]``."""
        maps = self._checked(torch.as_tensor(values).to(torch.int64))
        return nearest_patterns(self._cells(maps), self._known().to(maps.device)) + 1

    def read(self, text: str) -> Tensor:
        """A PNG of label numbers (grey or palette, one number a pixel) as ``[H, W]`` int64."""
        return read_numbers(Path(text))

    def _checked(self, maps: Tensor) -> Tensor:
        rows, columns = self.cells
        if maps.ndim != 3 or maps.shape[1] % rows or maps.shape[2] % columns:
            raise RegvqError(
                f"a label map of {' x '.join(map(str, maps.shape[1:]))} does not divide into {rows} x "
                f"{columns} cells: give it the size of the generated images"
            )
        unknown = maps[(maps < 0) | (maps >= len(self.labels))].unique().tolist()
        if unknown:
            few = ", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "")
            raise RegvqError(
                f"a label map holds unknown ids ({few}): known are 0 to {len(self.labels) - 1}; map the "
                "others to one of these"
            )
        return maps

    def _cells(self, maps: Tensor) -> Tensor:
        """The labels of every token's cells: ``[B, P, cells_per_token^2]``."""
        rows, columns = self.cells
        return cells_of_tokens(majority(maps, rows, columns, len(self.labels)), self.cells_per_token)

    def _known(self) -> Tensor:
        if self._table is None:
            raise RegvqError("this label map has learned no patterns yet: call prepare first")
        return self._table

    def _build_table(self) -> Tensor | None:
        """All patterns in the order of their ids, first those of one label alone: ``[size - 1, cells]``."""
        if self.patterns is None:
            return None
        cells, labels = self.cells_per_token**2, range(len(self.labels))
        if any(len(pattern) != cells or not set(pattern) <= set(labels) for pattern in self.patterns):
            raise RegvqError(
                f"every pattern must name the labels of {cells} cells, each from 0 to {len(labels) - 1}"
            )
        plain = torch.arange(len(labels))[:, None].expand(-1, cells)
        mixed = torch.tensor([list(pattern) for pattern in self.patterns], dtype=torch.int64)
        return torch.cat([plain, mixed.view(-1, cells)])


def _label_maps(dataset: Dataset[Sample], limit: int) -> Iterator[Tensor]:
    for item in range(min(limit, size_of(dataset))):
        sample = dataset[item]
        require_key(sample, "label_map", "LabelMap")
        yield torch.as_tensor(sample["label_map"]).to(torch.int64)
