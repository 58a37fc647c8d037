"""Every example runs as a script, learns, and uses its codes."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def test_there_are_some() -> None:
    assert {path.stem for path in EXAMPLES} >= {"audio_in_tuple_style", "video_in_a_plain_loop"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_learns_and_uses_its_codes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = runpy.run_path(str(path), run_name="__main__")["figures"]
    trivial = next(value for name, value in figures.items() if name.startswith("error of"))
    assert figures["error"] < 0.65 * trivial
    assert figures["codes used"] > 0.5
    assert next(value for name, value in figures.items() if name.startswith("tokens")) == 32
    assert f"codes used: {figures['codes used']:.3g}" in capsys.readouterr().out
