r"""Train a generator on the tokens of a trained tokenizer, from configuration files.

Works as regvq fit-tokenizer does: --config FILE stacks, every key is an argument, --print_config prints
them all, --resume goes on. --model.tokenizer names the tokenizer's folder, a condition/… configuration
what is generated from, a generator/… configuration how. Data that was encoded (data/tokens) is read as it
is, other data is encoded on the fly. DIR/generator is the trained generator.

Example:
  regvq fit-generator --model.tokenizer runs/scenes/tokenizer --config condition/class-label \
    --config generator/autoregressive-tiny --config data/scenes --config trainer/generator-cpu \
    --output runs/scenes-ar
"""

import argparse

from regvq.cli.fit_tokenizer import add_arguments

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> None:
    """Hands the arguments to the training command line.

    Raises:
        RegvqError: a wrong key or value, or a training that cannot go on.
    """
    from regvq.cli.terminal import working

    with working("starting"):
        from regvq.training.generator_cli import generator_cli

    generator_cli(args.rest)
