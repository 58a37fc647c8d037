"""The demo's bars: what is asked of its table is what is checked."""

import copy
from typing import Any

import pytest

from benchmarks.demo import generator_bars, quality_bars

COLUMNS = ("quantizer", "psnr", "psnr_sampled_40", "psnr_sampled_80", "usage", "perplexity")
ROWS: list[tuple[Any, ...]] = [
    ("VQ", 20.0, 15.0, 12.0, 0.1, 50),
    ("EMA-VQ", 25.0, 18.0, 14.0, 1.0, 650),
    ("Gumbel", 19.0, 17.0, 13.0, 0.3, 90),
    ("Reg-VQ", 24.2, 17.6, 14.5, 0.97, 700),
]
TABLE: list[dict[str, Any]] = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def _with(**figures: float) -> list[dict[str, Any]]:
    table = copy.deepcopy(TABLE)
    table[3] |= figures
    return table


def test_a_table_that_earns_it_passes() -> None:
    assert [bar.name for bar in quality_bars(TABLE) if not bar.passed] == []


@pytest.mark.parametrize(
    ("figures", "missed"),
    [
        ({"usage": 0.94}, 1),
        ({"perplexity": 640}, 1),  # below EMA-VQ's
        ({"perplexity": 600}, 2),  # and below 0.6 N = 614.4
        ({"psnr": 23.9}, 1),  # more than 1 dB below the best
        ({"psnr": 19.5}, 2),  # and below plain VQ's
        ({"psnr_sampled_80": 14.0}, 1),  # a tie is not the highest
        ({"psnr_sampled_40": 17.4}, 1),
        ({"psnr": float("nan")}, 3),
    ],
)
def test_each_bar_can_be_missed(figures: dict[str, float], missed: int) -> None:
    assert sum(not bar.passed for bar in quality_bars(_with(**figures))) == missed


def test_names_are_found_however_they_are_dressed() -> None:
    table = [row | {"quantizer": str(row["quantizer"]).lower().replace("reg-vq", "regvq")} for row in TABLE]
    assert quality_bars(table) == quality_bars(TABLE)


@pytest.mark.parametrize(("values", "passed"), [((0.61, 0.2), True), ((0.59, 0.3), False)])
def test_the_better_generator_counts(values: tuple[float, float], passed: bool) -> None:
    rows = [{"figure": "mean IoU", "value": value} for value in values]
    assert [bar.passed for bar in generator_bars(rows)] == [passed]
