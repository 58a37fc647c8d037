"""The benchmark of many visitors: its figures are what they say. tests/faults runs it on a real server."""

import pytest

from benchmarks.visitors import Record


def test_growth_is_the_last_third_over_the_first() -> None:
    record = Record(resident=[(0, 80), (1, 100), (3, 500), (4, 120), (6, 110)])
    assert record.growth() == pytest.approx(1.2)


def test_the_slowest_answer_is_that_of_all_kinds() -> None:
    assert Record().slowest() == 0
    assert Record(seconds={"sample": [1.0, 3.0], "paint": [2.0]}).slowest() == 3
