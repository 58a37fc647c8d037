"""The page of promises is what was counted, and what the tests of faults write is what it reads."""

from benchmarks.reliability import PAGE, SECTIONS, page, read_figures
from measuring import machine
from tests.faults.conftest import Faults


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(read_figures()), "run: python benchmarks/reliability.py"


def test_nothing_was_lost() -> None:
    content = read_figures()
    assert content is None or all(row["lost"] == 0 for row in content["rows"])


def test_what_is_counted_is_shown() -> None:
    faults = Faults()
    for kind in SECTIONS:
        faults.record(kind, f"something of {kind}", 1234, [], "as it was")
    text = page({"machine": machine(), "full": True, "rows": faults.rows})
    assert all(f"| something of {kind} | 1,234 | 0 | as it was |" in text for kind in SECTIONS)
    assert "Measured on: " in text
    assert "Not counted yet." not in text
    assert page(None).count("Not counted yet.") == len(SECTIONS)
