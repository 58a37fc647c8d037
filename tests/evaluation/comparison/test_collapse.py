"""A row whose codebook collapses is a result of a comparison, and not a failure."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from regvq.evaluation.comparison import Cell, read_comparison, run_cell
from regvq.evaluation.comparison.cell import Stage
from regvq.training import CollapsedError
from regvq.training.checkpoint_io import AtomicCheckpointIO
from regvq.training.tokenizer_cli import train_tokenizer
from tests.evaluation.comparison.test_comparison import write

STRICT = """
trainer:
  callbacks:
    - class_path: regvq.training.callbacks.CollapseGuard
      init_args: {perplexity: 1.5, patience: 2}
"""


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    """All tokens are one code; four validations, of which three are enough for the guard of a training."""
    comparison = read_comparison(str(write(tmp_path, steps=8)))
    one_code = Stage(arguments={"model.quantizer.init_args.codebook_size": 1})
    rows = {"one code": comparison.rows["vq"].with_(one_code)}
    (cell,) = replace(comparison, rows=rows, seeds=(0,)).cells("offline")
    return cell


def steps_of(tokenizer_run: Path) -> int:
    last = AtomicCheckpointIO().load_checkpoint(tokenizer_run / "checkpoints" / "last.ckpt")
    steps: int = last["global_step"]
    return steps


def test_it_is_trained_to_the_end_and_measured(cell: Cell, tmp_path: Path) -> None:
    # The same training by itself is ended by its guard.
    with pytest.raises(CollapsedError, match="3 validations in a row found a perplexity"):
        train_tokenizer(cell.tokenizer.configs, tmp_path / "alone", cell.tokenizer.overrides(cell.seed))
    row = run_cell(cell, tmp_path / "cell", tmp_path / "cache", 1)
    assert row["figures"]["perplexity"] == 1
    assert row["figures"]["bits per token"] == 0
    assert all(math.isfinite(value) for value in row["figures"].values())
    assert steps_of(tmp_path / "cell" / "tokenizer") == 8


def test_a_row_s_own_guard_is_obeyed(cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text(STRICT)
    strict = replace(cell, tokenizer=cell.tokenizer.with_(Stage((str(tmp_path / "strict.yaml"),))))
    with pytest.raises(CollapsedError, match="2 validations in a row"):
        run_cell(strict, tmp_path / "cell", tmp_path / "cache", 1)
