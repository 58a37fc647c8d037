"""Images in files, with what is known of each: the one data set behind every layout on disk."""

import hashlib
import re
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

import numpy as np
from torch import Tensor

from regvq.data.base import ImageData, ImageDataset, Sample, dealt
from regvq.data.crops import (
    SMALLEST_CROP,
    Square,
    cut_image,
    cut_labels,
    fit_labels,
    middle_square,
    random_square,
)
from regvq.data.images import load_image
from regvq.data.label_files import LabelSource
from regvq.data.marks import mark_of_files
from regvq.errors import RegvqError

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")

# A map may be of another resolution than its image, but not of another shape.
_SHAPE_TOLERANCE = 0.02
_SIDES = re.compile(r"\b(left|right)", re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """One image and what is known of it.

    Attributes:
        image: its file, or the content of one.
        class_label: the number of its class, or none.
        labels: where its label map is read, or none.
        captions: what is said of it; empty where nothing is.
        place: where it is found, for messages; its file where none is given.
    """

    image: Path | bytes
    class_label: int | None = None
    labels: LabelSource | None = None
    captions: tuple[str, ...] = ()
    place: str | None = None

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.place or str(self.image)


class RecordSource(Sequence[Record]):
    """Records that are read when they are asked for, and what of them is cheaper than the whole."""

    @abstractmethod
    def read(self, index: int) -> Record:
        """Record ``index`` in ``[0, len)``.

        Raises:
            RegvqError: it cannot be read.
        """

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self.read(item) for item in range(*index.indices(len(self)))]
        return self.read(range(len(self))[index])

    def captions(self, index: int) -> tuple[str, ...]:
        """The captions of record ``index``, without its image where that can be."""
        return self.read(index).captions

    def share(self, rng: np.random.Generator, batch_size: int, rank: int, ranks: int) -> np.ndarray:
        """The indices that one rank reads in an epoch, in order; see ``ImageDataset``."""
        return dealt(rng.permutation(len(self)), batch_size, rank, ranks)

    @abstractmethod
    def mark(self) -> str:
        """A text that changes with the images, as far as that can be told without reading them.

        Where they lie does not change it: the same images elsewhere have the same one.
        """


