"""The page of results is what the figures say, and a claim is judged seed by seed."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.publish import published
from benchmarks.results import PAGE, page, read_figures
from claims import CLAIMS, improves, is_best, reaches, verdict
from regvq.errors import RegvqError
from regvq.evaluation.comparison import read_comparison

A, B = ("a", None), ("b", None)


def rows(figure: str, values: dict[Any, list[float]]) -> list[dict[str, Any]]:
    """A row a name, or a name and a swept value; a seed a figure."""
    return [
        {
            "row": name[0] if isinstance(name, tuple) else name,
            "value": name[1] if isinstance(name, tuple) else None,
            "seed": seed,
            "figures": {figure: one},
        }
        for name, each in values.items()
        for seed, one in enumerate(each)
    ]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(read_figures()), "run: python benchmarks/results.py"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text)
def test_a_claim_is_about_rows_of_a_shipped_comparison(claim: Any) -> None:
    shipped = {(cell.row, cell.value) for cell in read_comparison(f"comparison/{claim.source}").cells()}
    assert set(claim.judge.groups) <= shipped


@pytest.mark.parametrize(
    ("agreeing", "expected"),
    [
        ([True] * 3, "for"),
        ([False] * 3, "against"),
        ([True, False, True], "open"),
        ([True], "exploratory: for"),
        ([True, False], "exploratory: against"),
        ([], "not measured"),
    ],
)
def test_verdicts(agreeing: list[bool], expected: str) -> None:
    assert verdict(agreeing) == expected


def test_rows_are_compared_seed_by_seed() -> None:
    # The mean improves, one seed does not.
    content = rows("PSNR", {"a": [20.0, 21.0, 22.0], "b": [21.0, 20.5, 25.0]})
    found = improves("PSNR", 1, A, B).find(content)
    assert found.verdict == "open"
    assert found.measured == "PSNR, a → b: 21.00 ± 1.00 → 22.17 ± 2.47"
    assert improves("PSNR", -1, A, B).find(content).verdict == "open"
    better = rows("PSNR", {"a": [20.0, 21.0, 22.0], "b": [20.1, 21.1, 22.1]})
    assert improves("PSNR", 1, A, B).find(better).verdict == "for"
    assert improves("PSNR", -1, A, B).find(better).verdict == "against"


def test_bounds() -> None:
    content = rows("codebook usage", {"a": [99.0, 99.5, 100.0], "b": [50.0, 99.0, 60.0]})
    assert reaches("codebook usage", 99, A).find(content).verdict == "for"
    assert reaches("codebook usage", 99, B).find(content).verdict == "open"
    assert reaches("codebook usage", 99, A, -1).find(content).verdict == "against"


def test_the_best_of_several() -> None:
    content = rows("Fréchet (x)", {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 4.0]})
    assert is_best("Fréchet", -1, A).find(content).verdict == "for"
    found = is_best("Fréchet", -1, B).find(content)
    assert found.verdict == "against"
    assert found.measured.endswith("best mean 2.00 ± 1.00, a")


def test_what_failed_is_not_measured() -> None:
    content = rows("PSNR", {"b": [1.0]})
    for judge in (improves("PSNR", 1, A, B), reaches("PSNR", 1, A), is_best("PSNR", 1, A)):
        assert judge.find(content).verdict == "not measured"
    assert is_best("PSNR", 1, B).find([*content, *rows("SSIM", {"a": [1.0]})]).verdict == "exploratory: for"


def test_swept_values() -> None:
    content = rows("Fréchet", {("r", 0.0): [3.0], ("r", 0.4): [2.0], ("r", 1.0): [1.0]})
    found = is_best("Fréchet", -1, ("r", 0.4)).find(content)
    assert found == type(found)("Fréchet, r at 0.4: 2.00; best mean 1.00, r at 1.0", "exploratory: against")
    assert improves("Fréchet", -1, ("r", 0.0), ("r", 0.4)).find(content).verdict == "exploratory: for"
    assert improves("Fréchet", 1, ("r", 0.0), ("r", 0.4)).find(content).verdict == "exploratory: against"
    course = improves("Fréchet", -1, ("r", 0.0), ("r", 0.4), ("r", 1.0))
    assert course.find(content).verdict == "exploratory: for"
    assert course.find(
        rows("Fréchet", {("r", 0.0): [3.0], ("r", 0.4): [0.5], ("r", 1.0): [1.0]})
    ).verdict == ("exploratory: against")


def test_nearly_the_best() -> None:
    content = rows("PSNR", {"a": [20.0, 20.0, 20.0], "b": [20.2, 20.2, 20.4]})
    assert is_best("PSNR", 1, A, within=0.5).find(content).verdict == "for"
    assert is_best("PSNR", 1, A, within=0.3).find(content).verdict == "open"
    assert is_best("PSNR", 1, A).find(content).verdict == "against"


def test_figures_are_published_without_the_machine_s_folders(tmp_path: Path) -> None:
    images, output = tmp_path / "deep" / "images", tmp_path / "runs" / "heads"
    images.mkdir(parents=True)
    output.mkdir(parents=True)
    command = f"regvq compare comparison/heads --output {output} --data.dataset.init_args.root={images}"
    content = {"command": command, "rows": [{"budget": [f"root {images}", "speed/compiled-bf16"]}]}
    found = json.loads(published(json.dumps(content)))
    assert found["rows"] == [{"budget": ["root images", "speed/compiled-bf16"]}]
    assert found["command"] == command.replace(str(images), "images")
    with pytest.raises(RegvqError, match="which command wrote it"):
        published("{}")
