"""How the labels inside a token lie: pure functions on label maps."""

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

_AT_ONCE = 512  # tokens that are compared with all patterns


def majority(maps: Tensor, rows: int, columns: int, labels: int) -> Tensor:
    """The most frequent label of every cell, the lowest of several: ``[B, rows, columns]``.

    Args:
        maps: ``[B, H, W]`` int64 in [0, labels); H and W are multiples of rows and columns.
        rows: of cells.
        columns: of cells.
        labels: number of labels.
    """
    batch, height, width = maps.shape
    pixels = maps.view(batch, rows, height // rows, columns, width // columns)
    pixels = pixels.transpose(2, 3).reshape(batch, rows, columns, -1)
    counts = torch.zeros(batch, rows, columns, labels, dtype=torch.int32, device=maps.device)
    counts.scatter_add_(3, pixels, torch.ones_like(pixels, dtype=torch.int32))
    return _first_of_most(counts)


def cells_of_tokens(cells: Tensor, side: int) -> Tensor:
    """``[B, rows, columns]`` of cells to ``[B, P, side^2]``, the cells of every token row by row."""
    batch, rows, columns = cells.shape
    split = cells.view(batch, rows // side, side, columns // side, side)
    return split.transpose(2, 3).reshape(batch, -1, side * side)


def frequent_patterns(maps: Iterable[Tensor], number: int) -> tuple[list[list[int]], float]:
    """The most frequent patterns of more than one label, and the share of the tokens that is covered.

    Covered are tokens of one label alone and those whose pattern is among the result.

    Args:
        maps: each ``[B, P, C]``, the labels of every token's cells.
        number: of patterns.
    """
    counts: Counter[tuple[int, ...]] = Counter()
    tokens = 0
    for cells in maps:
        rows = cells.flatten(0, 1)
        tokens += len(rows)
        mixed = rows[(rows != rows[:, :1]).any(1)]
        counts.update(map(tuple, mixed.tolist()))
    # Of equally frequent ones the order is that of their labels: the same data, the same ids.
    ranked = sorted(counts, key=lambda pattern: (-counts[pattern], pattern))
    missed = sum(counts[pattern] for pattern in ranked[number:])
    return [list(pattern) for pattern in ranked[:number]], 1 - missed / max(tokens, 1)


def nearest_patterns(cells: Tensor, patterns: Tensor) -> Tensor:
    """The pattern that agrees with a token in the most cells, the first of several: ``[B, P]``.

    Args:
        cells: ``[B, P, C]``.
        patterns: ``[V, C]``.
    """
    # Few of a batch's tokens differ: those are compared, not too many at once.
    distinct, place = cells.flatten(0, 1).unique(dim=0, return_inverse=True)
    nearest = torch.cat([_first_of_most(_agreement(part, patterns)) for part in distinct.split(_AT_ONCE)])
    return nearest[place].view(cells.shape[:2])


def _agreement(tokens: Tensor, patterns: Tensor) -> Tensor:
    """In how many cells each of ``tokens`` [U, C] agrees with each of ``patterns`` [V, C]: ``[U, V]``."""
    agreement = torch.zeros(len(tokens), len(patterns), dtype=torch.int64, device=tokens.device)
    for cell in range(tokens.shape[1]):
        agreement += tokens[:, None, cell] == patterns[None, :, cell]
    return agreement


def _first_of_most(counts: Tensor) -> Tensor:
    """The place of the largest of whole numbers along the last axis, the first of several."""
    number = counts.shape[-1]
    # Less than one is taken off for each step up.
    return (counts.long() * number - torch.arange(number, device=counts.device)).argmax(-1)
