"""The arguments of commands that compare images by the features of a net."""

import argparse
from pathlib import Path

CACHE = Path("~/.cache/regvq/references")


def add_feature_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the feature net and where features of real images are kept."""
    parser.add_argument(
        "--features",
        metavar="NAME|PATH",
        help="inception, dinov2, squeezenet, offline, or a file of weights (default: inception, where its "
        "weights are cached)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=CACHE,
        metavar="DIR",
        help=f"where features of real images are kept (default: {CACHE})",
    )
