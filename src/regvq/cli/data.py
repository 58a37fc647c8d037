"""A data set named by configurations on the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regvq.errors import RegvqError

if TYPE_CHECKING:
    from regvq.data import ImageDataModule


def parse_data(args: Sequence[str]) -> "ImageDataModule":
    """Builds the key ``data`` from ``--config data/…`` and ``--data.…`` arguments.

    Raises:
        RegvqError: a wrong key or value, or data that is not there.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from regvq.data import ImageDataModule
    from regvq.training.cli_arguments import explain, innermost, resolve

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(ImageDataModule, "data")
    full = resolve(args)
    try:
        module: ImageDataModule = parser.instantiate_classes(parser.parse_args(full)).data
    except ArgumentError as error:
        raise RegvqError(explain(str(error), full, "data")) from None
    except RegvqError:
        raise
    except ValueError as error:
        raise RegvqError(innermost(error)) from None
    return module
