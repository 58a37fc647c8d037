r"""Bring the idle codes of a tokenizer back to life, and say what it took.

For a tokenizer that has collapsed, an imported one for example. Its networks go on training under the
Reg-VQ objective, around a new codebook of the same size that starts on latents of the data. All other
arguments are those of regvq fit-tokenizer: --config names the data, the trainer and the objective. Because
the networks are trained already, the learning rate is low, the codes follow faster, and masked tokens are
sampled no farther than in the paper; --model.quantizer.init_args changes that. A tokenizer with a cosine
head wants --model.quantizer.init_args.head=regvq.quantizers.CosineHead. Prints usage, perplexity and
PSNR on the validation images before and after, and writes them to DIR/revival.json; DIR/tokenizer is the
revived tokenizer. regvq fit-tokenizer --output DIR --resume goes on where it stopped. Generators of the old
tokenizer do not fit the new one.

Example:
  regvq revive runs/vqgan --config data/folder --data.dataset.init_args.root photos \
    --config objective/l1 --config trainer/cpu --output runs/revived
"""

import argparse
from pathlib import Path

from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.terminal import working


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what is not the configuration's."""
    tokenizer_arguments.add_tokenizer_argument(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder of the run")
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=1e-4,
        metavar="RATE",
        help="whatever the configurations say; a high one destroys what the networks know (default: 1e-4)",
    )
    parser.set_defaults(rest=[])


def run(args: argparse.Namespace) -> None:
    """Revives the tokenizer.

    Raises:
        RegvqError: there is no such tokenizer, it cannot be revived, a wrong key or value, or a training
            that cannot go on.
    """
    tokenizer_arguments.check_folder(args)
    with working("starting"):
        from regvq.training.revive_cli import revive

    given = [f"--model.tokenizer={args.tokenizer}", "--output", str(args.output)]
    rate = [f"--model.learning_rate={args.learning_rate}"]
    figures = revive([*args.rest, *given, *rate])
    before, after = figures["before"], figures["after"]
    print("                before     after")
    for name, key, form in (
        ("usage", "usage", "{:9.1%}"),
        ("perplexity", "perplexity", "{:9.1f}"),
        ("PSNR (dB)", "psnr", "{:9.2f}"),
    ):
        print(f"{name:12s} {form.format(before[key])} {form.format(after[key])}")
    print(f"the revived tokenizer is in {args.output / 'tokenizer'}")