class RecordList(RecordSource):
    """Records that are all there.

    Args:
        records: at least one.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int) -> Record:
        return self._records[index]

    def mark(self) -> str:
        """Hash of the names and sizes of the files, and of contents that are no files."""
        images = [record.image for record in self._records]
        digest = hashlib.sha256(
            mark_of_files(image for image in images if isinstance(image, Path)).encode()
        )
        for image in images:
            if isinstance(image, bytes):
                digest.update(hashlib.sha256(image).digest())
        return digest.hexdigest()


class AnnotatedImages(ImageDataset):
    """Square crops of images and of their label maps.

    A sample holds ``image`` (float32 ``[3, size, size]`` in [-1, 1]) and, where the records have them,
    ``class_label`` (int), ``label_map`` (int64 ``[size, size]``) and ``caption`` (str).

    Training crops are squares of 0.8 to 1 of the short side (no fewer than ``size`` pixels where the
    image has them) at a random place, half of them mirrored, and one caption of several by lot; validation
    takes the middle square of the whole short side and the first caption. A picture whose caption speaks
    of left or right is never mirrored. A file that turns out damaged is replaced by the next readable one,
    with all that is known of that.

    Args:
        records: the images, or where they are read from.
        split: ``"train"`` or ``"val"``.
        size: side of the crops in pixels.
        flip: whether training crops are mirrored.
        seed: decides the training crops.
        class_names: of ``class_label``.
        label_names: of ``label_map``.
        mirrored: labels that change places in a mirror, such as a left and a right eye.
        place: what the records are, for messages.

    Raises:
        RegvqError: no such split, no records, a size below 1.
    """

    resize = "bicubic, antialiased; a large JPEG is decoded at 1/2, 1/4 or 1/8 first"

    def __init__(
        self,
        records: Sequence[Record],
        split: Split,
        size: int,
        flip: bool = True,
        seed: int = 0,
        class_names: Sequence[str] = (),
        label_names: Sequence[str] = (),
        mirrored: Sequence[tuple[int, int]] = (),
        place: str = "the data",
    ) -> None:
        check_split(split)
        check_size(size)
        if not records:
            raise RegvqError(f"{place} has no {split} images: at least one is needed")
        super().__init__(len(records), seed)
        self.records = records if isinstance(records, RecordSource) else RecordList(records)
        self.split = split
        self.size = size
        self.flip = flip
        self.class_names = tuple(class_names)
        self.label_names = tuple(label_names)
        self.mirrored = tuple(mirrored)
        self.place = place
        self._damaged: dict[int, str] = {}

    @property
    def damaged(self) -> list[str]:
        """Images that could not be read, they or their label maps, as far as met by this process."""
        return [self._damaged[item] for item in sorted(self._damaged)]

    def captions(self, item: int) -> tuple[str, ...]:
        """All that is said of a picture, without reading it; empty where nothing is."""
        return self.records.captions(item)

    def share(self, rng: np.random.Generator, batch_size: int, rank: int, ranks: int) -> np.ndarray:
        """What one rank shows in an epoch; see ``RecordSource``."""
        return self.records.share(rng, batch_size, rank, ranks)

    def mark(self) -> str:
        """Changes with the images; see ``RecordSource``."""
        return self.records.mark()

    def sample(self, item: int, rng: np.random.Generator) -> Sample:
        """See the class."""
        record, image, labels = self._read(item)
        square, chosen = self._choose(image, record.captions, rng)
        sample: Sample = {"image": cut_image(image, square, self.size)}
        if record.class_label is not None:
            sample["class_label"] = record.class_label
        if labels is not None:
            cut = cut_labels(labels, square, self.size)
            sample["label_map"] = _swapped(cut, self.mirrored) if square.mirror else cut
        if chosen is not None:
            sample["caption"] = chosen
        return sample

    def _choose(
        self, image: Tensor, captions: Sequence[str], rng: np.random.Generator
    ) -> tuple[Square, str | None]:
        """What is shown of an image, and what is said of it."""
        height, width = image.shape[1:]
        if self.split == "val":
            return middle_square(height, width), captions[0] if captions else None
        square = random_square(height, width, self.size, self.flip, rng)
        if not captions:
            return square, None
        caption = captions[int(rng.integers(len(captions)))]
        if _SIDES.search(caption):
            square = Square(square.top, square.left, square.side)
        return square, caption

    def _read(self, item: int) -> tuple[Record, Tensor, Tensor | None]:
        """An item's record, image and label map, or those of the next one that can be read."""
        # A smaller crop than the whole short side is cut before resizing: leave it enough pixels.
        enough = round(self.size / SMALLEST_CROP)
        count = len(self.records)
        for candidate in (*range(item, count), *range(item)):
            if candidate in self._damaged:
                continue
            name = f"image {candidate} of {self.place}"
            try:
                record = self.records[candidate]
                name = record.name
                image = load_image(record.image, enough, name=name, upright=record.labels is None)
                return record, image, _labels_of(record, image)
            except RegvqError as error:
                self._damaged[candidate] = name
                warnings.warn(
                    f"{error}; skipped, now {len(self._damaged)} of {count} {self.split} images",
                    stacklevel=2,
                )
        raise RegvqError(f"none of the {count} {self.split} images in {self.place} can be read any more")


class AnnotatedData(ImageData):
    """Data of annotated images, whose two halves are made alike."""

    @abstractmethod
    def half(self, split: Split, seed: int) -> AnnotatedImages:
        """The training or the validation images; ``seed`` decides the training crops."""

    def train(self, seed: int) -> AnnotatedImages:
        """Random crops of the training images."""
        return self.half("train", seed)

    def val(self) -> AnnotatedImages:
        """Middle squares of the validation images."""
        return self.half("val", 0)


def check_split(split: str) -> None:
    """Refuses what is no split."""
    if split not in SPLITS:
        raise RegvqError(f"there are the splits train and val, not {split!r}: choose one of them")


def check_size(size: int) -> None:
    """Refuses crops of no pixel."""
    if size < 1:
        raise RegvqError(f"size is {size}: give crops of at least 1 pixel")


def _labels_of(record: Record, image: Tensor) -> Tensor | None:
    """The label map in the image's resolution."""
    if record.labels is None:
        return None
    labels = record.labels.read()
    height, width = image.shape[1:]
    ratio = (labels.shape[0] * width) / (labels.shape[1] * height)
    if abs(ratio - 1) > _SHAPE_TOLERANCE:
        raise RegvqError(
            f"the label map of {record.name} has {labels.shape[1]} x {labels.shape[0]} pixels, which is "
            "another shape than its image has: they are not of the same scene"
        )
    return labels if labels.shape == (height, width) else fit_labels(labels, height, width)


def _swapped(labels: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    result = labels.clone()
    for one, other in pairs:
        result[labels == one] = other
        result[labels == other] = one
    return result
