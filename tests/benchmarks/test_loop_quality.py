"""Reg-VQ's defaults in a few plain loops, with bars on quality: it must not collapse in anybody's model."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.loop_training import run_loop
from benchmarks.loop_zoo import LOOPS

STEPS = 150


def _row(loop: str, contestant: str) -> dict[str, Any]:
    row = run_loop(replace(LOOPS[loop], steps=STEPS), contestant, 0, None)
    assert row["error"] is None
    return row


# A plain loop; latents so large that a commitment loss of fixed weight makes one of them all; features that
# stay as they are; a norm. What the bars leave is two to three times the spread of seeds.
@pytest.mark.parametrize(
    ("loop", "usage", "behind"),
    [
        ("photos", 0.9, 0.6),
        ("photos, scale 100", 0.9, 0.0),
        ("frozen DCT", 0.9, 0.3),
        ("photos, GroupNorm", 0.9, 0.6),
    ],
)
def test_reg_vq_is_healthy_and_not_far_behind_ema_vq(loop: str, usage: float, behind: float) -> None:
    ours, theirs = _row(loop, "Reg-VQ"), _row(loop, "EMA-VQ")
    assert ours["usage"] >= usage
    assert ours["usage"] >= 0.95 * theirs["usage"]
    assert ours["quality"] >= theirs["quality"] - behind
