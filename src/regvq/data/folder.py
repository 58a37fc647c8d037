"""A folder of the user's own images."""

import hashlib
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate

from regvq.data.base import ImageData, ImageDataset, Sample
from regvq.data.images import image_size, list_images, load_image
from regvq.errors import RegvqError

Split = Literal["train", "val"]

# A training crop shows at least this part of the short side: enough to vary, and things stay whole.
_SMALLEST_CROP = 0.8


class ImageFolder(ImageDataset):
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
        if split not in ("train", "val"):
            raise RegvqError(
                f"an image folder has the splits train and val, not {split!r}: choose one of them"
            )
        if size < 1:
            raise RegvqError(f"size is {size}: give crops of at least 1 pixel")
        if not 0 < val_share < 1:
            raise RegvqError(f"val_share is {val_share}: give a share between 0 and 1, for example 0.05")
        self.root = Path(root)
        self.split = split
        self.size = size
        self.flip = flip
        self.files = self._usable(_split(self.root, list_images(self.root), val_share)[split])
        self._damaged: set[int] = set()
        super().__init__(len(self.files), seed)

    @property
    def damaged(self) -> list[Path]:
        """Files whose header was good but whose pixels could not be read, as far as met by this process."""
        return [self.files[item] for item in sorted(self._damaged)]

    def sample(self, item: int, rng: np.random.Generator) -> Sample:
        """``{"image"}``: float32 ``[3, size, size]`` in [-1, 1]."""
        image = self._read(item)
        side, top, left, mirror = self._crop(image.shape[1], image.shape[2], rng)
        crop = image[:, top : top + side, left : left + side]
        if side != self.size:
            shape = (self.size, self.size)
            crop = interpolate(crop[None], shape, mode="bicubic", antialias=True)[0].clamp_(-1, 1)
        return {"image": crop.flip(2) if mirror else crop.contiguous()}

    def _crop(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, bool]:
        """Side, top and left of the square to show, and whether it is mirrored."""
        short = min(height, width)
        if self.split == "val":
            return short, (height - short) // 2, (width - short) // 2, False
        part, down, across, mirror = rng.random(4)
        part = _SMALLEST_CROP + (1 - _SMALLEST_CROP) * part
        side = min(short, max(self.size, round(short * part)))
        top, left = int(down * (height - side + 1)), int(across * (width - side + 1))
        return side, top, left, self.flip and bool(mirror < 0.5)

    def _read(self, item: int) -> Tensor:
        """The image of an item, or of the next one that can be read."""
        # A smaller crop than the whole short side is cut before resizing: leave it enough pixels.
        enough = round(self.size / _SMALLEST_CROP)
        for candidate in (*range(item, len(self.files)), *range(item)):
            if candidate in self._damaged:
                continue
            try:
                return load_image(self.files[candidate], enough)
            except RegvqError as error:
                self._damaged.add(candidate)
                warnings.warn(
                    f"{error}; skipped, now {len(self._damaged)} of {len(self.files)} {self.split} images",
                    stacklevel=2,
                )
        raise RegvqError(
            f"none of the {len(self.files)} {self.split} images in {self.root} can be read any more"
        )

    def _usable(self, files: list[Path]) -> list[Path]:
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
            if min(sides) < self.size:
                small.append(file)
        if not usable:
            raise RegvqError(
                f"none of the {len(files)} {self.split} images in {self.root} can be read; {bad[0]}"
            )
        if bad:
            warnings.warn(
                f"{len(bad)} of {len(files)} {self.split} images are skipped; {bad[0]}", stacklevel=3
            )
        if small:
            warnings.warn(
                f"{len(small)} of {len(usable)} {self.split} images are smaller than {self.size} pixels "
                f"and are scaled up, {small[0]} for one: a smaller size would not blur them",
                stacklevel=3,
            )
        return usable


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


def _split(root: Path, files: list[Path], val_share: float) -> dict[str, list[Path]]:
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
