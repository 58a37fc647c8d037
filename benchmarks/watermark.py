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
import io
import itertools
import math
import statistics
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import Progress

from measuring import Bar, finish
from regvq.data import Photos, list_images, to_uint8
from regvq.data.images import SUFFIXES, load_image
from regvq.data.scenes import Scenes
from regvq.errors import RegvqError
from regvq.files import write_bytes
from regvq.provenance import CHANCE, chance, mark, score
from regvq.provenance.watermark import looks

Row = dict[str, Any]
Report = Callable[[], None]
Harm = Callable[[Image.Image], Image.Image]

SIDES, QUICK_SIDES = (32, 48, 64, 128, 256, 512), (32, 64, 128)
IMAGES, QUICK_IMAGES = 300, 24
"""Marked for each side."""
LEVELS = (0.1, 0.01, 0.001)
KOLMOGOROV = 1.95
"""Exceeded by one in a thousand samples of what is uniform."""
PICTURES = (("photographs", 1.0), ("scenes", 1.0), ("photographs", 0.5), ("photographs", 0.25))
"""What is marked, and the share of it that is drawn: less than all in an edit."""
SCENES = 24
NOTHING, WORST = "nothing", "90 %, JPEG 75"
START, END = "<!-- figures of benchmarks/watermark.py -->", "<!-- end of the figures -->"


