"""Draw a part of an image anew.

The mask is a picture of the image's size: where it is neither black nor transparent, the image is drawn
anew, token by token, under the condition that is given; everywhere else it stays as it is. The image has
the size that the generator makes. What is drawn carries an invisible mark, and the file the seed, the
condition and the models' fingerprints, for regvq detect (docs/responsible-use.md).

Example:
  regvq edit runs/scenes/tokenizer runs/scenes-diffusion/generator photo.png --mask mask.png \
    --caption "a red house on grass" --output edited.png
"""

import argparse
from pathlib import Path

from regvq.cli import generator as generator_arguments
from regvq.cli import images as image_arguments
from regvq.cli.provenance import add_provenance_arguments, report_weak_marks
from regvq.cli.terminal import progress
from regvq.errors import RegvqError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    generator_arguments.add_generator_arguments(parser)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="image to edit")
    parser.add_argument(
        "--mask", type=Path, required=True, metavar="PNG", help="what is not black is drawn anew"
    )
    parser.add_argument(
        "--count",
        type=image_arguments.positive,
        default=1,
        metavar="N",
        help="versions, side by side (default: 1)",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="PNG", help="the edited image; the original stays"
    )
    add_provenance_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Edits.

    Raises:
        RegvqError: image or mask cannot be read or have another size, or an option is wrong.
    """
    inputs = (args.image, args.mask, *(args.label_map or ()))
    generator_arguments.keep_inputs([args.output], inputs)
    sampler = generator_arguments.load(args)
    ids = generator_arguments.condition_ids(args, sampler)
    if len(ids) > 1:
        raise RegvqError(f"an edit has one condition, not {len(ids)}")

    from regvq.data.images import load_image
    from regvq.provenance import Provenance

    image = load_image(args.image)
    mask = (load_image(args.mask, page="black") > -1).any(0)
    for path, shape in ((args.image, image.shape[1:]), (args.mask, mask.shape)):
        if tuple(shape) != sampler.size:
            raise RegvqError(
                f"{path} is {shape[1]} x {shape[0]} pixels, this generator makes images of "
                f"{sampler.size[1]} x {sampler.size[0]}: crop or resize it"
            )
    if not mask.any():
        raise RegvqError(f"{args.mask} is all black: nothing is to be drawn anew")
    with progress("sampling", args.count) as report:
        redrawn = sampler.redraw(image, mask, ids.expand(args.count, -1), report)
    provenance = Provenance.of(sampler, args.watermark, edited=True)
    # Only what was drawn is marked: the rest is somebody's image, and stays as it is.
    edited = provenance.mark(redrawn, drawn=mask)
    texts = generator_arguments.condition_texts(args)
    provenance.save(edited, args.output, texts, columns=args.count, line=0)
    report_weak_marks(provenance)
    print(f"{args.count} version(s) in {args.output}")
