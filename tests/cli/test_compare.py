"""regvq compare: what fails is told, what succeeds is kept and reported."""

from pathlib import Path

from tests.cli.conftest import Run
from tests.evaluation.comparison.test_comparison import write


def test_one_failed_training_does_not_lose_the_others(tmp_path: Path, regvq: Run) -> None:
    broken = "  broken: {configs: [tokenizer/vq], arguments: {model.quantizer.init_args.dim: 0}}\n"
    path = write(tmp_path, broken)
    command = ["compare", path, "--output", tmp_path / "out", "--seeds", 0, "--features", "offline"]
    command += ["--cache", tmp_path / "cache", "--trainer.max_steps=1", "--trainer.val_check_interval=1"]
    status, shown, said = regvq(*command)
    assert status == 2
    assert "1 training(s) failed, first: broken-0-" in said
    assert "dim must be whole numbers of at least 1" in said
    assert "| vq | 1 |" in shown
    assert "- Failed: broken-0-" in shown
    assert len(list((tmp_path / "out" / "cells").iterdir())) == 2
    write(tmp_path)  # without the broken one
    status, shown, said = regvq(*command)
    assert status == 0
    assert "2 of 2 trainings are there already" in said
    assert "Failed" not in shown


def test_what_is_no_argument_is_refused(tmp_path: Path, regvq: Run) -> None:
    status, _, said = regvq("compare", write(tmp_path), "--output", tmp_path / "out", "trainer.max_steps=1")
    assert status == 2
    assert "is no argument of a training" in said
