"""The page of the plain loops is what its rows say."""

import pytest

from benchmarks import loop_page


def test_the_page_is_up_to_date() -> None:
    assert loop_page.PAGE.read_text(encoding="utf-8") == loop_page.page()


def test_the_best_of_a_loop_is_bold_and_a_failure_is_told() -> None:
    rows = [{"quality": 20.0, "error": None}, {"quality": 21.504, "error": None}, None, {"error": "no"}]
    assert loop_page._quality(rows) == ["20.00", "**21.50**", "–", "failed"]


@pytest.mark.parametrize("name", ["usage", "perplexity"])
def test_every_row_has_what_the_table_shows(name: str) -> None:
    import json

    rows = json.loads(loop_page.ROWS.read_text(encoding="utf-8"))["rows"]
    assert all(row["error"] or row[name] >= 0 for row in rows)
