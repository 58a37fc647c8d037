"""docs/responsible-use.md: its figures are those that were measured, its command and snippets run."""

import json
import re
import shlex
from pathlib import Path

import pytest

from benchmarks.watermark import bars, with_tables
from regvq.cli import main
from regvq.data import save_png
from regvq.provenance import CHANCE
from tests.support.pictures import photographs

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "responsible-use.md").read_text(encoding="utf-8")
FIGURES = json.loads((DOCS / "results" / "watermark.json").read_text(encoding="utf-8"))


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_tables_are_what_was_measured() -> None:
    assert with_tables(PAGE, FIGURES) == PAGE
    assert FIGURES["chance"] == CHANCE


def test_what_was_measured_passes_its_bars() -> None:
    judged = bars(FIGURES["unmarked"], FIGURES["marked"])
    assert len(judged) == len(FIGURES["bars"])
    assert all(bar.passed for bar in judged)
    assert sum(row["images"] for row in FIGURES["unmarked"]) > 10_000


def test_the_command_and_the_snippets_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, place in enumerate(("runs/mine/samples.png", "downloads/photo.png")):
        save_png(photographs(64, 2)[number], place)
    (command,) = blocks("sh")
    assert main(shlex.split(command)[1:]) == 0
    for snippet in blocks("python"):
        exec(compile(snippet, "docs/responsible-use.md", "exec"), {})
    assert "[True, True]" in capsys.readouterr().out
    assert main(["detect", "marked.png"]) == 0
    assert "sample by regvq" in capsys.readouterr().out
