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
    """Tells in how many images the mark will not be found, as they are or after a little wear."""
    if not provenance.fragile:
        return
    lost, fragile, marked = provenance.lost, provenance.fragile, provenance.marked
    as_they_are = f"cannot be found in {lost} of {marked} images, and " if lost else ""
    notice(
        f"the mark {as_they_are}would not outlive a resize and JPEG in {fragile} of {marked} images: too "
        "small (below 64 pixels), too textured or too little drawn for it (docs/responsible-use.md)"
    )
