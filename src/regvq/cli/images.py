"""Images named on the command line: found, read and resized."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from regvq.cli.batching import PIXELS, batches
from regvq.cli.terminal import notice, track
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from torch import Tensor


LARGEST = 2**26
"""Pixels of the largest image that --size may ask for."""


def add_images_argument(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """``IMAGES...``."""
    parser.add_argument(
        "images",
        nargs="+" if required else "*",
        type=Path,
        metavar="IMAGE",
        help="image files, and folders that are searched for images with all their subfolders",
    )


def add_image_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """``IMAGES...`` and ``--size``."""
    add_images_argument(parser, required)
    parser.add_argument(
        "--size",
        type=positive,
        metavar="PIXELS",
        help="resize each image's shorter side to this first (default: images keep their size)",
    )


def at_least(low: int) -> Callable[[str], int]:
    """The type of an integer argument of at least ``low``."""

    def integer(text: str) -> int:
        value = int(text)
        if value < low:
            raise argparse.ArgumentTypeError(f"must be at least {low}, not {value}")
        return value

    return integer


positive, not_negative = at_least(1), at_least(0)


@dataclass
class Images:
    """The images that a command was given, read one after another; unreadable ones are counted.

    Attributes:
        paths: the file of every name; a name is the path inside the folder that was given.
        size: resize the shorter side to this many pixels, or ``None``.
        read: how many were read so far.
        unreadable: why each of the others was not.
    """

    paths: dict[str, Path]
    size: int | None = None
    read: int = 0
    unreadable: list[str] = field(default_factory=list)

    @classmethod
    def find(cls, sources: Iterable[Path], size: int | None = None) -> "Images":
        """Looks for all images, and opens none.

        Raises:
            RegvqError: a file or folder does not exist, or a folder holds no image.
        """
        sources = list(sources)
        for source in sources:  # first, because it is quick: a typing error is told at once
            if not source.exists():
                raise RegvqError(f"there is no image file or folder {source}")
        from regvq.data.images import list_images

        paths: dict[str, Path] = {}
        for source in sources:
            inside = [source] if source.is_file() else list_images(source)
            folder = source.parent if source.is_file() else source
            for path in inside:
                paths[_unused(path.relative_to(folder).as_posix(), paths)] = path
        return cls(paths, size)

    def batches(self, what: str) -> "Iterator[tuple[list[str], Tensor]]":
        """Reads all images: names and ``[B, 3, H, W]`` float32 in [-1, 1], neighbours of one size together.

        ``what`` stands at the progress bar.

        Raises:
            RegvqError: not one image could be read.
        """
        yield from batches(self._images(what), PIXELS)
        if not self.read:
            others = f" (and {len(self.unreadable) - 1} more)" if len(self.unreadable) > 1 else ""
            raise RegvqError(f"{self.unreadable[0]}{others}: no image could be read")

    def report_unreadable(self) -> None:
        """Tells how many files were left out, and why, if there were any."""
        for reason in self.unreadable[:10]:
            notice(f"left out: {reason}")
        if self.unreadable:
            notice(f"{len(self.unreadable)} of {len(self.paths)} files were left out as unreadable")

    def _images(self, what: str) -> "Iterator[tuple[str, Tensor]]":
        for name, path in track(self.paths.items(), what, len(self.paths)):
            image = self._read(path)
            if image is not None:
                yield name, image

    def _read(self, path: Path) -> "Tensor | None":
        from torchvision.transforms.v2 import InterpolationMode
        from torchvision.transforms.v2.functional import resize

        from regvq.data.images import load_image

        try:
            image = load_image(path)
        except RegvqError as error:
            self.unreadable.append(str(error))
            return None
        self.read += 1
        if self.size is None:
            return image
        if self.size**2 * max(image.shape[1:]) / min(image.shape[1:]) > LARGEST:
            raise RegvqError(f"--size {self.size} makes more than {LARGEST} pixels of {path}: choose less")
        resized: Tensor = resize(image, [self.size], InterpolationMode.BICUBIC, antialias=True)
        return resized.clamp(-1, 1)


def png_names(names: Iterable[str]) -> list[str]:
    """The ``.png`` file that each image is written to, inside the output folder; no two are the same.

    Raises:
        RegvqError: a name (of a token file somebody else made) leads out of the folder.
    """
    taken: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.name or "\0" in name:
            raise RegvqError(
                f"the tokens name an image {name!r}, which would be written outside the output folder: "
                "encode the images again, or get the file from somebody you trust"
            )
        taken[_unused(str(path.with_suffix(".png")), taken)] = name
    return list(taken)


def _unused(name: str, taken: dict[str, Path] | dict[str, str]) -> str:
    """``name``, or ``name-2``, ``name-3``, … before the suffix."""
    path, number, unused = PurePosixPath(name), 2, name
    while unused in taken:
        unused = str(path.with_stem(f"{path.stem}-{number}"))
        number += 1
    return unused
