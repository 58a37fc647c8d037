"""Every trial of the recipe is a configuration that builds."""

from pathlib import Path

import pytest

from benchmarks.recipe import TRIALS, arguments_of, table
from regvq.evaluation.photos_demo import CONFIGS, Budget
from regvq.training.cli_arguments import resolve
from regvq.training.run import quiet
from regvq.training.tokenizer_cli import TokenizerCLI


@pytest.mark.parametrize("name", TRIALS)
def test_a_trial_builds(name: str, tmp_path: Path) -> None:
    quantizer = TRIALS[name][0]
    files = [part for file in (*CONFIGS, f"tokenizer/{quantizer}") for part in ("--config", file)]
    arguments = [*Budget().arguments(quantizer), *arguments_of(name), f"--output={tmp_path / 'run'}"]
    with quiet():
        cli = TokenizerCLI(resolve([*files, *arguments]))
    built = cli.model.model.quantizer
    assert built.codebook_size == 1024
    for key in TRIALS[name][1]:
        assert key in built.init_args


def test_the_table_shows_mean_and_spread() -> None:
    row = {
        "trial": "x",
        **dict.fromkeys(("psnr_sampled_40", "psnr_sampled_80", "frechet", "frechet_sampled_80"), 1.0),
        **dict.fromkeys(("usage", "perplexity", "changed_at_1"), 1.0),
    }
    text = table([{**row, "psnr": 20.0}, {**row, "psnr": 22.0}])
    assert "21.00 +-1.41" in text
