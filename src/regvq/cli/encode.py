"""Turn images into tokens, kept in one file.

The suffix of the output chooses the format: .npz or .safetensors. The file names the tokenizer it was
made with by its fingerprint, and keeps each image's name and size. Images keep their size: one whose
sides the tokenizer's downsampling factor does not divide is mirrored at its right and lower edge.

Example:
  regvq encode runs/demo/tokenizers/regvq photos/ --output tokens.npz
"""

import argparse
from pathlib import Path

from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    image_arguments.add_image_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="token file: .npz or .safetensors"
    )


def run(args: argparse.Namespace) -> None:
    """Encodes the images.

    Raises:
        RegvqError: nothing can be read, or the file cannot be written.
    """
    tokenizer_arguments.check_folder(args)
    from regvq.tokenizers.padding import pad_to_multiple
    from regvq.tokenizers.token_file import TokenFile, check_suffix, save_tokens

    check_suffix(args.output)
    found = image_arguments.Images.find(args.images, args.size)
    tokenizer = tokenizer_arguments.load(args)
    all_names, sizes, grids = [], [], []
    for names, images in found.batches("encoding"):
        height, width = images.shape[2:]
        codes = tokenizer.encode(pad_to_multiple(images, tokenizer.downsampling).to(args.device))
        all_names += names
        sizes += [(height, width)] * len(names)
        grids += list(codes.cpu())
    found.report_unreadable()
    tokens = TokenFile(
        tokenizer=tokenizer.fingerprint(),
        codebook_size=tokenizer.codebook_size,
        downsampling=tokenizer.downsampling,
        names=tuple(all_names),
        sizes=tuple(sizes),
        codes=tuple(grids),
    )
    save_tokens(tokens, args.output)
    count = sum(grid.numel() for grid in grids)
    print(f"{len(grids)} images as {count} tokens in {args.output}")
