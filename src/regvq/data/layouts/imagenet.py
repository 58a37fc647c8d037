"""ImageNet as the challenge of 2012 distributes it."""

import re
from collections import Counter
from pathlib import Path

from regvq.data.annotated import Record, Split
from regvq.data.layouts.base import LayoutData, images_among, names_in

_WNID = re.compile(r"n\d{8}")


class ImageNetData(LayoutData):
    """1,281,167 training and 50,000 validation photographs of 1,000 classes.

    Deng et al., "ImageNet: A Large-Scale Hierarchical Image Database", CVPR 2009. This is the tree of the
    challenge's edition at Kaggle, whose validation images lie in one folder and whose two tables
    ``LOC_*`` name the classes; where those images have been sorted into folders of their classes, use
    ``ClassFoldersData``. The challenge's list of the training images is held against the tree where it is
    there.
    """

    title = "ImageNet"
    folder = "imagenet"
    tree = """\
imagenet/
  ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG ...
  ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG ...
  ILSVRC/ImageSets/CLS-LOC/train_cls.txt   (where it is there, train must hold what it names)
  LOC_synset_mapping.txt
  LOC_val_solution.csv"""

    @property
    def class_names(self) -> tuple[str, ...]:
        """WordNet's names, with the number of the noun where two classes have the same."""
        synsets = self._synsets()
        count = Counter(synsets.values())
        return tuple(name if count[name] == 1 else f"{name} ({wnid})" for wnid, name in synsets.items())

    def records(self, split: Split) -> list[Record]:
        """Photographs with their classes."""
        numbers = {wnid: number for number, wnid in enumerate(self._synsets())}
        images = self.base / "ILSVRC" / "Data" / "CLS-LOC" / split
        return self._train(images, numbers) if split == "train" else self._val(images, numbers)

    def _train(self, images: Path, numbers: dict[str, int]) -> list[Record]:
        """A folder for each class."""
        there = {name for name in names_in(images) if _WNID.fullmatch(name)}
        self.require_named(there, numbers.keys(), self._mapping, f"classes in {images}")
        files = {wnid: self.images_in(images / wnid) for wnid in numbers}
        self._hold_to_list(images, files)
        return [Record(file, numbers[wnid]) for wnid, found in files.items() for file in found]

    def _hold_to_list(self, images: Path, files: dict[str, list[Path]]) -> None:
        """The files of the classes are those of the challenge's own list, where that is there."""
        table = self.base / "ILSVRC" / "ImageSets" / "CLS-LOC" / "train_cls.txt"
        if not table.is_file():
            return
        listed = {line.partition(" ")[0] for line in self.lines(table)}
        there = {f"{wnid}/{file.stem}" for wnid, found in files.items() for file in found}
        self.require_named(there, listed, table, f"images in {images}")
        missing = listed - there
        if missing:
            raise self.incomplete(
                f"{len(missing):,} of the {len(listed):,} images that {table} names are missing, first "
                f"{images / min(missing)}.JPEG; where only a part is wanted, remove that list"
            )

    def _val(self, images: Path, numbers: dict[str, int]) -> list[Record]:
        """One folder, and a table of answers."""
        table = self.base / "LOC_val_solution.csv"
        records = []
        for line in sorted(self.rows(table)):
            name, _, answer = line.partition(",")
            wnid = answer.split(" ", maxsplit=1)[0]
            if wnid not in numbers:
                raise self.incomplete(
                    f"{table} has a line without a class of {self._mapping.name}: {line!r}"
                )
            records.append(Record(images / f"{name}.JPEG", numbers[wnid]))
        self.require_all(Path(record.name) for record in records)
        known = {Path(record.name).name for record in records}
        self.require_named(images_among(names_in(images)), known, table, f"images in {images}")
        return records

    @property
    def _mapping(self) -> Path:
        return self.base / "LOC_synset_mapping.txt"

    def _synsets(self) -> dict[str, str]:
        """WordNet's names by the numbers of the nouns, in the order of the numbers."""
        rows = [line.partition(" ") for line in self.lines(self._mapping)]
        return dict(sorted((wnid, name.strip()) for wnid, _, name in rows))
