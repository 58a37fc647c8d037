"""The benchmark of two processes: both trainings run, and the efficiency is what it says."""

from pathlib import Path

import pytest

from benchmarks.ranks import BATCH, row, show, work


@pytest.mark.parametrize("stage", BATCH)
def test_a_stage_is_trained(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BATCH, stage, 2)
    seconds = work(stage, 2, tmp_path)
    assert len(seconds) == 2
    assert all(second > 0 for second in seconds)


def test_efficiency_is_the_rate_of_two_over_twice_that_of_one() -> None:
    found = row("tokenizer", {1: [90.0, 100.0, 300.0], 2: [10.0, 160.0, 170.0]})
    assert (found["one"], found["two"]) == (100.0, 160.0)
    assert found["efficiency"] == pytest.approx(0.8)
    assert show(found).split() == ["tokenizer", "16", "100.0", "160.0", "80.0%"]
