"""``regvq fit-tokenizer``: a training from configuration files and arguments."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from regvq.data import ImageDataModule
from regvq.errors import RegvqError
from regvq.files import write_bytes
from regvq.losses import Objective
from regvq.nets import Backbone
from regvq.quantizers import Quantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli_arguments import DEFAULT_OUTPUT, explain, innermost, resolve
from regvq.training.learning_rate import LearningRateSchedule
from regvq.training.module import TokenizerTraining
from regvq.training.run import DEFAULTS, quiet, run, run_options
from regvq.training.run_folder import RunFolder


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
    )


class TokenizerCLI(LightningCLI):
    """LightningCLI with the keys ``model``, ``data``, ``trainer`` and ``seed_everything``, and a folder."""

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(
            tokenizer_training,
            ImageDataModule,
            save_config_callback=None,
            trainer_defaults=DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={"prog": "regvq fit-tokenizer", "description": None, "exit_on_error": False},
            args=list(args),
            run=False,
            auto_configure_optimizers=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything", type=int, default=0, help="decides weights, batches, masks and noise"
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--output", type=str, default=DEFAULT_OUTPUT, help="folder of the run, new unless resumed"
        )
        parser.add_argument("--resume", action="store_true", help="continue the run in the output folder")
        parser.link_arguments("seed_everything", "data.seed")

    @property
    def folder(self) -> RunFolder:
        """Where the run goes."""
        return RunFolder(Path(self.config.output))

    def before_instantiate_classes(self) -> None:
        # Before anything is built: a taken folder should not cost the time of loading data.
        self.folder.require(self.config.resume)

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except RegvqError:
            raise
        except ValueError as error:
            # Where a type is optional, the parser wraps what the constructor raised into its own words.
            raise RegvqError(innermost(error)) from None

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        options = run_options(self.folder, self.config.seed_everything)
        # Callbacks, loggers and plugins of the user's configuration come on top of ours.
        chosen = self.config_init.trainer
        for key in ("callbacks", "logger", "plugins"):
            given = chosen.get(key)
            if given is not None and not isinstance(given, bool):
                options[key] += given if isinstance(given, list) else [given]
        chosen.callbacks = None
        try:
            return super().instantiate_trainer(**{**options, **kwargs})
        except (MisconfigurationException, ValueError) as error:
            raise RegvqError(f"the trainer cannot be set up as asked: {error}") from None

    def effective_config(self) -> str:
        """The whole configuration as YAML, without what belongs to this call alone."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        for key in ("config", "output", "resume"):
            config.pop(key, None)
        text: str = yaml.safe_dump(config, sort_keys=False)
        return text


def tokenizer_cli(args: Sequence[str]) -> ImageTokenizer:
    """Runs ``regvq fit-tokenizer`` with the arguments ``args``.

    Args:
        args: as on the command line. The names after ``--config`` may be short ones of ours.

    Returns:
        The trained tokenizer, in eval mode.

    Raises:
        RegvqError: a wrong key or value, a taken folder, or what ``regvq.training.fit`` raises.
        SystemExit: after ``--help`` and ``--print_config``.
        TrainingInterrupted: Ctrl-C. Everything is saved.
    """
    with quiet():
        cli = _parse(resolve(args))
        if cli.trainer.is_global_zero:
            write_bytes(cli.folder.config, cli.effective_config().encode())
        tokenizer = run(cli.trainer, cli.model, cli.datamodule, cli.folder, cli.config.resume)
        if cli.trainer.is_global_zero:
            print(f"the tokenizer is in {cli.folder.tokenizer}")
        return tokenizer


def _parse(args: list[str]) -> TokenizerCLI:
    try:
        return TokenizerCLI(args)
    except ArgumentError as error:
        raise RegvqError(explain(str(error), args)) from None


def train_tokenizer(
    config_files: Sequence[str], output: str | Path, overrides: Sequence[str] = ()
) -> ImageTokenizer:
    """``tokenizer_cli`` for a program: stacked configurations, and arguments on top.

    Args:
        config_files: paths or short names, later ones win, e.g. ``["backbone/tiny", …]``.
        output: the run's folder.
        overrides: e.g. ``["--trainer.max_steps=500"]``.
    """
    files = [part for name in config_files for part in ("--config", name)]
    return tokenizer_cli([*files, "--output", str(output), *overrides])
