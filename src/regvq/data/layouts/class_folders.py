"""A folder for each class."""

from pathlib import Path

from regvq.data.annotated import Record, Split
from regvq.data.folder import split_by_name
from regvq.data.images import list_images
from regvq.data.layouts.base import LayoutData
from regvq.errors import RegvqError

_HALVES = ("train", "val", "valid", "validation", "test", "training")


class ClassFoldersData(LayoutData):
    """A folder for each class, once for training and once for validation, or in all.

    Where ``root`` has the folders ``train`` and ``val``, each holds the folders of the classes, as ImageNet
    does after its usual preparation. Otherwise ``root`` holds them itself, and a file belongs to training
    or validation by a hash of its path. Classes are numbered in the order of their names.

    Args:
        root: the folder.
        size: side of the pictures in pixels.
        flip: whether half of the training pictures are mirrored left to right.
        val_share: share of the files that is kept for validation where there are not both folders.
    """

    title = "A tree of classes"
    folder = "."
    tree = """\
train/CLASS/ANY_NAME.jpg ...       or    CLASS/ANY_NAME.jpg ...
val/CLASS/ANY_NAME.jpg ..."""

    def __init__(self, root: str, size: int = 256, flip: bool = True, val_share: float = 0.05) -> None:
        super().__init__(root, size, flip)
        if not 0 < val_share < 1:
            raise RegvqError(f"val_share is {val_share}: give a share between 0 and 1, for example 0.05")
        self.val_share = val_share

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the folders."""
        return tuple(folder.name for folder in self._classes(self._half_of("train")))

    def records(self, split: Split) -> list[Record]:
        """Images with their classes."""
        base = self._half_of(split)
        numbers = {name: number for number, name in enumerate(self.class_names)}
        folders = self._classes(base)
        unknown = [folder for folder in folders if folder.name not in numbers]
        if unknown:
            raise self.incomplete(f"{unknown[0]} is a class that training does not have")
        files = {file: numbers[folder.name] for folder in folders for file in self._images_below(folder)}
        if not self._is_split:
            files = {file: files[file] for file in split_by_name(base, list(files), self.val_share)[split]}
        return [Record(file, number) for file, number in files.items()]

    def _images_below(self, folder: Path) -> list[Path]:
        try:
            return list_images(folder)
        except RegvqError as error:
            raise self.incomplete(f"{error}, or remove this class") from None

    @property
    def _is_split(self) -> bool:
        return all((self.base / split).is_dir() for split in ("train", "val"))

    def _half_of(self, split: Split) -> Path:
        return self.base / split if self._is_split else self.base

    def _classes(self, base: Path) -> list[Path]:
        folders = sorted(
            path for path in self.require(base).iterdir() if path.is_dir() and path.name[0] != "."
        )
        if not folders:
            raise self.incomplete(f"{base} has no folders, so it has no classes")
        halves = [folder.name for folder in folders if folder.name.lower() in _HALVES]
        if halves:
            raise self.incomplete(
                f"{base} has the folder {halves[0]}, which is no class: name the two halves train and val"
            )
        return folders
