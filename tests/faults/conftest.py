"""How much is tried, and what is written down of it.

``REGVQ_FAULTS=full`` tries the counts that ``docs/reliability.md`` states; otherwise few are tried, so that
the folder takes a minute. ``REGVQ_FAULTS_JSON=PATH`` names the file for the figures.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from measuring import machine
from tests.cli.conftest import generator, photos, regvq, tokenizer

__all__ = ["generator", "photos", "regvq", "tokenizer"]

FULL = os.environ.get("REGVQ_FAULTS") == "full"


class Faults:
    """Counts what was tried and what was lost."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def count(self, small: int, full: int) -> int:
        """How many to try."""
        return full if FULL else small

    def record(self, kind: str, what: str, tried: int, lost: Sequence[object], found: str = "") -> None:
        """Writes down a row, and fails where anything was lost.

        Args:
            kind: a section of the page.
            what: was done to what.
            tried: how often.
            lost: what was lost, one by one; empty if nothing.
            found: what else there is to say of it, such as a count of refusals.
        """
        assert tried > 0
        row = {"kind": kind, "what": what, "tried": tried, "lost": len(lost), "found": found}
        self.rows.append(row)
        assert not lost, f"{len(lost)} of {tried}: {lost[0]}"


@pytest.fixture(scope="session")
def faults() -> Iterator[Faults]:
    """The one record of the session."""
    record = Faults()
    yield record
    if target := os.environ.get("REGVQ_FAULTS_JSON"):
        content = {"machine": machine(), "full": FULL, "rows": record.rows}
        Path(target).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
