"""Rows are kept as they come, whatever becomes of the others."""

import os
from pathlib import Path

import pytest

from regvq.evaluation.comparison.jobs import Row, run_missing


def make(number: int) -> Row:
    if number == 0:
        raise ValueError("the first one fails")
    if number == 9:
        os._exit(1)  # as if it were killed
    return {"number": number}


def test_one_that_fails_does_not_lose_the_others_and_none_is_made_twice(tmp_path: Path) -> None:
    wanted = {tmp_path / f"{number}.json": (make, (number,)) for number in range(3)}
    shown: list[Row] = []
    with pytest.raises(ValueError, match="the first one fails"):
        run_missing(wanted, 1, shown.append)
    assert shown == [{"number": 1}, {"number": 2}]
    wanted.pop(tmp_path / "0.json")
    assert run_missing(wanted, 1, shown.append) == [{"number": 1}, {"number": 2}]
    assert len(shown) == 2


def test_a_killed_process_does_not_take_the_others_along(tmp_path: Path) -> None:
    wanted = {tmp_path / f"{number}.json": (make, (number,)) for number in (9, 1, 2)}
    failed: list[Path] = []
    rows = run_missing(wanted, 1, lambda row: None, lambda path, error: failed.append(path))
    assert rows == [{"number": 1}, {"number": 2}]
    assert failed == [tmp_path / "9.json"]
