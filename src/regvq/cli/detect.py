"""Find the invisible mark of generated images, and read what their files say of themselves.

Prints for each image whether the mark was found, its score, the probability that an image without the
mark scores as high, and the record of a PNG: what made it, seed, condition. A mark counts as found where
that probability is at most one in a million. The mark survives JPEG and a resize by a tenth, the record
does not; cropping, turning and stronger changes remove the mark, and anybody can remove both or write a
false record. So a mark is strong evidence that regvq drew the image; no mark is evidence of nothing.

A picture whose record says that it is a grid is looked at image by image; --cell says so where the record
is lost. The exit status is 0 whatever was found, if images could be read.

Example:
  regvq detect runs/samples.png downloads/ --json runs/detected.json
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regvq.cli import images as image_arguments
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from torch import Tensor

    from regvq.provenance import Record

Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    image_arguments.add_images_argument(parser)
    parser.add_argument(
        "--cell",
        type=cell,
        metavar="WxH",
        help="the pictures are grids of images of so many pixels, such as 64x64 (default: as records say)",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the findings here as well")


def cell(text: str) -> tuple[int, int]:
    """Height and width of ``WxH``."""
    width, _, height = text.lower().partition("x")
    positive = image_arguments.positive
    return positive(height), positive(width)


def run(args: argparse.Namespace) -> None:
    """Looks.

    Raises:
        RegvqError: no image can be read, a picture is no grid of the size that --cell says, or the JSON
            cannot be written.
    """
    found = image_arguments.Images.find(args.images)
    from regvq.files import write_bytes
    from regvq.provenance import read_record

    rows: list[Row] = []
    for names, images in found.batches("looking"):
        for name, image in zip(names, images, strict=True):
            rows.append(_row(name, image, read_record(found.paths[name]), args.cell))
    found.report_unreadable()
    print(_table(rows))
    marked = sum(row["found"] > 0 for row in rows)
    print(f"\n{marked} of {len(rows)} pictures carry the mark")
    if args.json is not None:
        write_bytes(args.json, (json.dumps(rows, indent=2) + "\n").encode())


def _row(name: str, image: "Tensor", record: "Record | None", cell: tuple[int, int] | None) -> Row:
    """What is found in one picture, JSON-ready."""
    from dataclasses import asdict

    from regvq.provenance import CHANCE, Grid, chance, score

    size = (image.shape[1], image.shape[2])
    grid = record.grid if record is not None else None
    if cell is not None:
        try:
            grid = Grid.of_cells(size, cell)
        except RegvqError as error:
            raise RegvqError(f"{name}: {error}") from None
    parts = grid.cells(image) if grid is not None and grid.fits(size) else image[None]
    scores = score(parts).tolist()
    chances = [chance(one, len(parts)) for one in scores]
    return {
        "file": name,
        "images": len(parts),
        "found": sum(one <= CHANCE for one in chances),
        "score": max(scores),
        "chance": min(chances),
        "scores": scores,
        "record": None if record is None else asdict(record),
        "summary": "-" if record is None else record.summary(),
    }


def _table(rows: list[Row]) -> str:
    lines = [("file", "mark", "score", "chance", "record")]
    for row in rows:
        mark = "yes" if row["found"] else "no"
        if row["images"] > 1:
            mark = f"{row['found']} of {row['images']}"
        chance = "<1e-99" if row["chance"] < 1e-99 else f"{row['chance']:.1e}"
        lines.append((row["file"], mark, f"{row['score']:.1f}", chance, row["summary"]))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        f"{file:<{widths[0]}}  {mark:<{widths[1]}}  {score:>{widths[2]}}  {chance:>{widths[3]}}  {record}"
        for file, mark, score, chance, record in lines
    )
