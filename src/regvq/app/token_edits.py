"""Changing tokens by hand, and reading what a visitor painted."""

from typing import Any

import torch
from torch import Tensor

from regvq.errors import RegvqError


def painted_cells(value: Any, rows: int, columns: int) -> Tensor:
    """What the painter sends as a mask: ``[rows, columns]`` bool.

    Args:
        value: numbers of the cells that were painted, row by row; nothing where none were.
        rows: of the grid.
        columns: likewise.

    Raises:
        RegvqError: it is anything else.
    """
    cells = torch.zeros(rows * columns, dtype=torch.bool)
    for cell in _numbers(value or [], rows * columns, rows * columns):
        cells[cell] = True
    return cells.view(rows, columns)


def painted_labels(value: Any, rows: int, columns: int, labels: int) -> Tensor:
    """What the painter sends as a label map: ``[rows, columns]`` int64.

    Args:
        value: the label of every cell, row by row.
        rows: of the grid.
        columns: likewise.
        labels: their number.

    Raises:
        RegvqError: it is anything else.
    """
    numbers = _numbers(value, rows * columns, labels)
    if len(numbers) != rows * columns:
        raise RegvqError(f"a painted label map has {rows * columns} cells, not {len(numbers)}: paint anew")
    return torch.tensor(numbers, dtype=torch.int64).view(rows, columns)


def paint(codes: Tensor, cells: Tensor, code: int, codebook_size: int) -> Tensor:
    """``codes`` [h, w] with ``code`` wherever ``cells`` [h, w] bool says so.

    Raises:
        RegvqError: nothing is painted, or there is no such code.
    """
    if not cells.any():
        raise RegvqError("nothing is painted yet: brush over the tokens that are to change")
    return torch.where(cells, checked_code(code, codebook_size), codes)


def swap(codes: Tensor, old: int, new: int, codebook_size: int) -> Tensor:
    """``codes`` [h, w] with ``new`` wherever ``old`` stood.

    Raises:
        RegvqError: one of the two is no code, or ``old`` does not occur.
    """
    old, new = checked_code(old, codebook_size), checked_code(new, codebook_size)
    if not (codes == old).any():
        raise RegvqError(f"code {old} does not occur in this image: pick one from it")
    return codes.masked_fill(codes == old, new)


def checked_code(code: Any, codebook_size: int) -> int:
    """``code`` as the number of a code.

    Raises:
        RegvqError: it is none.
    """
    if isinstance(code, bool) or not isinstance(code, int | float) or code != code // 1:
        raise RegvqError(f"a code is a whole number from 0 to {codebook_size - 1}: give one")
    if not 0 <= code < codebook_size:
        raise RegvqError(f"there is no code {code:g}: they go from 0 to {codebook_size - 1}")
    return int(code)


def _numbers(value: Any, most: int, below: int) -> list[int]:
    """A list of at most ``most`` whole numbers in [0, below)."""
    if not isinstance(value, list) or len(value) > most:
        raise RegvqError("this painting does not fit the image: load the page again")
    for number in value:
        if type(number) is not int or not 0 <= number < below:
            raise RegvqError("this painting does not fit the image: load the page again")
    return value
