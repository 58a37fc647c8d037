"""Tokens changed by hand, and what a page sends read with suspicion."""

from typing import Any

import pytest
import torch

from regvq.app.token_edits import checked_code, paint, painted_cells, painted_labels, swap
from regvq.errors import RegvqError

CODES = torch.tensor([[0, 1, 2], [2, 1, 0]])


def test_painting_changes_what_is_painted_alone() -> None:
    after = paint(CODES, painted_cells([0, 5], 2, 3), 7, 8)
    assert after.tolist() == [[7, 1, 2], [2, 1, 7]]
    assert CODES[0, 0] == 0, "the image's own tokens stay"


def test_swapping_changes_every_occurrence_and_nothing_else() -> None:
    assert swap(CODES, 2, 5, 8).tolist() == [[0, 1, 5], [5, 1, 0]]
    assert swap(CODES, 2.0, 5.0, 8).dtype == torch.int64, "a page's numbers may be floats"
    with pytest.raises(RegvqError, match="code 3 does not occur"):
        swap(CODES, 3, 0, 8)


def test_nothing_painted_is_a_sentence() -> None:
    with pytest.raises(RegvqError, match="nothing is painted yet"):
        paint(CODES, painted_cells(None, 2, 3), 1, 8)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (8, "there is no code 8: they go from 0 to 7"),
        (-1, "there is no code -1"),
        (1.5, "a whole number"),
        (float("nan"), "a whole number"),
        (float("inf"), "a whole number"),
        (None, "a whole number"),
        ("1", "a whole number"),
        (True, "a whole number"),
    ],
)
def test_what_is_no_code_is_refused(code: Any, message: str) -> None:
    with pytest.raises(RegvqError, match=message):
        checked_code(code, 8)


@pytest.mark.parametrize("value", [[6], [-1], [0.5], ["0"], [True], [[0]], {"0": 1}, "0", list(range(7))])
def test_what_is_no_mask_is_refused(value: Any) -> None:
    with pytest.raises(RegvqError, match="does not fit the image"):
        painted_cells(value, 2, 3)


def test_a_label_map_has_a_label_for_every_cell() -> None:
    assert painted_labels([0, 1, 1, 0], 2, 2, 2).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(RegvqError, match="has 4 cells, not 3"):
        painted_labels([0, 1, 1], 2, 2, 2)
    with pytest.raises(RegvqError, match="does not fit"):
        painted_labels([0, 1, 1, 2], 2, 2, 2)
