"""docs/responsible-use.md: its figures are those that were measured."""

import json
from pathlib import Path

from benchmarks.watermark import bars
from benchmarks.watermark_tables import with_tables
from regvq.provenance import CHANCE

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "responsible-use.md").read_text(encoding="utf-8")
FIGURES = json.loads((DOCS / "results" / "watermark.json").read_text(encoding="utf-8"))


def test_the_tables_are_what_was_measured() -> None:
    assert with_tables(PAGE, FIGURES) == PAGE
    assert FIGURES["chance"] == CHANCE


def test_what_was_measured_passes_its_bars() -> None:
    judged = bars(FIGURES["unmarked"], FIGURES["marked"])
    assert len(judged) == len(FIGURES["bars"])
    assert all(bar.passed for bar in judged)
    assert sum(row["images"] for row in FIGURES["unmarked"]) > 10_000
