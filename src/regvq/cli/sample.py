"""Draw new images from a generator.

A generator is trained for one condition: give classes, captions or label maps, or nothing, which asks for
any image. --count images are drawn for each. An --output that ends in .png gets all of them as one grid,
a row for each condition; otherwise it is a folder for single files. The same seed gives the same images.

Example:
  regvq sample runs/scenes/tokenizer runs/scenes-ar/generator --class farm cabin --count 8 \
    --output runs/samples.png
"""

import argparse
from pathlib import Path

from regvq.cli import generator as generator_arguments
from regvq.cli import images as image_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    generator_arguments.add_generator_arguments(parser)
    parser.add_argument(
        "--count",
        type=image_arguments.positive,
        default=8,
        metavar="N",
        help="images for each condition (default: 8)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PATH", help="grid (.png) or folder for the images"
    )


def run(args: argparse.Namespace) -> None:
    """Samples.

    Raises:
        RegvqError: a folder, a condition or an option is wrong, or the output cannot be written.
    """
    sampler = generator_arguments.load(args)
    ids = generator_arguments.condition_ids(args, sampler).repeat_interleave(args.count, 0)
    as_grid = args.output.suffix.lower() == ".png"
    files = [args.output / f"{number:05d}.png" for number in range(len(ids))]
    generator_arguments.keep_inputs([args.output] if as_grid else files, args.label_map or ())

    from torchvision.utils import make_grid

    from regvq.data.images import save_png

    images = sampler.images(ids)
    if as_grid:
        save_png(make_grid(images, nrow=args.count, padding=2, pad_value=1.0), args.output)
    else:
        for image, file in zip(images, files, strict=True):
            save_png(image, file)
    print(f"{len(images)} images in {args.output}")
