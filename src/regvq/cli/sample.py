"""Draw new images from a generator.

A generator is trained for one condition: give classes, captions or label maps, or nothing, which asks for
any image. --count images are drawn for each. An --output that ends in .png gets all of them as one grid,
a row for each condition; otherwise it is a folder for single files. The same seed gives the same images.
Drawing into a folder goes on where it was cut short, and processes started by torchrun share the images.
Images carry an invisible mark, and files the seed, the condition and the models' fingerprints, for regvq
detect (docs/responsible-use.md).

Example:
  regvq sample runs/scenes/tokenizer runs/scenes-ar/generator --class farm cabin --count 8 \
    --output runs/samples.png
"""

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regvq import ranks
from regvq.cli import generator as generator_arguments
from regvq.cli import images as image_arguments
from regvq.cli.provenance import add_provenance_arguments, report_weak_marks
from regvq.cli.terminal import progress, say
from regvq.errors import RegvqError
from regvq.files import claim, remove_leftovers

if TYPE_CHECKING:
    from torch import Tensor

    from regvq.generators import Sampler
    from regvq.provenance import Provenance

RECORD = "samples.json"
"""Says in a folder of samples what they are."""


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
    add_provenance_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Samples.

    Raises:
        RegvqError: a folder, a condition or an option is wrong, or the output cannot be written.
    """
    as_grid = args.output.suffix.lower() == ".png"
    if as_grid and ranks.launched() > 1:
        raise RegvqError("a grid is drawn by one process: start it without torchrun, or name a folder")
    with ranks.together():
        sampler = generator_arguments.load(args)
        from regvq.provenance import Provenance

        ids = generator_arguments.condition_ids(args, sampler).repeat_interleave(args.count, 0)
        provenance = Provenance.of(sampler, args.watermark)
        if as_grid:
            _draw_grid(args, sampler, ids, provenance)
        else:
            _draw_files(args, sampler, ids, provenance)
        report_weak_marks(provenance)
        say(f"{len(ids)} images in {args.output}")


def _draw_grid(
    args: argparse.Namespace, sampler: "Sampler", ids: "Tensor", provenance: "Provenance"
) -> None:
    generator_arguments.keep_inputs([args.output], args.label_map or ())
    with progress("sampling", len(ids)) as report:
        images = provenance.mark(sampler.draw(ids, 0, report))
    provenance.save(images, args.output, generator_arguments.condition_texts(args), columns=args.count)


def _draw_files(
    args: argparse.Namespace, sampler: "Sampler", ids: "Tensor", provenance: "Provenance"
) -> None:
    """Batch by batch, each written when it is there: what was drawn before an interruption is kept."""
    files = [args.output / f"{number:05d}.png" for number in range(len(ids))]
    generator_arguments.keep_inputs(files, args.label_map or ())
    facts = _facts(sampler, ids, provenance)
    ranks.require_same(facts)
    if ranks.rank() == 0:
        claim(args.output, RECORD, facts, "set of samples")
    ranks.wait_for_all()
    texts = generator_arguments.condition_texts(args)
    lots = [
        range(start, min(start + sampler.batch_size, len(ids)))
        for start in range(0, len(ids), sampler.batch_size)
    ]
    missing = [lot for lot in ranks.share(lots) if not all(files[number].is_file() for number in lot)]
    with progress("sampling", sum(map(len, missing))) as report:
        done = 0

        def show(drawn: int) -> None:
            report(done + drawn)

        for lot in missing:
            images = provenance.mark(sampler.draw(ids[lot.start : lot.stop], lot.start, show))
            for number, image in zip(lot, images, strict=True):
                text = texts[number // args.count]
                remove_leftovers(files[number])
                provenance.save(image[None], files[number], [text], index=number)
            done += len(lot)
    ranks.wait_for_all()
    if ranks.rank() == 0:
        ranks.require_written(files)


def _facts(sampler: "Sampler", ids: "Tensor", provenance: "Provenance") -> dict[str, Any]:
    """What decides the images of a folder."""
    from dataclasses import asdict

    return {
        "generator": provenance.generator,
        "tokenizer": provenance.tokenizer,
        "options": asdict(sampler.options),
        "conditions": hashlib.sha256(ids.numpy().tobytes()).hexdigest()[:16],
        "images": len(ids),
        "watermark": provenance.watermark,
    }
