"""``regvq fit-generator``: the training of a generator from configuration files and arguments."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch.cli import LightningArgumentParser

from regvq.conditions import Condition
from regvq.data import ImageDataModule, Sample
from regvq.errors import RegvqError
from regvq.generators import Generator, TokenSource
from regvq.tokenizers import ImageTokenizer
from regvq.training.cli import TrainingCLI, run_cli, stacked
from regvq.training.generator_training import GeneratorTraining


def generator_training(
    tokenizer: str,
    condition: Condition,
    generator: Callable[[Condition, TokenSource], Generator],
    data: ImageDataModule,
    **options: Any,
) -> GeneratorTraining:
    """The key ``model`` of a configuration.

    Args:
        tokenizer: folder of the trained tokenizer.
        condition: what is generated from; what it lacks is read from the training data.
        generator: all but its condition and the tokenizer's codes, which are filled in.
        data: comes from the key ``data``.
        **options: of ``GeneratorTraining``, whose signature the command line reads.
    """
    frozen = ImageTokenizer.from_pretrained(tokenizer)
    fingerprint = frozen.fingerprint()
    dataset: Any = data.train_dataset
    _require_cache(dataset, fingerprint, tokenizer)
    source = TokenSource(frozen.codebook_size, _grid(dataset[0], frozen), fingerprint)
    condition.prepare(dataset, source.grid)
    return GeneratorTraining(generator(condition, source), frozen, **options)


class GeneratorCLI(TrainingCLI):
    """The command line whose key ``model`` is ``generator_training``."""

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(GeneratorTraining, generator_training, args)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.link_arguments("data", "model.data", apply_on="instantiate")


def generator_cli(args: Sequence[str]) -> Generator:
    """Runs ``regvq fit-generator`` with the arguments ``args``: see ``regvq.training.cli.run_cli``."""
    return cast(Generator, run_cli(GeneratorCLI, GeneratorTraining.stage, args))


def train_generator(
    config_files: Sequence[str], output: str | Path, overrides: Sequence[str] = ()
) -> Generator:
    """``generator_cli`` for a program: stacked configurations, and arguments on top.

    Args:
        config_files: paths or short names, later ones win.
        output: the run's folder.
        overrides: e.g. ``["--model.tokenizer=runs/tokenizer/tokenizer"]``.
    """
    return generator_cli(stacked(config_files, output, overrides))


def _grid(sample: Sample, tokenizer: ImageTokenizer) -> tuple[int, int]:
    """Rows and columns of the tokens of a training sample."""
    if "codes" in sample:
        rows, columns = sample["codes"].shape
    else:
        rows, columns = (side // tokenizer.downsampling for side in sample["image"].shape[1:])
    return rows, columns


def _require_cache(dataset: Any, fingerprint: str, tokenizer: str) -> None:
    """Refuses tokens that another tokenizer made.

    Raises:
        RegvqError: it did.
    """
    made_by = getattr(dataset, "fingerprint", fingerprint)
    if made_by != fingerprint:
        raise RegvqError(
            f"the cached tokens were made by another tokenizer (fingerprint {made_by}, {tokenizer} has "
            f"{fingerprint}): give that tokenizer, or encode the data again with this one"
        )
