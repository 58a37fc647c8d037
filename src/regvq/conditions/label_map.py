"""A label map as one id a cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from regvq.conditions.base import Condition
from regvq.data import Sample
from regvq.errors import RegvqError


class LabelMap(Condition):
    """Which of a set of named labels each part of the image has.

    The image is divided into cells, ``cells_per_token`` by ``cells_per_token`` for every token; a cell's
    id is the label that most of its pixels have (the lowest of several).

    The ids do not run row by row over the whole map. First come the cells at the upper left corner of
    every token, in the order of the tokens, then their right neighbours, and so on: so the cells of a
    token lie at the same distances before it wherever it is, which is what a transformer with relative
    positions finds out first.

    Args:
        cells_per_token: along each side of a token; 1 is the token grid itself.
        labels: names in the order of the ids of a map; read from the data where none are given.
        grid: rows and columns of the token grid; read from the tokenizer where none is given.
    """

    key: ClassVar[str | None] = "label_map"

    def __init__(
        self,
        cells_per_token: int = 1,
        labels: Sequence[str] = (),
        grid: tuple[int, int] | None = None,
    ) -> None:
        if cells_per_token < 1:
            raise RegvqError(f"cells_per_token must be at least 1, not {cells_per_token}")
        self.cells_per_token = cells_per_token
        self.labels = tuple(labels)
        self.grid = None if grid is None else (grid[0], grid[1])

    @property
    def size(self) -> int:
        """Number of labels, and null."""
        return len(self.labels) + 1

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
        """Number of cells."""
        rows, columns = self.cells
        return rows * columns

    def prepare(self, dataset: Dataset[Sample], grid: tuple[int, int]) -> None:
        """Takes the names that the data set knows, and the token grid."""
        self.grid = grid
        self.labels = self.labels or tuple(getattr(dataset, "label_names", ()))
        self.resolve_init_args(grid=grid, labels=self.labels)
        if not self.labels:
            raise RegvqError("this data does not name its labels: give condition.init_args.labels")

    def ids(self, values: Tensor) -> Tensor:
        """Maps ``[B, H, W]`` of label numbers, sides multiples of the cells, to ``[B, P]``."""
        maps = torch.as_tensor(values).to(torch.int64)
        rows, columns = self.cells
        if maps.ndim != 3 or maps.shape[1] % rows or maps.shape[2] % columns:
            raise RegvqError(
                f"a label map of {' x '.join(map(str, maps.shape[1:]))} does not divide into {rows} x "
                f"{columns} cells: give it the size of the generated images"
            )
        if maps.numel() and (maps.min() < 0 or maps.max() >= len(self.labels)):
            raise RegvqError(
                f"a label map holds ids from {int(maps.min())} to {int(maps.max())}, known are 0 to "
                f"{len(self.labels) - 1}: map unknown ids to one of these"
            )
        return self._planes(self._majority(maps)) + 1

    def read(self, text: str) -> Tensor:
        """A PNG of label numbers (grey or palette, one number a pixel) as ``[H, W]`` int64."""
        path = Path(text)
        if not path.is_file():
            raise RegvqError(f"there is no label map {path}")
        try:
            with Image.open(path) as image:
                mode = image.mode
                pixels = np.array(image)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise RegvqError(f"{path} cannot be read as a label map: {error}") from None
        if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
            raise RegvqError(
                f"{path} has colours (mode {mode}); a label map has one number a pixel: save it as a grey "
                f"or palette PNG of label numbers"
            )
        return torch.from_numpy(pixels.astype(np.int64))

    def _majority(self, maps: Tensor) -> Tensor:
        """The most frequent label of every cell: ``[B, rows, columns]``."""
        rows, columns = self.cells
        batch, height, width = maps.shape
        pixels = maps.view(batch, rows, height // rows, columns, width // columns)
        pixels = pixels.transpose(2, 3).reshape(batch, rows, columns, -1)
        counts = torch.zeros(batch, rows, columns, len(self.labels), dtype=torch.int32, device=maps.device)
        counts.scatter_add_(3, pixels, torch.ones_like(pixels, dtype=torch.int32))
        # Of equal counts the lowest label: less than one is taken off for each step up.
        scaled = counts * len(self.labels) - torch.arange(len(self.labels), device=maps.device)
        return scaled.argmax(3)

    def _planes(self, cells: Tensor) -> Tensor:
        """``[B, rows, columns]`` to ``[B, P]`` in the order that the class describes."""
        step = self.cells_per_token
        batch, rows, columns = cells.shape
        split = cells.view(batch, rows // step, step, columns // step, step)
        return split.permute(0, 2, 4, 1, 3).reshape(batch, -1)
