"""What the command lines of both stages share: a training from configuration files and arguments."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from regvq import ranks
from regvq.data import ImageDataModule
from regvq.errors import RegvqError
from regvq.training.base import ModelTraining
from regvq.training.callbacks import KeepConfig
from regvq.training.cli_arguments import explain, innermost, located, resolve
from regvq.training.resuming import start_of
from regvq.training.run import DEFAULTS, joined, quiet, require_whole_models, run, run_options
from regvq.training.run_folder import RunFolder


class TrainingCLI(LightningCLI):
    """LightningCLI with the keys ``model``, ``data``, ``trainer`` and ``seed_everything``, and a folder.

    Args:
        stage: the class of training; it names the command and the folders.
        build: makes it from the key ``model`` of a configuration.
        args: of the command line.
    """

    def __init__(
        self, stage: type[ModelTraining], build: Callable[..., ModelTraining], args: Sequence[str]
    ) -> None:
        self.stage = stage
        self.arguments = list(args)
        super().__init__(
            build,
            ImageDataModule,
            save_config_callback=None,
            trainer_defaults=DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={
                "prog": f"regvq fit-{stage.stage}",
                "description": None,
                "exit_on_error": False,
            },
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
            "--output",
            type=str,
            default=f"runs/{self.stage.stage}",
            help="folder of the run, new unless resumed",
        )
        parser.add_argument("--resume", action="store_true", help="continue the run in the output folder")
        parser.link_arguments("seed_everything", "data.seed")

    @property
    def folder(self) -> RunFolder:
        """Where the run goes."""
        return RunFolder(Path(self.config.output), self.stage.stage)

    def before_instantiate_classes(self) -> None:
        # Before anything is built: a taken folder should not cost the time of loading data.
        self.folder.require(self.config.resume)
        trainer = self.config.trainer
        require_whole_models(trainer.strategy)
        for name, allowed in (
            ("val_check_interval", trainer.val_check_interval is None or trainer.val_check_interval > 0),
            ("gradient_clip_val", trainer.gradient_clip_val is None or trainer.gradient_clip_val >= 0),
        ):
            if not allowed:
                raise RegvqError(f"trainer.{name} must be positive, not {trainer[name]}")
        found = torch.cuda if trainer.accelerator == "cuda" else torch.accelerator
        if trainer.accelerator in ("gpu", "cuda") and not found.is_available():
            raise RegvqError(
                f"trainer.accelerator is {trainer.accelerator}, and torch finds no GPU on this machine: "
                "give --trainer.accelerator=cpu, or --config trainer/cpu in the place of trainer/gpu"
            )
        if str(trainer.precision) in ("16-true", "bf16-true"):
            raise RegvqError(
                f"trainer.precision {trainer.precision} would keep weights and running sums in half "
                f"precision, in which small updates are lost: give {str(trainer.precision)[:-4]}mixed"
            )

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            # Where a type is optional, the parser wraps what the constructor raised into its own words.
            raise RegvqError(located(innermost(error), self.arguments)) from None

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        self.start = start_of(self.folder) if self.config.resume else None
        options = run_options(self.stage, self.folder, self.config.seed_everything, start=self.start)
        options["callbacks"].append(KeepConfig(self.folder.config, self.effective_config()))
        # Callbacks, loggers and plugins of the user's configuration come on top of ours.
        chosen = self.config_init.trainer
        for key in ("callbacks", "logger", "plugins"):
            given = chosen.get(key)
            if given is not None and not isinstance(given, bool):
                given = given if isinstance(given, list) else [given]
                options[key] = joined(options[key], given) if key == "callbacks" else options[key] + given
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


def run_cli(make: Callable[[list[str]], TrainingCLI], stage: str, args: Sequence[str]) -> Any:
    """Runs the training that ``args`` describe.

    Args:
        make: builds the command line from arguments whose configurations are files.
        stage: ``tokenizer`` or ``generator``.
        args: as on the command line. The names after ``--config`` may be short ones of ours.

    Returns:
        The trained model, in eval mode.

    Raises:
        RegvqError: a wrong key or value, a taken folder, or what ``regvq.training.fit`` raises.
        SystemExit: after ``--help`` and ``--print_config``.
        TrainingInterrupted: Ctrl-C. Everything is saved.
    """
    with quiet():
        ranks.warn_of_stale_addresses()
        full = resolve(args, stage)
        try:
            cli = make(full)
        except ArgumentError as error:
            raise RegvqError(explain(str(error), full, stage)) from None
        model = run(cli.trainer, cli.model, cli.datamodule, cli.folder, cli.start)
        if cli.trainer.is_global_zero:
            print(f"the {stage} is in {cli.folder.model}")
        return model


def stacked(config_files: Sequence[str], output: str | Path, overrides: Sequence[str]) -> list[str]:
    """Arguments of a training from stacked configurations, later ones win, with arguments on top."""
    files = [part for name in config_files for part in ("--config", name)]
    return [*files, "--output", str(output), *overrides]
