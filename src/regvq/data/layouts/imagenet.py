"""ImageNet as the challenge of 2012 distributes it."""

from collections import Counter
from pathlib import Path

from regvq.data.annotated import Record, Split
from regvq.data.layouts.base import LayoutData


class ImageNetData(LayoutData):
    """1,281,167 training and 50,000 validation photographs of 1,000 classes.

    Deng et al., "ImageNet: A Large-Scale Hierarchical Image Database", CVPR 2009. This is the tree of the
    challenge's own archive, whose validation images lie in one folder; where they have been sorted into
    folders of their classes, use ``ClassFoldersData``.
    """

    title = "ImageNet"
    folder = "imagenet"
    tree = """\
imagenet/
  ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10026.JPEG ...
  ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG ...
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
        if split == "train":
            return [
                Record(image, number)
                for wnid, number in numbers.items()
                for image in self.images_in(images / wnid)
            ]
        table = self.base / "LOC_val_solution.csv"
        records = []
        for line in sorted(self.lines(table)[1:]):
            name, _, answer = line.partition(",")
            wnid = answer.split(" ", maxsplit=1)[0]
            if wnid not in numbers:
                raise self.incomplete(
                    f"{table} has a line without a class of LOC_synset_mapping.txt: {line!r}"
                )
            records.append(Record(images / f"{name}.JPEG", numbers[wnid]))
        self.require_all(Path(record.name) for record in records)
        return records

    def _synsets(self) -> dict[str, str]:
        """WordNet's names by the numbers of the nouns, in the order of the numbers."""
        rows = [line.partition(" ") for line in self.lines(self.base / "LOC_synset_mapping.txt")]
        return dict(sorted((wnid, name.strip()) for wnid, _, name in rows))
