"""Crops of the photographs that scikit-image and scikit-learn carry inside their packages."""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor
from torch.nn.functional import avg_pool2d

from regvq.data.base import ImageData, ImageDataset, Sample
from regvq.data.images import load_image, to_uint8
from regvq.errors import RegvqError

# Ten colour photographs, read as files: the packages' own functions may try to download. Of the stereo
# pair only the left half is taken, or validation would show what training saw from a step aside.
PHOTOGRAPHS = (
    ("skimage", "data/coffee.png"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("skimage", "data/ihc.png"),
    ("skimage", "data/retina.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)

# The third quarter of the width: it cuts through the subject of every photograph, so that validation
# shows the same kinds of things as training, which keeps what lies left and right of it.
VAL_FROM, VAL_TO = 0.5, 0.75

Split = Literal["train", "val"]


@dataclass(frozen=True)
class Region:
    """A rectangle of a photograph that crops must stay inside; in pixels, ends excluded."""

    photo: int
    top: int
    bottom: int
    left: int
    right: int

    def positions(self, size: int) -> int:
        """In how many places a square crop of ``size`` pixels fits."""
        return max(0, self.bottom - self.top - size + 1) * max(0, self.right - self.left - size + 1)


@dataclass(frozen=True)
class Crop:
    """A square of ``size`` pixels of photograph ``photo``; ``flip`` mirrors it left to right."""

    photo: int
    top: int
    left: int
    size: int
    flip: bool = False


class Photos(ImageDataset):
    """Square crops of ten real photographs, split by region.

    The third quarter of each photograph's width is kept for validation; training crops lie wholly
    outside it, so no validation pixel is ever trained on. Every photograph gives the same number of
    crops: by area the largest, a smooth retina, would be half of all. Photographs whose regions are
    smaller than a crop are left out.

    Training crops are random places, half of them mirrored, new ones in every epoch. Validation crops
    are spread evenly over the validation regions by an additive recurrence, never mirrored, the same
    for every seed; many overlap. At 32 px, the default 1024 of them make 65,536 tokens of an 8×8 grid:
    64 for each code of a codebook of 1024.

    Args:
        split: ``"train"`` or ``"val"``.
        size: side of a crop in pixels; at most 250, and all ten photographs take part up to 113.
        length: crops in an epoch; default 16384 for training, 1024 for validation.
        seed: decides the training crops.

    Raises:
        RegvqError: the packages with the photographs are not installed; a bad split, size or length.
    """

    def __init__(
        self, split: Split = "train", size: int = 32, length: int | None = None, seed: int = 0
    ) -> None:
        if split not in ("train", "val"):
            raise RegvqError(f"photos have the splits train and val, not {split!r}: choose one of them")
        if length is None:
            length = 16384 if split == "train" else 1024
        if size < 1 or length < 1:
            raise RegvqError(f"photos need size and length of at least 1, got {size} and {length}")
        super().__init__(length, seed)
        self.split = split
        self.size = size
        self._photos = photographs()
        self._regions = [regions for regions in map(self._regions_of, range(len(self._photos))) if regions]
        if not self._regions:
            raise RegvqError(f"no photograph has room for crops of {size} pixels: choose a smaller size")

    def sample(self, item: int, rng: np.random.Generator) -> Sample:
        """``{"image"}``: float32 ``[3, size, size]`` in [-1, 1]."""
        crop = self.random_crop(rng) if self.split == "train" else self.even_crop(item)
        return {"image": self.cut(crop)}

    def random_crop(self, rng: np.random.Generator) -> Crop:
        """A place in a training region: any photograph as likely as another, then any position."""
        photo, offset, mirror = rng.random(3)
        regions = self._regions[int(photo * len(self._regions))]
        # One number picks region, row and column: all positions of the photograph are equally likely.
        position = int(offset * sum(region.positions(self.size) for region in regions))
        for region in regions:
            if position < region.positions(self.size):
                break
            position -= region.positions(self.size)
        row, column = divmod(position, region.right - region.left - self.size + 1)
        return Crop(region.photo, region.top + row, region.left + column, self.size, bool(mirror < 0.5))

    def even_crop(self, item: int) -> Crop:
        """Validation crop ``item``: photographs in turn, places spread evenly in each.

        The places follow the additive recurrence of the plastic number (the two-dimensional analogue of
        the golden ratio's), whose every prefix is spread evenly.
        """
        turn, photo = divmod(item, len(self._regions))
        (region,) = self._regions[photo]
        across, down = (0.5 + (turn + 1) / _PLASTIC) % 1, (0.5 + (turn + 1) / _PLASTIC**2) % 1
        top = region.top + int(down * (region.bottom - region.top - self.size + 1))
        left = region.left + int(across * (region.right - region.left - self.size + 1))
        return Crop(region.photo, top, left, self.size)

    def cut(self, crop: Crop) -> Tensor:
        """The pixels of a crop: float32 ``[3, size, size]`` in [-1, 1]."""
        rows = slice(crop.top, crop.top + crop.size)
        columns = slice(crop.left, crop.left + crop.size)
        pixels = self._photos[crop.photo][:, rows, columns]
        if crop.flip:
            pixels = pixels.flip(2)
        return pixels.float().div_(127.5).sub_(1)

    def _regions_of(self, photo: int) -> list[Region]:
        """Where crops of this split may lie in a photograph; none where one of them is too small."""
        _, height, width = self._photos[photo].shape
        start, end = int(width * VAL_FROM), int(width * VAL_TO)
        spans = [(start, end)] if self.split == "val" else [(0, start), (end, width)]
        # By the validation region even for training, so that both halves show the same photographs.
        if min(height, end - start) < self.size:
            return []
        return [Region(photo, 0, height, left, right) for left, right in spans]


class PhotosData(ImageData):
    """The photographs that scikit-image and scikit-learn carry: see ``Photos``.

    Args:
        size: side of a crop in pixels.
        train_length: training crops in an epoch.
        val_length: validation crops.
    """

    def __init__(self, size: int = 32, train_length: int = 16384, val_length: int = 1024) -> None:
        self.size = size
        self.train_length = train_length
        self.val_length = val_length

    def train(self, seed: int) -> Photos:
        """Random crops of the training regions."""
        return Photos("train", self.size, self.train_length, seed)

    def val(self) -> Photos:
        """Evenly spread crops of the validation regions."""
        return Photos("val", self.size, self.val_length)


_LARGEST = 1024  # pixels of a side
_PLASTIC = 1.32471795724474602596  # the real root of x³ = x + 1


@functools.lru_cache(maxsize=1)
def photographs() -> list[Tensor]:
    """The photographs, uint8 ``[3, H, W]`` each, decoded once a process.

    Raises:
        RegvqError: scikit-image or scikit-learn, or a file of theirs, is missing.
    """
    return [_photograph(_path(package, file)) for package, file in PHOTOGRAPHS]


def _photograph(path: Path) -> Tensor:
    photo = load_image(path)
    # The one photograph of twice the others' size is all smooth in a small crop: half its size is enough.
    if max(photo.shape) > _LARGEST:
        photo = avg_pool2d(photo, 2)
    return to_uint8(photo).contiguous()


def _path(package: str, file: str) -> Path:
    # Found without importing: these packages take seconds to import and only their files are wanted.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise RegvqError(f"the sample photographs need the package {package}: pip install 'regvq[demo]'")
    path = Path(found.origin).parent / file
    if not path.is_file():
        raise RegvqError(
            f"{package} no longer carries {path.name}: pip install 'regvq[demo]' with its tested versions"
        )
    return path
