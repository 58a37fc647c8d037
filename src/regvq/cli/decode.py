"""Turn a token file back into images.

Writes one PNG an image, at the size and under the name that the image had when it was encoded. A file
that another tokenizer made, or that is damaged, is refused.

Example:
  regvq decode runs/demo/tokenizers/regvq tokens.npz --output runs/decoded
"""

import argparse
from pathlib import Path

from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.batching import PIXELS, batches
from regvq.cli.images import png_names
from regvq.cli.terminal import track


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    parser.add_argument("tokens", type=Path, metavar="TOKENS", help="token file that regvq encode wrote")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the PNG files"
    )


def run(args: argparse.Namespace) -> None:
    """Decodes the tokens.

    Raises:
        RegvqError: the tokens are damaged or another tokenizer's, or the folder cannot be written.
    """
    tokenizer_arguments.check_folder(args)
    from regvq.data.images import save_png
    from regvq.tokenizers.token_file import load_tokens

    tokens = load_tokens(args.tokens)
    outputs = [args.output / name for name in png_names(tokens.names)]
    tokenizer = tokenizer_arguments.load(args)
    tokens.require(tokenizer, args.tokens)
    waiting = track(enumerate(tokens.codes), "decoding", len(outputs))
    for indices, codes in batches(waiting, PIXELS // tokenizer.downsampling**2):
        images = tokenizer.decode(codes.to(args.device)).cpu()
        for index, image in zip(indices, images, strict=True):
            height, width = tokens.sizes[index]
            save_png(image[:, :height, :width], outputs[index])
    print(f"{len(outputs)} images in {args.output}")
