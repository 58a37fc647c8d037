"""The tokenizer named on the command line."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from regvq import hub, ranks
from regvq.cli.terminal import working
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from regvq.tokenizers import ImageTokenizer


def add_tokenizer_arguments(parser: argparse.ArgumentParser) -> None:
    """``TOKENIZER`` and ``--device``."""
    add_tokenizer_argument(parser)
    parser.add_argument("--device", default="cpu", help="where to compute: cpu (default), cuda, cuda:1, …")


def add_tokenizer_argument(parser: argparse.ArgumentParser) -> None:
    """``TOKENIZER``."""
    parser.add_argument(
        "tokenizer",
        type=Path,
        metavar="TOKENIZER",
        help="folder with config.json and model.safetensors, or owner/name on the Hugging Face Hub",
    )


def check_folder(args: argparse.Namespace) -> None:
    """Tells a typing error in ``args.tokenizer`` at once, before anything slow is imported.

    Raises:
        RegvqError: there is no such folder.
    """
    if not (args.tokenizer.is_dir() or hub.is_id(args.tokenizer)):
        raise RegvqError(f"there is no tokenizer folder {args.tokenizer}")


def load(args: argparse.Namespace) -> "ImageTokenizer":
    """Loads ``args.tokenizer`` on ``args.device``.

    Raises:
        RegvqError: the folder is missing or damaged, or there is no such device.
    """
    check_folder(args)
    with working("loading the tokenizer"):
        from regvq.tokenizers import ImageTokenizer

        tokenizer = ImageTokenizer.from_pretrained(args.tokenizer)
        try:
            args.device = ranks.own_device(args.device)
            return tokenizer.to(args.device)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
            reason = str(error).splitlines()[0]
            raise RegvqError(f"device {args.device!r} cannot be used: {reason}") from None
