"""ADE20K in the form of the scene parsing challenge."""

from regvq.data.annotated import Record, Split
from regvq.data.layouts.base import LayoutData

_FOLDERS: dict[Split, str] = {"train": "training", "val": "validation"}


class ADE20KData(LayoutData):
    """20,210 training and 2,000 validation photographs with label maps of 150 kinds of things.

    Zhou et al., "Scene Parsing through ADE20K Dataset", CVPR 2017. Label 0 is what belongs to none of the
    150; their names are read from the data's own list.
    """

    title = "ADE20K"
    folder = "ADEChallengeData2016"
    tree = """\
ADEChallengeData2016/
  images/training/ADE_train_00000001.jpg ...
  images/validation/ADE_val_00000001.jpg ...
  annotations/training/ADE_train_00000001.png ...
  annotations/validation/ADE_val_00000001.png ...
  objectInfo150.txt"""

    @property
    def label_names(self) -> tuple[str, ...]:
        """``"other"`` and the 150 names."""
        table = self.base / "objectInfo150.txt"
        rows = [line.split("\t") for line in self.rows(table)]
        names = {int(row[0]): row[-1].strip() for row in rows if row[0].strip().isdigit()}
        if not names or sorted(names) != list(range(1, len(names) + 1)):
            raise self.incomplete(f"{table} does not name the labels 1, 2, 3, ...")
        return ("other", *(names[number] for number in sorted(names)))

    def records(self, split: Split) -> list[Record]:
        """Photographs with their label maps."""
        part = _FOLDERS[split]
        return self.with_maps(self.base / "images" / part, self.base / "annotations" / part)
