"""CUB-200-2011: birds, and ten sentences on each."""

from pathlib import Path

from regvq.data.annotated import Record, Split
from regvq.data.layouts.base import LayoutData


class CUB200Data(LayoutData):
    """5,994 training and 5,794 validation photographs of 200 kinds of birds, ten sentences on each.

    Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", 2011; sentences of Reed et al., "Learning Deep
    Representations of Fine-Grained Visual Descriptions", CVPR 2016. The split is the data set's own.
    """

    title = "CUB-200-2011"
    folder = "CUB_200_2011"
    tree = """\
CUB_200_2011/
  images/001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg ...
  images.txt
  image_class_labels.txt
  classes.txt
  train_test_split.txt
cvpr2016_cub/text_c10/             (or text_c10/ beside CUB_200_2011 or in it)
  001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.txt ..."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Such as ``"Black footed Albatross"``."""
        names = self._table("classes.txt").values()
        return tuple(name.partition(".")[2].replace("_", " ") for name in names)

    def records(self, split: Split) -> list[Record]:
        """Birds with their kind and their sentences."""
        files, kinds, trains = map(
            self._table, ("images.txt", "image_class_labels.txt", "train_test_split.txt")
        )
        for name, table in (("image_class_labels.txt", kinds), ("train_test_split.txt", trains)):
            if table.keys() != files.keys():
                raise self.incomplete(
                    f"{self.base / name} has {len(table):,} lines and images.txt {len(files):,}: one of "
                    "them was cut short"
                )
        unnamed = sorted(set(kinds.values()) - self._table("classes.txt").keys())
        if unnamed:
            raise self.incomplete(f"{self.base / 'classes.txt'} does not name the class {unnamed[0]}")
        wanted = "1" if split == "train" else "0"
        chosen = [key for key in files if trains[key] == wanted]
        images = {key: self.base / "images" / files[key] for key in chosen}
        texts = {key: self._texts / Path(files[key]).with_suffix(".txt") for key in chosen}
        self.require_all(images.values())
        self.require_all(texts.values())
        records = [
            Record(images[key], int(kinds[key]) - 1, captions=tuple(map(str.strip, self.lines(texts[key]))))
            for key in chosen
        ]
        return self.require_some(records, split, self.base / "train_test_split.txt")

    @property
    def _texts(self) -> Path:
        beside = self.base.resolve().parent
        places = (self.base, beside, beside / "cvpr2016_cub")
        found = [place / "text_c10" for place in places if (place / "text_c10").is_dir()]
        return found[0] if found else self.require(self.base.parent / "text_c10")

    def _table(self, name: str) -> dict[str, str]:
        """The rest of every line by its first word; without lines of one word, which were cut short."""
        rows = [line.partition(" ") for line in self.lines(self.base / name)]
        return {key: value.strip() for key, _, value in rows if value.strip()}
