"""Measure a tokenizer or a generator against real images, with figures that others can repeat.

The data set is named by --config and --data arguments as in regvq fit-tokenizer; its validation half is
what is reconstructed, or gives the conditions and the real images that samples are compared with. Prints
the figures as a table and writes evaluation.json and evaluation.md.

--features chooses the net whose features the distances compare: inception (then they are FID, KID and
IS), dinov2, squeezenet, offline (which needs no weights), or the path of one's weights. Nothing is
downloaded. Without it the Inception net is taken where its weights are in torch's cache, and else the
offline features, which is said. Every result names the net and a hash of its weights. Features of the
real images are kept in --cache. So are finished parts of a measurement, which goes on where it was cut
short; processes started by torchrun share the parts.

Example:
  regvq evaluate tokenizer runs/mine/tokenizer --config data/scenes --output runs/mine/evaluation
  regvq evaluate generator runs/mine/tokenizer runs/mine/ar/generator --config data/scenes --output runs/ar
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from regvq import ranks
from regvq.cli import generator as generator_arguments
from regvq.cli import images as image_arguments
from regvq.cli import tokenizer as tokenizer_arguments
from regvq.cli.features import add_feature_arguments
from regvq.cli.terminal import notice, progress, working
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from regvq.data import ImageDataModule
    from regvq.evaluation import Evaluation
    from regvq.losses import LPIPS
    from regvq.nets import FeatureNet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    kinds = parser.add_subparsers(title="what to measure", dest="kind", metavar="KIND", required=True)
    tokenizer = kinds.add_parser("tokenizer", help="its reconstructions", allow_abbrev=False)
    tokenizer_arguments.add_tokenizer_arguments(tokenizer)
    generator = kinds.add_parser("generator", help="its samples", allow_abbrev=False)
    tokenizer_arguments.add_tokenizer_arguments(generator)
    generator_arguments.add_generator_argument(generator)
    generator_arguments.add_sampling_arguments(generator)
    for kind in (tokenizer, generator):
        add_feature_arguments(kind)
        kind.add_argument(
            "--count",
            type=image_arguments.positive,
            metavar="N",
            help="images at most (default: all of the validation half)",
        )
        kind.add_argument(
            "--output", type=Path, required=True, metavar="DIR", help="folder for evaluation.json and .md"
        )
    tokenizer.add_argument(
        "--batch-size",
        type=image_arguments.positive,
        default=32,
        metavar="N",
        help="images at once (default: 32)",
    )
    parser.set_defaults(rest=[])


def run(args: argparse.Namespace) -> None:
    """Measures.

    Raises:
        RegvqError: no data set was named, a folder or the weights are missing, or the output cannot be
            written.
    """
    tokenizer_arguments.check_folder(args)
    if not args.rest:
        raise RegvqError("name the data to measure on with --config, e.g. --config data/scenes")
    from regvq.cli.data import parse_data
    from regvq.evaluation import choose_features

    module = parse_data(args.rest)
    with working("loading the feature net"):
        net, instead = choose_features(args.features)
    if instead:
        notice(instead)
    args.cache = args.cache.expanduser()
    with ranks.together():
        evaluation = (
            _tokenizer(args, module, net) if args.kind == "tokenizer" else _generator(args, module, net)
        )
        if ranks.rank() == 0:
            paths = evaluation.save(args.output)
            print(evaluation.table())
            print(f"\nwritten: {', '.join(map(str, paths))}")


def _tokenizer(args: argparse.Namespace, module: "ImageDataModule", net: "FeatureNet") -> "Evaluation":
    from dataclasses import replace

    from regvq.evaluation import evaluate_reconstructions
    from regvq.evaluation.image_batches import images_to_take

    tokenizer = tokenizer_arguments.load(args)
    net.to(args.device)
    lpips, missing = _lpips()
    if lpips is not None:
        lpips.to(args.device)
    with progress("reconstructing", images_to_take(module.val_dataset, args.count)) as report:
        found = evaluate_reconstructions(
            tokenizer,
            module.dataset,
            net,
            args.cache,
            count=args.count,
            batch_size=args.batch_size,
            workers=module.worker_count,
            lpips=lpips,
            report=report,
        )
    return replace(found, notes=(*found.notes, *missing))


def _generator(args: argparse.Namespace, module: "ImageDataModule", net: "FeatureNet") -> "Evaluation":
    from regvq.evaluation import evaluate_samples
    from regvq.evaluation.image_batches import images_to_take

    sampler = generator_arguments.load(args)
    net.to(args.device)
    with progress("sampling", images_to_take(module.val_dataset, args.count)) as report:
        return evaluate_samples(
            sampler.generator,
            sampler.tokenizer,
            module.dataset,
            net,
            args.cache,
            count=args.count,
            options=sampler.options,
            batch_size=sampler.batch_size,
            workers=module.worker_count,
            report=report,
            notice=notice,
        )


def _lpips() -> "tuple[LPIPS | None, list[str]]":
    """The perceptual distance where its weights are at hand, and where they are not, what is missing."""
    from regvq.losses import LPIPS

    try:
        return LPIPS(), []
    except RegvqError as error:
        return None, [f"LPIPS is left out: {error}"]
