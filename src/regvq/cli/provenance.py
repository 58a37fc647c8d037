"""How the images of a generator are marked and saved: the commands' side."""

import argparse
from typing import TYPE_CHECKING

from regvq.cli.terminal import notice

if TYPE_CHECKING:
    from regvq.provenance import Provenance


def add_provenance_arguments(parser: argparse.ArgumentParser) -> None:
    """``--no-watermark``."""
    parser.add_argument(
        "--no-watermark",
        dest="watermark",
        action="store_false",
        help="leave out the invisible mark in the pixels: regvq detect cannot tell the images once the "
        "file's record (models, seed, condition) is lost; the record stays",
    )


def report_weak_marks(provenance: "Provenance") -> None:
    """Tells in how many images the mark will not be found, if there are any."""
    if provenance.weak:
        notice(
            f"the mark is too weak to be found in {provenance.weak} of {provenance.marked} images: too "
            "small, too textured or too little drawn for it (docs/responsible-use.md)"
        )
