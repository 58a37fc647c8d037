"""The table: which figure is best, and how figures are shown."""

import math

from regvq.evaluation.results import Column, best, cell, finite

HIGHER = Column("psnr", "PSNR", 1, 1, "")
LOWER = Column("frechet", "Fréchet", 1, -1, "")
NEITHER = Column("seconds", "seconds", 0, 0, "")


def test_the_best_is_the_highest_or_the_lowest() -> None:
    assert best(HIGHER, [1.0, 3.0, 2.0]) == {1}
    assert best(LOWER, [1.0, 3.0, 2.0]) == {0}
    assert best(NEITHER, [1.0, 3.0, 2.0]) == set()


def test_what_looks_equal_is_equally_good() -> None:
    assert best(HIGHER, [3.04, 3.01, 2.0]) == {0, 1}


def test_missing_figures_are_dashes_and_never_best() -> None:
    assert best(HIGHER, [None, 1.0]) == {1}
    assert best(HIGHER, [None, None]) == set()
    assert cell(HIGHER, None) == "–"


def test_shares_are_shown_in_per_cent() -> None:
    assert cell(Column("usage", "codes used", 1, 1, "", 100), 0.9731) == "97.3"


def test_json_has_no_nan() -> None:
    assert finite(math.nan) is None
    assert finite(math.inf) is None
    assert finite(2.5) == 2.5
