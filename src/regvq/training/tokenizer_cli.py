"""``regvq fit-tokenizer``: the training of a tokenizer from configuration files and arguments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regvq.nets import Backbone
from regvq.quantizers import Quantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli import TrainingCLI, run_cli, stacked
from regvq.training.tokenizer_training import TokenizerTraining


def tokenizer_training(backbone: Backbone, quantizer: Quantizer, **options: Any) -> TokenizerTraining:
    """The key ``model`` of a configuration.

    Args:
        backbone: encoder and decoder.
        quantizer: latents to codes.
        **options: of ``TokenizerTraining``, whose signature the command line reads.
    """
    return TokenizerTraining(ImageTokenizer(backbone, quantizer), **options)


class TokenizerCLI(TrainingCLI):
    """The command line whose key ``model`` is ``tokenizer_training``."""

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(TokenizerTraining, tokenizer_training, args)


def tokenizer_cli(args: Sequence[str]) -> ImageTokenizer:
    """Runs ``regvq fit-tokenizer`` with the arguments ``args``: see ``regvq.training.cli.run_cli``."""
    tokenizer: ImageTokenizer = run_cli(TokenizerCLI, TokenizerTraining.stage, args)
    return tokenizer


def train_tokenizer(
    config_files: Sequence[str], output: str | Path, overrides: Sequence[str] = ()
) -> ImageTokenizer:
    """``tokenizer_cli`` for a program: stacked configurations, and arguments on top.

    Args:
        config_files: paths or short names, later ones win, e.g. ``["backbone/tiny", …]``.
        output: the run's folder.
        overrides: e.g. ``["--trainer.max_steps=500"]``.
    """
    return tokenizer_cli(stacked(config_files, output, overrides))
