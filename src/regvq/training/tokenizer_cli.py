"""``regvq fit-tokenizer``: the training of a tokenizer from configuration files and arguments."""

from collections.abc import Sequence
from pathlib import Path

from regvq.losses import Objective
from regvq.nets import Backbone
from regvq.quantizers import Quantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli import TrainingCLI, run_cli, stacked
from regvq.training.learning_rate import LearningRateSchedule
from regvq.training.tokenizer_training import TokenizerTraining


def tokenizer_training(
    backbone: Backbone,
    quantizer: Quantizer,
    objective: Objective | None = None,
    learning_rate: float = 1e-3,
    discriminator_learning_rate: float | None = None,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.0,
    schedule: LearningRateSchedule | None = None,
    ema_decay: float | None = None,
    compile: bool = False,
    channels_last: bool = False,
) -> TokenizerTraining:
    """The key ``model`` of a configuration.

    Args:
        backbone: encoder and decoder.
        quantizer: latents to codes.
        objective: what is minimised; L1 and the quantizer's own losses if none is given.
        learning_rate: of the tokenizer.
        discriminator_learning_rate: of the discriminator; the tokenizer's if none is given.
        betas: Adam's.
        weight_decay: decoupled, on both.
        schedule: a factor on both learning rates over the run; constant if none is given.
        ema_decay: of the averaged weights, which are validated and saved; none if null.
        compile: run the networks through torch.compile: a slow first step, faster ones after it.
        channels_last: lay images and convolutions out with the channels last.
    """
    return TokenizerTraining(
        ImageTokenizer(backbone, quantizer),
        objective,
        learning_rate=learning_rate,
        discriminator_learning_rate=discriminator_learning_rate,
        betas=betas,
        weight_decay=weight_decay,
        schedule=schedule,
        ema_decay=ema_decay,
        compile=compile,
        channels_last=channels_last,
    )


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
