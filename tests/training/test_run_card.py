"""A run's own configuration and log become what a model card says."""

from pathlib import Path

import pytest

from regvq.errors import RegvqError
from regvq.training import facts_of_run
from regvq.training.tokenizer_cli import train_tokenizer

SMALL = """
model:
  backbone: {class_path: regvq.nets.IdentityBackbone, init_args: {downsampling: 4}}
  quantizer: {init_args: {codebook_size: 16, dim: 8}}
data:
  dataset: {init_args: {size: 16, train_length: 16, val_length: 8}}
  batch_size: 4
trainer: {max_steps: 3, val_check_interval: 3, accumulate_grad_batches: 2}
"""


def test_data_budget_and_figures_are_the_runs(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    files = ["tokenizer/ema-vq", "data/photos", "trainer/cpu", str(tmp_path / "small.yaml")]
    train_tokenizer(files, tmp_path / "run")
    facts = facts_of_run(tmp_path / "run", "mit", counts=[1, 2])
    assert "regvq.data.Photos" in facts.data
    assert "train_length: 16" in facts.data
    assert facts.budget.startswith("3 steps of 8 images")
    assert set(facts.figures) == {f"{name}, validation" for name in ("l1", "perplexity", "psnr", "usage")}
    assert 0 < facts.figures["usage, validation"] <= 1
    assert (facts.licence, list(facts.counts)) == ("mit", [1, 2])


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="holds no configuration of a run"):
        facts_of_run(tmp_path, "mit")
    (tmp_path / "config.yaml").write_text(
        "{data: {dataset: x, batch_size: 2}, trainer: {accumulate_grad_batches: 1}}"
    )
    with pytest.raises(RegvqError, match="holds no validation yet"):
        facts_of_run(tmp_path, "mit")
