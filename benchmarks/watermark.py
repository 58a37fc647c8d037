"""The invisible mark of generated images: what it costs, how often it is found, and where none is.

    .venv/bin/python benchmarks/watermark.py [--photographs PATH ...] [--quick] [--json PATH] [--page PATH]

Photographs are folders of images, .tar archives of them, or .npz files that hold encoded images end to
end in ``data``, image ``i`` from ``offsets[i]`` to ``offsets[i + 1]``; without any, crops of the
photographs of the extra 'demo'.

False positives: every photograph as it is, without a mark, is shown to the detector. Without a mark a
look's score is to be a standard normal variable, so its probability is to be uniform: a tenth of them in
each tenth.

Detection: photographs that are at least as large are cut square and reduced to each side, marked, written
with 8 bits, harmed in one way, and shown to the detector. Scenes, pictures without texture as the demo's
generators draw them, stand beside the photographs. Edits are marked in a square of half or a quarter of
the area only.

``--page`` writes the tables between the two comments of a Markdown page. The exit status is 1 where a bar
is missed.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from harms import HARMS, NOTHING, WORST, picture, tensor
from measuring import Bar, finish
from photo_files import even_shares, example_photographs, photographs, squares
from regvq.data.images import load_image
from regvq.data.scenes import Scenes
from regvq.files import write_bytes
from regvq.provenance import CHANCE, chance, mark, score
from regvq.provenance.watermark import looks
from watermark_tables import LEVELS, Row, head, show, show_blank, with_tables

Report = Callable[[], None]

SIDES, QUICK_SIDES = (32, 48, 64, 128, 256, 512), (32, 64, 128)
IMAGES, QUICK_IMAGES = 300, 24
"""Marked for each side."""
KOLMOGOROV = 1.95
"""Exceeded by one in a thousand samples of what is uniform."""
PICTURES = (("photographs", 1.0), ("scenes", 1.0), ("photographs", 0.5), ("photographs", 0.25))
"""What is marked, and the share of it that is drawn: less than all in an edit."""
SCENES = 24
ASKED = tuple(HARMS)[:6]
"""What the mark is to outlive, from ``ASKED_SIDE`` pixels on."""
ASKED_SIDE, LEAST_FOUND, LEAST_PSNR = 64, 0.99, 38.0


def false_positives(name: str, files: Sequence[Path | bytes], report: Report) -> tuple[Row, list[int]]:
    """What the detector says of photographs without a mark, and the shorter side of each."""
    scores, sides = [], []
    for file in files:
        image = load_image(file)
        scores.append(looks(image[None])[0])
        sides.append(min(image.shape[1:]))
        report()
    every = torch.stack(scores)
    chances = [chance(one) for one in every.amax(1).tolist()]
    # Of one look, so that nothing is counted several times: uniform, where the score is what it should be.
    tails = torch.special.ndtr(-every[:, 0]).sort().values
    places = torch.arange(len(tails) + 1, dtype=torch.float64) / len(tails)
    distance = torch.maximum((tails - places[:-1]).abs().max(), (places[1:] - tails).abs().max())
    row = {
        "photographs": name,
        "images": len(files),
        "sides": [min(sides), max(sides)],
        "false_positives": sum(one <= CHANCE for one in chances),
        "highest_score": max(every.flatten().tolist()),
        "at_most": {f"{level:g}": share(one <= level for one in chances) for level in LEVELS},
        "tenths_of_a_look": (torch.histc(tails, 10, 0, 1) / len(tails)).tolist(),
        "kolmogorov": math.sqrt(len(tails)) * float(distance),
    }
    return row, sides


def share(hits: Iterable[bool]) -> float:
    """The mean of truths."""
    return statistics.fmean(map(float, hits))


def scenes(side: int, count: int) -> Iterator[torch.Tensor]:
    """Drawn pictures without texture."""
    drawn = Scenes("val", side, count)
    return (drawn[number]["image"] for number in range(count))


def square_of(share: float, side: int) -> torch.Tensor | None:
    """Which pixels of a picture are drawn: a square in its middle, or ``None`` for all."""
    if share == 1:
        return None
    inner = round(side * math.sqrt(share))
    start = (side - inner) // 2
    drawn = torch.zeros(side, side, dtype=torch.bool)
    drawn[start : start + inner, start : start + inner] = True
    return drawn


def detection(
    kind: str, images: Iterable[torch.Tensor], side: int, drawn: float, names: Sequence[str], report: Report
) -> Row:
    """How often the mark is found after each harm, and what it costs."""
    errors, scores = [], {name: [] for name in names}
    for image in images:
        marked = mark(image[None], square_of(drawn, side))[0]
        errors.append(float((marked - image).square().mean()))
        for name in names:
            scores[name].append(float(score(tensor(HARMS[name](picture(marked)))[None])))
        report()
    psnr = [10 * math.log10(4 / max(error, 1e-12)) for error in errors]
    return {
        "pictures": kind,
        "side": side,
        "drawn": drawn,
        "images": len(errors),
        "psnr": statistics.fmean(psnr),
        "least_psnr": min(psnr),
        "found": {name: share(chance(one) <= CHANCE for one in scores[name]) for name in names},
        "median_score": {name: statistics.median(scores[name]) for name in names},
    }


def measure(sources: Mapping[str, Sequence[Path | bytes]], quick: bool) -> tuple[list[Row], list[Row]]:
    """The rows of false positives and those of detection, printed as they come."""
    console = Console(stderr=True)
    blank, rows = [], []
    shorter: dict[str, list[int]] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def start(what: str, total: int) -> Report:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        print(f"{'without a mark':<28}{'images':>8}{'found':>7}{'highest':>9}{'kolmogorov':>12}")
        for name, files in sources.items():
            row, shorter[name] = false_positives(name, files, start(f"unmarked: {name}", len(files)))
            blank.append(row)
            print(show_blank(row), flush=True)
        print(f"\n{head()}")
        for side in QUICK_SIDES if quick else SIDES:
            large = [
                [file for file, one in zip(files, shorter[name], strict=True) if one >= side]
                for name, files in sources.items()
            ]
            chosen = even_shares([files for files in large if files], QUICK_IMAGES if quick else IMAGES)
            for kind, drawn in PICTURES:
                count = len(chosen) if kind == "photographs" else SCENES
                if count == 0:
                    continue
                images = squares(chosen, side) if kind == "photographs" else scenes(side, count)
                names = tuple(HARMS) if drawn == 1 else (NOTHING, "JPEG 75", WORST)
                report = start(f"{kind} of {side} px", count)
                rows.append(detection(kind, images, side, drawn, names, report))
                print(show(rows[-1]), flush=True)
    return blank, rows


def bars(blank: Sequence[Row], rows: Sequence[Row]) -> list[Bar]:
    """What is asked of the mark."""
    judged = []
    for row in blank:
        judged.append(Bar(f"marks seen in {row['photographs']}", row["false_positives"], 0))
        judged.append(Bar(f"Kolmogorov's distance in {row['photographs']}", row["kolmogorov"], KOLMOGOROV))
    for row in rows:
        if row["pictures"] == "photographs" and row["side"] >= ASKED_SIDE and row["drawn"] == 1:
            least = min(row["found"][name] for name in ASKED)
            judged.append(Bar(f"found at {row['side']} px", least, LEAST_FOUND, at_most=False))
            judged.append(Bar(f"PSNR at {row['side']} px (dB)", row["psnr"], LEAST_PSNR, at_most=False))
    return judged


def main() -> int:
    """Reads the arguments, measures, prints the tables and the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--photographs", type=Path, nargs="+", default=[], metavar="PATH")
    parser.add_argument("--quick", action="store_true", help="fewer images: under 45 s on two cores")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--page", type=Path, help="write the tables into this Markdown page")
    arguments = parser.parse_args()
    sources: dict[str, Sequence[Path | bytes]] = {
        path.name: photographs(path) for path in arguments.photographs
    }
    if not sources:
        sources["crops of the extra demo"] = example_photographs(1000)
    blank, rows = measure(sources, arguments.quick)
    if arguments.page is not None:
        page = arguments.page.read_text(encoding="utf-8")
        write_bytes(arguments.page, with_tables(page, {"unmarked": blank, "marked": rows}).encode())
    print()
    judged = bars(blank, rows)
    return finish(arguments.json, judged, chance=CHANCE, unmarked=blank, marked=rows)


if __name__ == "__main__":
    sys.exit(main())
