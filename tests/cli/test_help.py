"""The reference page, and how help is laid out."""

from pathlib import Path

import pytest

from regvq.cli import dispatch
from regvq.cli.help import Formatter
from regvq.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_reference_page_is_what_help_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m regvq.cli.reference > docs/cli.md"
    )


def test_the_reference_names_every_command() -> None:
    assert all(f"\n## regvq {name}\n" in reference() for name in dispatch.COMMANDS)


@pytest.mark.parametrize("width", [40, 200])
def test_paragraphs_are_filled_and_examples_left_alone(width: int) -> None:
    text = "one two three four\nfive six seven eight nine ten\n\nExample:\n  regvq   encode"
    filled = Formatter("regvq")._fill_text(text, width, "")
    first, second = filled.split("\n\n")
    assert first.split() == text.split("\n\n")[0].split()
    assert all(len(line) <= width for line in first.splitlines())
    assert ("\n" in first) == (width == 40)
    assert second == "Example:\n  regvq   encode"


def test_the_reference_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    narrow = reference()
    monkeypatch.setenv("COLUMNS", "160")
    assert reference() == narrow
