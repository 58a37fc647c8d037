"""Examine a codebook: what is used, what is idle, what is there twice, and what to do about it.

Encodes the images and counts the codes they take. Prints usage, perplexity, dead and duplicate codes and
a verdict, and writes them to report.txt beside three pictures: usage.png (how often each code occurs),
patches.png (what each code paints) and map.png (the codes on their first two principal axes). Written too
is prior.yaml: fit-tokenizer --config tokenizer/regvq --config DIR/prior.yaml draws the tokens of as many
codes towards what was counted here instead of towards all alike. Without images it takes the validation
crops of the photographs that come with the extra "demo". An image whose sides the tokenizer's downsampling
factor does not divide is mirrored at its right and lower edge.

Example:
  regvq codebook runs/demo/tokenizers/regvq photos/ --output runs/codebook
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.batching import PIXELS, batches
from regvq.cli.terminal import notice, track, working
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from torch import Tensor

    from regvq.evaluation import CodebookReport
    from regvq.tokenizers import ImageTokenizer

TOKENS_PER_CODE = 64
"""With the package's own photographs: enough for usage to mean something."""

MAX_CROP, MAX_CROPS = 112, 4096
"""All photographs have room for a crop of this side; so many crops take a minute, not ten."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    tokenizer_arguments.add_tokenizer_arguments(parser)
    image_arguments.add_image_arguments(parser, required=False)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for report, pictures and prior"
    )


def run(args: argparse.Namespace) -> None:
    """Examines the codebook.

    Raises:
        RegvqError: no image can be read, none is given and the photographs are not installed, or the
            folder cannot be written.
    """
    tokenizer_arguments.check_folder(args)
    found = image_arguments.Images.find(args.images, args.size) if args.images else None
    tokenizer = tokenizer_arguments.load(args)

    from regvq.evaluation import inspect_codebook, save_codebook_pictures
    from regvq.files import write_bytes
    from regvq.tokenizers.padding import pad_to_multiple

    if found is None:
        report = inspect_codebook(tokenizer, _photos(tokenizer))
    else:
        given = found.batches("encoding")
        report = inspect_codebook(
            tokenizer, (pad_to_multiple(images, tokenizer.downsampling) for _, images in given)
        )
        found.report_unreadable()
    with working("drawing"):
        pictures = save_codebook_pictures(report, tokenizer, args.output)
    write_bytes(args.output / "report.txt", f"{report.text()}\n".encode())
    write_bytes(args.output / "prior.yaml", _prior_config(report).encode())
    print(report.text())
    print(f"\npictures: {', '.join(str(path) for path in pictures)}")


def _prior_config(report: "CodebookReport") -> str:
    """A configuration with the counts as the prior, in the order of the codes."""
    import yaml

    from regvq.configurable import describe

    prior = {"model": {"quantizer": {"init_args": {"prior": describe(report.prior)}}}}
    text = yaml.safe_dump(prior, default_flow_style=None, width=110)
    return f"# Counted from {report.tokens} tokens.\n{text}"


def _photos(tokenizer: "ImageTokenizer") -> "Iterator[Tensor]":
    """Validation crops of 8x8 tokens, or as many as a crop may have, in batches.

    Raises:
        RegvqError: the photographs are not installed.
    """
    from regvq.data import Photos

    factor = tokenizer.downsampling
    side = max(1, min(8, MAX_CROP // factor))
    crops = min(-(-TOKENS_PER_CODE * tokenizer.codebook_size // side**2), MAX_CROPS)
    try:
        photos = Photos("val", side * factor, crops)
    except RegvqError as error:
        raise RegvqError(f"{error}; or name images to examine the codebook with") from None
    notice(f"no images given: examining with {crops} crops of the photographs of the extra 'demo'")
    items = ((index, photos[index]["image"]) for index in track(range(crops), "encoding", crops))
    for _, images in batches(items, PIXELS):
        yield images
