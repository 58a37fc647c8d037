"""Turn images into tokens: a few into one file, a whole data set into a cache to train generators on.

Images: the suffix of the output chooses the format, .npz or .safetensors. The file names the tokenizer it
was made with by its fingerprint, and keeps each image's name and size. Images keep their size: one whose
sides the tokenizer's downsampling factor does not divide is mirrored at its right and lower edge.

A data set, named by --config and --data arguments as in regvq fit-tokenizer: the output is a folder of
shards with the tokens, class labels, label maps and captions of training and validation data. A run that
was cut short goes on where it stopped. --variants encodes each training image several times, cropped and
flipped anew. Train on it with --config data/tokens --data.dataset.init_args.folder DIR. Started by
torchrun, the processes share the shards, each on a GPU of its own with --device cuda.

Example:
  regvq encode runs/demo/tokenizers/regvq photos/ --output tokens.npz
  regvq encode runs/scenes/tokenizer --config data/scenes --output runs/tokens --workers 2
"""

import argparse
from pathlib import Path

from regvq import ranks
from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.terminal import say, track
from regvq.errors import RegvqError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    image_arguments.add_image_arguments(parser, required=False)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="token file (.npz or .safetensors); for a data set a folder",
    )
    for name, default, text in (
        ("variants", 1, "of a data set: how often each training image is encoded"),
        ("shard-size", 2048, "of a data set: images a file"),
        ("batch-size", 64, "of a data set: images encoded at once"),
    ):
        parser.add_argument(
            f"--{name}", type=image_arguments.positive, default=default, metavar="N", help=text
        )
    parser.add_argument(
        "--workers",
        type=image_arguments.not_negative,
        default=0,
        metavar="N",
        help="of a data set: processes that prepare images (default: this one)",
    )
    parser.set_defaults(rest=[])


def run(args: argparse.Namespace) -> None:
    """Encodes the images or the data set.

    Raises:
        RegvqError: nothing can be read, or the output cannot be written.
    """
    tokenizer_arguments.check_folder(args)
    if bool(args.images) == bool(args.rest):
        raise RegvqError(
            "name images to encode, or a data set with --config (e.g. --config data/scenes), one of both"
        )
    if args.rest:
        with ranks.together():
            _encode_data(args)
    elif ranks.launched() > 1:
        raise RegvqError("images are encoded by one process: start it without torchrun, or name a data set")
    else:
        _encode_images(args)


def _encode_data(args: argparse.Namespace) -> None:
    from regvq.cli.data import parse_data
    from regvq.tokenizers import write_cache

    module = parse_data(args.rest)
    tokenizer = tokenizer_arguments.load(args)
    header = write_cache(
        args.output,
        tokenizer,
        module.dataset,
        seed=module.seed,
        variants=args.variants,
        shard_size=args.shard_size,
        batch_size=args.batch_size,
        workers=args.workers,
        track=lambda shards, count: track(shards, "encoding shards", count),
    )
    say(
        f"{header.lengths['train']} training images in {header.variants} variant(s) and "
        f"{header.lengths['val']} validation images as {header.grid[0]} x {header.grid[1]} tokens in "
        f"{args.output}"
    )


def _encode_images(args: argparse.Namespace) -> None:
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
