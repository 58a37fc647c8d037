"""What published data sets share: a tree of files, two splits, and a clear word on what is missing."""

from abc import abstractmethod
from collections.abc import Iterable, Set
from pathlib import Path
from typing import ClassVar

from regvq.data.annotated import AnnotatedData, AnnotatedImages, Record, Split
from regvq.data.images import SUFFIXES
from regvq.data.label_files import LabelPng
from regvq.errors import RegvqError


class LayoutData(AnnotatedData):
    """A published data set as its archives extract: see the subclasses.

    Args:
        root: the folder that the archives were extracted in, or the one that they made there.
        size: side of the pictures in pixels.
        flip: whether half of the training pictures are mirrored left to right.
    """

    title: ClassVar[str]
    """What the data set is called."""
    folder: ClassVar[str]
    """The folder that its archive makes."""
    tree: ClassVar[str]
    """How the files should lie, for people."""

    def __init__(self, root: str, size: int = 256, flip: bool = True) -> None:
        self.root = root
        self.size = size
        self.flip = flip

    @property
    def base(self) -> Path:
        """``root``, or the archive's folder in it."""
        inner = Path(self.root) / self.folder
        return inner if inner.is_dir() else Path(self.root)

    @abstractmethod
    def records(self, split: Split) -> list[Record]:
        """The images of a split, in a fixed order.

        Raises:
            RegvqError: something is missing.
        """

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the values of ``class_label``; none where the data has no classes."""
        return ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the values of ``label_map``; none where the data has no label maps."""
        return ()

    mirrored: ClassVar[tuple[tuple[int, int], ...]] = ()
    """Labels that change places in a mirror."""

    def half(self, split: Split, seed: int) -> AnnotatedImages:
        """See ``AnnotatedData``."""
        return AnnotatedImages(
            self.records(split),
            split,
            self.size,
            self.flip,
            seed,
            class_names=self.class_names,
            label_names=self.label_names,
            mirrored=self.mirrored,
            place=f"{self.title} in {self.root}",
        )

    def require(self, path: Path) -> Path:
        """A file or folder that must be there.

        Raises:
            RegvqError: it is not; says how the tree should look.
        """
        if not path.exists():
            raise self.incomplete(f"there is no {path}")
        return path

    def images_in(self, folder: Path) -> list[Path]:
        """The image files of a folder, sorted.

        Raises:
            RegvqError: there is no such folder, or it holds none.
        """
        found = sorted(folder / name for name in images_among(names_in(self.require(folder))))
        if not found:
            raise self.incomplete(f"{folder} holds no images")
        return found

    def require_all(self, paths: Iterable[Path]) -> None:
        """Files that must be there, many of them.

        Raises:
            RegvqError: some are not; names the first and counts them.
        """
        wanted = list(paths)
        # One look at a folder instead of one at every file: data sets lie on slow disks.
        present = {folder: names_in(folder) for folder in {path.parent for path in wanted}}
        missing = [path for path in wanted if path.name not in present[path.parent]]
        if missing:
            raise self.incomplete(
                f"{len(missing):,} of {len(wanted):,} files are missing, first {missing[0]}"
            )

    def require_named(self, there: Set[str], named: Set[str], table: Path, what: str) -> None:
        """Names of what is there, which a table must hold, all of them.

        Raises:
            RegvqError: it does not, as where it was cut short; names the first and counts them.
        """
        alone = there - named
        if alone:
            raise self.incomplete(
                f"{table} does not name {len(alone):,} of the {len(there):,} {what}, first {min(alone)}: "
                "it was cut short"
            )

    def require_some(self, records: list[Record], split: Split, table: Path) -> list[Record]:
        """Records of a split, which must not be empty.

        Raises:
            RegvqError: they are; names the table that they are read from.
        """
        if not records:
            raise self.incomplete(f"{table} names no {split} image")
        return records

    def with_maps(self, images: Path, maps: Path) -> list[Record]:
        """The images of a folder with their label maps, PNGs of the same names in another folder.

        Raises:
            RegvqError: an image lacks its map or a map its image, as where an archive was unpacked by half;
                names the first and counts them.
        """
        found = self.images_in(images)
        wanted = {image.stem: maps / f"{image.stem}.png" for image in found}
        self.require_all(wanted.values())
        mapped = {Path(name).stem for name in names_in(maps) if name.endswith(".png") and name[0] != "."}
        alone = sorted(mapped - wanted.keys())
        self.require_all([*found, *(images / f"{stem}{found[0].suffix}" for stem in alone)])
        return [Record(image, labels=LabelPng(wanted[image.stem])) for image in found]

    def lines(self, path: Path) -> list[str]:
        """The lines of a text file that are not empty, one at least.

        Raises:
            RegvqError: there is no such file, it is no text, or it is empty.
        """
        try:
            text = self.require(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise self.incomplete(f"{path} cannot be read: {error}") from None
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            raise self.incomplete(f"{path} is empty: it was cut short")
        return lines

    def rows(self, path: Path) -> list[str]:
        """The lines of a table below its header, one at least.

        Raises:
            RegvqError: as ``lines`` does, or there is nothing but a header.
        """
        rows = self.lines(path)[1:]
        if not rows:
            raise self.incomplete(f"{path} has no line below its header: it was cut short")
        return rows

    def incomplete(self, what: str) -> RegvqError:
        """An error about the files, with the tree they should form."""
        return RegvqError(f"{what}. {self.title} should lie in {self.root} like this:\n{self.tree}")


def names_in(folder: Path) -> set[str]:
    """The names in a folder; none where there is no such folder."""
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def images_among(names: Iterable[str]) -> set[str]:
    """Those that are names of image files, by their suffix; hidden ones are not."""
    return {name for name in names if Path(name).suffix.lower() in SUFFIXES and name[0] != "."}
