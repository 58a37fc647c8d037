"""A data set that Hugging Face's library ``datasets`` has saved on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regvq.data.annotated import AnnotatedData, AnnotatedImages, Record, RecordSource, Split
from regvq.data.label_files import EncodedMap
from regvq.data.marks import mark_of_files
from regvq.errors import RegvqError

TREE = """\
dataset_dict.json                              (where there are several splits)
train/dataset_info.json, state.json            (of a single split: without the folder)
train/data-00000-of-00001.arrow ...
validation/..."""
"""How the files should lie, for people."""
_VALIDATION = ("validation", "val", "valid", "test")


class HuggingFaceData(AnnotatedData):
    """A folder that ``datasets`` wrote with ``save_to_disk``, read without the network.

    Of several splits ``train`` is trained on, and ``validation``, ``val``, ``valid`` or ``test``, the first
    there is, validates; of a single one a fixed random share validates.

    Args:
        root: the folder.
        size: side of the pictures in pixels.
        flip: whether half of the training pictures are mirrored left to right.
        image: column of the images.
        class_label: column of class numbers, or none.
        label_map: column of images whose pixels are label numbers, or none.
        caption: column of sentences, or of lists of them, or none.
        label_names: names of the label numbers, which the library does not keep.
        val_share: of a single split, the share of the images that validate.

    Raises:
        RegvqError: ``val_share`` is not between 0 and 1; later, when the data is asked for: ``datasets`` is
            not installed, the folder is none of its, or lacks a column.
    """

    def __init__(
        self,
        root: str,
        size: int = 256,
        flip: bool = True,
        image: str = "image",
        class_label: str | None = None,
        label_map: str | None = None,
        caption: str | None = None,
        label_names: Sequence[str] = (),
        val_share: float = 0.05,
    ) -> None:
        if not 0 < val_share < 1:
            raise RegvqError(f"val_share is {val_share}: give a share between 0 and 1, for example 0.05")
        self.root = root
        self.size = size
        self.flip = flip
        self.columns = Columns(image, class_label, label_map, caption)
        self.label_names = tuple(label_names)
        self.val_share = val_share

    def half(self, split: Split, seed: int) -> AnnotatedImages:
        """See ``AnnotatedData``."""
        table = self._table(split)
        self.columns.check(table, self.root)
        return AnnotatedImages(
            Rows(table, self.columns, self.root),
            split,
            self.size,
            self.flip,
            seed,
            class_names=self.columns.class_names(table),
            label_names=self.label_names,
            place=self.root,
        )

    def _table(self, split: Split) -> Any:
        found = _load(self.root)
        if not isinstance(found, dict):
            count = max(1, round(self.val_share * len(found)))
            if len(found) < 2:
                raise RegvqError(
                    f"{self.root} holds a single image: training and validation need one each at least"
                )
            # Saved folders lie class by class: the last rows would be of the last class.
            order = np.random.default_rng(0).permutation(len(found))
            return found.select(sorted(order[count:] if split == "train" else order[:count]))
        names = ("train",) if split == "train" else _VALIDATION
        for name in names:
            if name in found:
                return found[name]
        raise RegvqError(f"{self.root} has the splits {', '.join(found)}, none of {', '.join(names)}")


@dataclass(frozen=True)
class Columns:
    """Which column of a table holds what.

    Attributes:
        image: of the images.
        class_label: of class numbers, or none.
        label_map: of label maps, or none.
        caption: of sentences, or none.
    """

    image: str
    class_label: str | None
    label_map: str | None
    caption: str | None

    def check(self, table: Any, place: str) -> None:
        """Refuses a table that lacks a column.

        Raises:
            RegvqError: it does; names those that it has.
        """
        for name in (self.image, self.class_label, self.label_map, self.caption):
            if name is not None and name not in table.column_names:
                raise RegvqError(
                    f"{place} has no column {name!r}, but {', '.join(table.column_names)}: name one of them"
                )

    def class_names(self, table: Any) -> tuple[str, ...]:
        """Of the class numbers, where the table knows them."""
        if self.class_label is None:
            return ()
        return tuple(getattr(table.features[self.class_label], "names", ()))


class Rows(RecordSource):
    """The rows of a table, read when they are asked for.

    Args:
        table: of the library.
        columns: what is where.
        place: what the table is, for messages.
    """

    def __init__(self, table: Any, columns: Columns, place: str) -> None:
        from datasets import Image as ImageFeature

        for name in (columns.image, columns.label_map):
            if name is not None:
                # As bytes: one reader for all images, which knows every odd kind.
                table = table.cast_column(name, ImageFeature(decode=False))
        self.table = table
        self.columns = columns
        self.place = place

    def __len__(self) -> int:
        return len(self.table)

    def read(self, index: int) -> Record:
        columns, row = self.columns, self.table[index]
        place = f"row {index} of {self.place}"
        for name in (columns.image, columns.class_label, columns.label_map, columns.caption):
            if name is not None and row[name] is None:
                raise RegvqError(f"{place} has nothing in its column {name!r}")
        return Record(
            image=_content(row[columns.image], place),
            class_label=int(row[columns.class_label]) if columns.class_label else None,
            labels=(
                EncodedMap(_content(row[columns.label_map], place), place) if columns.label_map else None
            ),
            captions=_sentences(row[columns.caption]) if columns.caption else (),
            place=place,
        )

    def captions(self, index: int) -> tuple[str, ...]:
        """The captions of a row, without its image."""
        column = self.columns.caption
        if column is None:
            return ()
        said = self.table.select_columns([column])[index][column]
        if said is None:
            raise RegvqError(f"row {index} of {self.place} has nothing in its column {column!r}")
        return _sentences(said)

    def mark(self) -> str:
        """The library's own fingerprint of the table, and the names and sizes of the files that hold it."""
        files = (Path(file["filename"]) for file in self.table.cache_files)
        return f"{self.table._fingerprint} {mark_of_files(files)}"


def _sentences(said: str | Sequence[str]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def _content(value: Any, place: str) -> bytes:
    """The content of an image file that a table holds, or names."""
    if value and value.get("bytes"):
        content: bytes = value["bytes"]
        return content
    path = Path(value["path"]) if value and value.get("path") else None
    if path is None or not path.is_file():
        raise RegvqError(f"{place} has no image")
    return path.read_bytes()


def _load(root: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise RegvqError(f"{root} is read by the package datasets: pip install 'regvq[datasets]'") from None
    try:
        return datasets.load_from_disk(root)
    # The library cannot read back a split without rows, and does not say so.
    except (OSError, ValueError, KeyError, IndexError) as error:
        empty = isinstance(error, IndexError)
        reason = "a split has no rows" if empty else str(error).partition("\n")[0]
        raise RegvqError(
            f"{root} is no folder that datasets has saved with save_to_disk, or not all of it ({reason}): "
            f"save it there once more. It should look like this:\n{TREE}"
        ) from None
