"""A folder of the user's own images."""

import hashlib
import warnings
from pathlib import Path

from regvq.data.annotated import AnnotatedImages, Record, Split, check_size, check_split
from regvq.data.base import ImageData
from regvq.data.images import image_size, list_images
from regvq.errors import RegvqError


class ImageFolder(AnnotatedImages):
    """Square crops of all images below a folder.

    A file belongs to training or validation by a hash of its path below the folder: the same on every
    machine, and other files coming or going do not move it. Training crops are squares of 0.8 to 1 of the
    short side (no fewer than ``size`` pixels where the image has them) at a random place; validation takes
    the middle square of the whole short side. Both are resized to ``size``.

    Files that cannot be read do not stop a run: those whose header is bad are left out with one warning
    that counts them, those that turn out damaged later are replaced by the next readable file.

    Args:
        root: the folder; it is searched to any depth.
        split: ``"train"`` or ``"val"``.
        size: side of the crops in pixels.
        val_share: share of the files that is kept for validation, between 0 and 1, at least one file.
        flip: whether half of the training crops are mirrored left to right.
        seed: decides the training crops.

    Raises:
        RegvqError: the folder is missing or empty, no file of this split can be read, it holds a single
            image, or an argument is out of its range.
    """

    def __init__(
        self,
        root: str | Path,
        split: Split = "train",
        size: int = 128,
        val_share: float = 0.05,
        flip: bool = True,
        seed: int = 0,
    ) -> None:
        check_split(split)
        check_size(size)
        if not 0 < val_share < 1:
            raise RegvqError(f"val_share is {val_share}: give a share between 0 and 1, for example 0.05")
        self.root = Path(root)
        files = split_by_name(self.root, list_images(self.root), val_share)[split]
        self.files = _usable(self.root, files, split, size)
        super().__init__([Record(file) for file in self.files], split, size, flip, seed, place=str(root))


class FolderData(ImageData):
    """A folder of images, split into training and validation: see ``ImageFolder``.

    Args:
        root: the folder; it is searched to any depth.
        size: side of the crops in pixels.
        val_share: share of the files that is kept for validation.
        flip: whether half of the training crops are mirrored.
    """

    def __init__(self, root: str, size: int = 128, val_share: float = 0.05, flip: bool = True) -> None:
        self.root = root
        self.size = size
        self.val_share = val_share
        self.flip = flip

    def train(self, seed: int) -> ImageFolder:
        """Random crops of the training files."""
        return ImageFolder(self.root, "train", self.size, self.val_share, self.flip, seed)

    def val(self) -> ImageFolder:
        """Middle squares of the validation files."""
        return ImageFolder(self.root, "val", self.size, self.val_share, self.flip)


def _usable(root: Path, files: list[Path], split: Split, size: int) -> list[Path]:
    """The files with a readable header; what was left out or is small is told once."""
    usable: list[Path] = []
    bad: list[str] = []
    small: list[Path] = []
    for file in files:
        try:
            sides = image_size(file)
        except RegvqError as error:
            bad.append(str(error))
            continue
        usable.append(file)
        if min(sides) < size:
            small.append(file)
    if not usable:
        raise RegvqError(f"none of the {len(files)} {split} images in {root} can be read; {bad[0]}")
    if bad:
        warnings.warn(f"{len(bad)} of {len(files)} {split} images are skipped; {bad[0]}", stacklevel=4)
    if small:
        warnings.warn(
            f"{len(small)} of {len(usable)} {split} images are smaller than {size} pixels "
            f"and are scaled up, {small[0]} for one: a smaller size would not blur them",
            stacklevel=4,
        )
    return usable


def split_by_name(root: Path, files: list[Path], val_share: float) -> dict[str, list[Path]]:
    if len(files) < 2:
        raise RegvqError(f"{root} holds a single image: training and validation need at least one each")
    place = {file: _hash(file.relative_to(root).as_posix()) for file in files}
    # Among few files chance may leave one side empty: its nearest file is taken then.
    lowest, highest = min(files, key=place.__getitem__), max(files, key=place.__getitem__)
    val = {file for file in files if place[file] < val_share} | {lowest}
    val -= {highest}
    return {"train": [file for file in files if file not in val], "val": sorted(val)}


def _hash(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64