def jpeg(picture: Image.Image, quality: int = 75) -> Image.Image:
    """Through a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def resized(picture: Image.Image, factor: float) -> Image.Image:
    """Both sides times ``factor``."""
    sides = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(sides, Image.Resampling.BICUBIC)


def noisy(picture: Image.Image, levels: float = 4) -> Image.Image:
    """White noise of so many levels in every channel, always the same."""
    values = np.asarray(picture, np.float32)
    noise = np.random.default_rng(0).normal(0, levels, values.shape)
    return Image.fromarray((values + noise).round().clip(0, 255).astype(np.uint8))


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """Without ``share`` of each side, at both ends alike, a pixel or more."""
    across, down = (max(1, round(side * share / 2)) for side in picture.size)
    return picture.crop((across, down, picture.width - across, picture.height - down))


HARMS: dict[str, Harm] = {
    NOTHING: lambda picture: picture,
    "JPEG 75": jpeg,
    "90 %": lambda picture: resized(picture, 0.9),
    "110 %": lambda picture: resized(picture, 1.1),
    WORST: lambda picture: jpeg(resized(picture, 0.9)),
    "110 %, JPEG 75": lambda picture: jpeg(resized(picture, 1.1)),
    "JPEG 50": lambda picture: jpeg(picture, 50),
    "noise": noisy,
    "75 %": lambda picture: resized(picture, 0.75),
    "cut 3 %": lambda picture: cropped(picture, 0.03),
    "cut 10 %": lambda picture: cropped(picture, 0.1),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}
ASKED = tuple(HARMS)[:6]
"""What the mark is to outlive, from ``ASKED_SIDE`` pixels on."""
ASKED_SIDE, LEAST_FOUND, LEAST_PSNR = 64, 0.99, 38.0


def photographs(path: Path) -> list[Path | bytes]:
    """The image files of a folder, an archive or an .npz file, not yet decoded.

    Raises:
        RegvqError: the path is none of these.
    """
    if path.is_dir():
        return list(list_images(path))
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            files = [archive.extractfile(one) for one in archive if Path(one.name).suffix in SUFFIXES]
            return [file.read() for file in files if file is not None]
    if path.suffix == ".npz":
        with np.load(path) as arrays:  # without pickle
            data, offsets = arrays["data"], arrays["offsets"]
        return [data[start:end].tobytes() for start, end in itertools.pairwise(offsets)]
    raise RegvqError(f"{path} is no folder, .tar or .npz file: name photographs in one of these")


def example_photographs(count: int) -> list[bytes]:
    """Crops of the photographs that come with the extra 'demo', as PNG."""
    photos = Photos("train", 128, count, seed=1)
    found = []
    for number in range(count):
        buffer = io.BytesIO()
        picture(photos[number]["image"]).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def picture(image: torch.Tensor) -> Image.Image:
    """An image ``[3, H, W]`` in [-1, 1] with 8 bits."""
    return Image.fromarray(to_uint8(image).permute(1, 2, 0).numpy())


def tensor(found: Image.Image) -> torch.Tensor:
    """The way back."""
    return torch.from_numpy(np.array(found)).permute(2, 0, 1).float() / 127.5 - 1


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


def squares(files: Sequence[Path | bytes], side: int) -> Iterator[torch.Tensor]:
    """The middle of each photograph, reduced to ``side``: ``[3, side, side]``."""
    for file in files:
        whole = picture(load_image(file))
        reduced = ImageOps.fit(whole, (side, side), Image.Resampling.LANCZOS)
        yield tensor(reduced)


def scenes(side: int, count: int) -> Iterator[torch.Tensor]:
    """Drawn pictures without texture."""
    drawn = Scenes("val", side, count)
    return (drawn[number]["image"] for number in range(count))


def even_shares(sources: Sequence[Sequence[Path | bytes]], count: int) -> list[Path | bytes]:
    """At most ``count`` files, as many of each source, spread from its first to its last."""
    return [
        files[number * len(files) // taken]
        for files in sources
        for taken in [min(count // len(sources), len(files))]
        for number in range(taken)
    ]


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


def show_blank(row: Row) -> str:
    """A line of the first table."""
    return (
        f"{row['photographs']:<28}{row['images']:>8}{row['false_positives']:>7}{row['highest_score']:>9.2f}"
        f"{row['kolmogorov']:>12.2f}"
    )


def head() -> str:
    """The head of the second table."""
    names = "".join(f"{name:>{len(name) + 2}}" for name in HARMS)
    return f"{'marked':<12}{'side':>5}{'drawn':>7}{'images':>8}{'PSNR':>7}{'least':>7}{names}"


def show(row: Row) -> str:
    """A line of it: the mark found in so many of a hundred."""
    values = {name: f"{100 * value:.1f}" for name, value in row["found"].items()}
    found = "".join(f"{values.get(name, '-'):>{len(name) + 2}}" for name in HARMS)
    return (
        f"{row['pictures']:<12}{row['side']:>5}{row['drawn']:>7.2f}{row['images']:>8}{row['psnr']:>7.1f}"
        f"{row['least_psnr']:>7.1f}{found}"
    )


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


def tables(content: Mapping[str, Any]) -> str:
    """The figures in Markdown."""
    levels = [f"{level:g}" for level in LEVELS]
    parts = [
        f"| photographs without a mark | images | shorter side | taken for marked | highest score | "
        f"{' | '.join(f'chance ≤ {100 * level:g} %' for level in LEVELS)} | one look, tenths |",
        f"|---|{'---:|' * (5 + len(levels))}",
    ]
    for row in content["unmarked"]:
        low, high = row["sides"]
        tenths = [100 * value for value in row["tenths_of_a_look"]]
        shares = [f"{100 * row['at_most'][level]:.2f} %" for level in levels]
        parts.append(
            f"| {row['photographs']} | {row['images']} | {low if low == high else f'{low} to {high}'} | "
            f"{row['false_positives']} | {row['highest_score']:.2f} | {' | '.join(shares)} | "
            f"{min(tenths):.1f} to {max(tenths):.1f} % |"
        )
    whole = [row for row in content["marked"] if row["drawn"] == 1]
    part = [row for row in content["marked"] if row["drawn"] < 1]
    for title, chosen in (("found after", whole), ("of an edit, found after", part)):
        names = list(chosen[0]["found"])
        parts += [
            "",
            f"| {title} | {'drawn | ' if chosen is part else ''}PSNR (least), dB | {' | '.join(names)} |",
            f"|---|{'---:|' * (len(names) + 1 + (chosen is part))}",
        ]
        for row in chosen:
            drawn = f"{100 * row['drawn']:.0f} % | " if chosen is part else ""
            found = " | ".join(f"{100 * row['found'][name]:.1f}" for name in names)
            parts.append(
                f"| {row['images']} {row['pictures']} of {row['side']} px | {drawn}"
                f"{row['psnr']:.1f} ({row['least_psnr']:.1f}) | {found} |"
            )
    return "\n".join(parts)


def with_tables(page: str, content: Mapping[str, Any]) -> str:
    """The page with these figures between its two comments."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n\n{tables(content)}\n\n{END}{after}"


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
