"""The page of results is what the figures say, and a claim is judged seed by seed."""

from typing import Any

import pytest

from benchmarks.results import (
    CLAIMS,
    PAGE,
    improves,
    is_best,
    page,
    reaches,
    read_figures,
    verdict,
)
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
def test_a_claim_is_about_a_comparison_that_is_shipped(claim: Any) -> None:
    assert read_comparison(f"comparison/{claim.source}").rows


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
    found = improves(A, B, "PSNR", 1)(content)
    assert found.verdict == "open"
    assert found.measured == "PSNR: 21.00 ± 1.00 → 22.17 ± 2.47"
    assert improves(A, B, "PSNR", -1)(content).verdict == "open"
    better = rows("PSNR", {"a": [20.0, 21.0, 22.0], "b": [20.1, 21.1, 22.1]})
    assert improves(A, B, "PSNR", 1)(better).verdict == "for"
    assert improves(A, B, "PSNR", -1)(better).verdict == "against"


def test_bounds() -> None:
    content = rows("codebook usage", {"a": [99.0, 99.5, 100.0], "b": [50.0, 99.0, 60.0]})
    assert reaches(A, "codebook usage", 99)(content).verdict == "for"
    assert reaches(B, "codebook usage", 99)(content).verdict == "open"
    assert reaches(A, "codebook usage", 99, -1)(content).verdict == "against"


def test_the_best_of_several() -> None:
    content = rows("Fréchet (x)", {"a": [1.0, 2.0, 3.0], "b": [2.0, 3.0, 4.0]})
    assert is_best(A, "Fréchet", -1)(content).verdict == "for"
    found = is_best(B, "Fréchet", -1)(content)
    assert found.verdict == "against"
    assert found.measured.endswith("best mean 2.00 ± 1.00, a")


def test_what_failed_is_not_measured() -> None:
    content = rows("PSNR", {"b": [1.0]})
    for judge in (improves(A, B, "PSNR", 1), reaches(A, "PSNR", 1), is_best(A, "PSNR", 1)):
        assert judge(content).verdict == "not measured"
    assert is_best(B, "PSNR", 1)([*content, *rows("SSIM", {"a": [1.0]})]).verdict == "exploratory: for"


def test_swept_values() -> None:
    content = rows("Fréchet", {("r", 0.0): [3.0], ("r", 0.4): [2.0], ("r", 1.0): [1.0]})
    found = is_best(("r", 0.4), "Fréchet", -1)(content)
    assert found == type(found)("Fréchet: 2.00; best mean 1.00, r at 1.0", "exploratory: against")
    assert improves(("r", 0.0), ("r", 0.4), "Fréchet", -1)(content).verdict == "exploratory: for"
    assert improves(("r", 0.0), ("r", 0.4), "Fréchet", 1)(content).verdict == "exploratory: against"
