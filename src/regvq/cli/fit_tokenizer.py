r"""Train a tokenizer from configuration files.

--config FILE can be given more than once: later files and arguments replace what earlier ones say. A
file that comes with this package is named without its suffix (list below). Every key of a configuration
is an argument, too, e.g. --trainer.max_steps 500 or --model.quantizer.codebook_size 4096; --print_config
prints all keys with their values and trains nothing. --output DIR takes the run (default:
runs/tokenizer), --resume goes on with the run that is there, and DIR/tokenizer is the trained tokenizer.

Example:
  regvq fit-tokenizer --config backbone/tiny --config tokenizer/regvq --config data/photos \
    --config trainer/cpu --output runs/first
"""

import argparse

from regvq import configs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares nothing of its own: the arguments are the configuration's."""
    parser.set_defaults(rest=[])
    parser.epilog = f"configurations that come with this package: {', '.join(configs.names())}"


def run(args: argparse.Namespace) -> None:
    """Hands the arguments to the training command line.

    Raises:
        RegvqError: a wrong key or value, or a training that cannot go on.
    """
    from regvq.cli.terminal import working

    with working("starting"):
        from regvq.training.tokenizer_cli import tokenizer_cli

    tokenizer_cli(args.rest)
