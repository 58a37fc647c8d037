"""The judge of the plain loops on rows made by hand."""

from typing import Any

import pytest

from loop_bars import judge
from loop_contestants import rivals_of
from loop_tables import loop_table, verdict_text

KINDS = ("clean", "posterior 40 %", "nearest 80 %")


def row(
    loop: str,
    contestant: str,
    *,
    loss: float = 1.0,
    quality: float = 20.0,
    usage: float = 1.0,
    perplexity: float = 100.0,
    corrupted: float = 18.0,
    **others: Any,
) -> dict[str, Any]:
    """Return a row with one point on its curve."""
    return {
        "loop": loop,
        "contestant": contestant,
        "seed": 0,
        "steps": 50,
        "objective": "mse",
        "quality_name": "PSNR dB",
        "error": None,
        "loss": loss,
        "quality": quality,
        "usage": usage,
        "perplexity": perplexity,
        "curve": [{"step": 50, "loss": 2 * loss, "usage": usage / 2}],
        "corruption": {kind: {"quality": corrupted, "changed": 0.3} for kind in KINDS},
        "seconds": 1.0,
        **others,
    }


def bars(rows: list[dict[str, Any]]) -> dict[str, tuple[float, bool, tuple[str, ...]]]:
    """Return measured value, verdict and misses of each bar by its name."""
    verdict = judge(rows, "ours", ["a", "b"])
    return {bar.name: (bar.measured, bar.passed, misses) for bar, misses in verdict.bars}


def test_a_subject_that_leads_passes_every_bar() -> None:
    rows = [
        row("x", "ours", loss=0.9, quality=20.5, perplexity=120, corrupted=19),
        row("x", "a", usage=0.5),
        row("x", "b", loss=1.5, quality=18, perplexity=400),  # too far below the best
    ]
    assert all(passed for _, passed, _ in bars(rows).values())


def test_usage_loss_and_decoder_are_judged_in_every_loop() -> None:
    rows = [
        row("x", "ours", loss=1.04, usage=0.96),
        row("x", "a"),
        row("y", "ours", loss=1.06, usage=0.9, corrupted=17.5),
        row("y", "b"),
    ]
    found = bars(rows)
    usage = found["usage at the end, share of the best contestant's"]
    assert usage == (pytest.approx(0.9), False, ("y: 0.90 of b",))
    within = found["loops within 5 % (L1, cross-entropy 2 %) of the least loss"]
    assert within == (0.5, False, ("y: +6.0% against b",))
    assert found["loops with the least loss"][:2] == (0.0, False)
    assert found["loops with the best decoder, posterior 40 %"] == (0.5, False, ("y: -0.50 dB",))
    assert set(found) >= {f"loops with the best decoder, {kind}" for kind in KINDS[1:]}


@pytest.mark.parametrize(("objective", "passes"), [("mse", True), ("l1", False), ("cross-entropy", False)])
def test_what_the_loss_may_be_depends_on_the_objective(objective: str, passes: bool) -> None:
    rows = [row("x", "ours", loss=1.03, objective=objective), row("x", "a", objective=objective)]
    assert bars(rows)["loops within 5 % (L1, cross-entropy 2 %) of the least loss"][1] is passes


def test_perplexity_needs_a_quality_within_1_db() -> None:
    name = "loops with the highest perplexity within 1 dB"
    far = [row("x", "ours", quality=18.9, perplexity=500), row("x", "a")]
    assert bars(far)[name] == (0.0, False, ("x: more than 1 dB below the best",))
    behind = [row("x", "ours", perplexity=90), row("x", "a"), row("x", "b", quality=19.1, perplexity=120)]
    assert bars(behind)[name] == (0.0, False, ("x: 0.75",))


def test_the_curve_is_judged_at_every_point() -> None:
    rows = [row("x", "ours"), row("x", "a")]
    rows[0]["curve"] = [{"step": 50, "loss": 3.0, "usage": 0.1}, {"step": 100, "loss": 1.0, "usage": 1.0}]
    rows[1]["curve"] = [{"step": 50, "loss": 1.0, "usage": 0.5}, {"step": 100, "loss": 1.0, "usage": 1.0}]
    assert bars(rows)["usage along the curve, share of the best contestant's"] == (
        pytest.approx(0.2),
        False,
        ("x: 0.20 at step 50",),
    )
    text = verdict_text(judge(rows, "ours", ["a"]))
    assert "largest loss along the curve: 3.00 of the least, at step 50 of x" in text


def test_seeds_are_averaged_first() -> None:
    rows = [row("x", "ours", usage=usage, seed=seed) for seed, usage in enumerate((0.8, 1.0))]
    rows += [row("x", "a", usage=0.9, seed=seed) for seed in (0, 1)]
    (standing,) = judge(rows, "ours", ["a"]).standings
    assert standing.usage == pytest.approx(1.0)


def test_a_rival_that_failed_is_none_and_a_subject_that_failed_misses_all() -> None:
    failed = {"loop": "x", "contestant": "a", "seed": 0, "error": "ValueError: no", "seconds": 1.0}
    assert all(passed for _, passed, _ in bars([row("x", "ours"), failed]).values())
    rows = [row("y", "ours"), failed | {"contestant": "ours"}, row("x", "a")]
    for name, (_, passed, misses) in bars(rows).items():
        assert not passed or name == "loops with the least loss"  # half of them is enough
        assert misses == ("x: ValueError: no",)


def test_a_subject_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="no row of ours"):
        judge([row("x", "a")], "ours", ["a"])


def test_a_candidate_is_judged_without_the_form_that_it_would_replace() -> None:
    assert "Reg-VQ" not in rivals_of("candidate")
    assert rivals_of("candidate") == rivals_of("Reg-VQ")
    assert "Reg-VQ, paper's form" in rivals_of("Reg-VQ")


def test_a_table_shows_means_and_failures() -> None:
    rows = [row("x", "ours", seed=seed, quality=quality) for seed, quality in ((0, 20.0), (1, 22.0))]
    rows.append(row("x", "a") | {"error": "ValueError: no"})
    text = loop_table(rows, "x", ["ours", "a"])
    assert "21.00" in text
    assert "18.00 (0.30)" in text
    assert "ValueError: no" in text
    assert "2 seeds" in text
