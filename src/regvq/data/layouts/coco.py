"""MS-COCO: everyday scenes, five sentences on each, and label maps."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from regvq.data.annotated import Record, Split
from regvq.data.label_files import LabelPng, LabelSource, read_colours, translated
from regvq.data.layouts.base import LayoutData
from regvq.errors import RegvqError

LabelMaps = Literal["none", "panoptic", "stuff"]
_PARTS = {
    "captions": ("images", "annotations"),
    "panoptic": ("images", "annotations", "categories"),
    "stuff": ("images", "categories"),
}
"""What is read of each kind of annotations."""
_YEARS: dict[Split, str] = {"train": "train2017", "val": "val2017"}


@dataclass(frozen=True)
class PanopticPng:
    """A PNG whose colours are segments, each of one category.

    Attributes:
        path: the file.
        numbers: the label of every segment.
    """

    path: Path
    numbers: tuple[tuple[int, int], ...]

    def read(self) -> Tensor:
        """Labels, 0 where there is no segment."""
        return translated(read_colours(self.path), {0: 0, **dict(self.numbers)}, self.path)


class COCOData(LayoutData):
    """118,287 training and 5,000 validation photographs with five sentences each, and label maps.

    Lin et al., "Microsoft COCO", ECCV 2014; stuff of Caesar et al., "COCO-Stuff", CVPR 2018; panoptic maps
    of Kirillov et al., "Panoptic Segmentation", CVPR 2019. Label 0 of a map is what is not labelled.

    Args:
        root: the folder that holds ``train2017``, ``val2017`` and ``annotations``.
        size: side of the pictures in pixels.
        flip: whether half of the training pictures are mirrored left to right.
        captions: whether the sentences are read.
        label_maps: ``"none"``, ``"panoptic"`` (133 categories) or ``"stuff"`` (92).

    Raises:
        RegvqError: neither captions nor label maps are wanted, or there are no such label maps.
    """

    title = "MS-COCO"
    folder = "coco"
    tree = """\
coco/
  train2017/000000000009.jpg ...
  val2017/000000000139.jpg ...
  annotations/captions_train2017.json, captions_val2017.json
  annotations/panoptic_train2017.json, panoptic_val2017.json     (label_maps: panoptic)
  annotations/panoptic_train2017/000000000009.png ...
  annotations/stuff_train2017.json, stuff_val2017.json           (label_maps: stuff)
  annotations/stuff_train2017_pixelmaps/000000000009.png ..."""

    def __init__(
        self,
        root: str,
        size: int = 256,
        flip: bool = True,
        captions: bool = True,
        label_maps: LabelMaps = "none",
    ) -> None:
        super().__init__(root, size, flip)
        if label_maps not in ("none", "panoptic", "stuff"):
            raise RegvqError(f"label_maps must be none, panoptic or stuff, not {label_maps!r}")
        if label_maps == "none" and not captions:
            raise RegvqError("COCO without captions and label maps is a folder of images: use FolderData")
        self.captions = captions
        self.label_maps = label_maps

    @property
    def label_names(self) -> tuple[str, ...]:
        """``"unlabelled"`` and the categories in the order of their ids."""
        if self.label_maps == "none":
            return ()
        categories = self._json(self.label_maps, "val")["categories"]
        return (
            "unlabelled",
            *(entry["name"] for entry in sorted(categories, key=lambda entry: entry["id"])),
        )

    def records(self, split: Split) -> list[Record]:
        """Photographs with their sentences and label maps."""
        texts = self._texts(split) if self.captions else {}
        maps = self._maps(split) if self.label_maps != "none" else {}
        # Where both are wanted, the images that have both.
        wanted = set(texts or maps) & set(maps or texts)
        names = self._names(split)
        records = [
            Record(
                self.base / _YEARS[split] / names[image],
                labels=maps.get(image),
                captions=tuple(texts.get(image, ())),
            )
            for image in sorted(wanted)
        ]
        self.require_all(Path(record.name) for record in records)
        return records

    def _names(self, split: Split) -> dict[int, str]:
        """File names by the images' ids."""
        kind = "captions" if self.captions else self.label_maps
        return {entry["id"]: entry["file_name"] for entry in self._json(kind, split)["images"]}

    def _texts(self, split: Split) -> dict[int, list[str]]:
        sentences = defaultdict(list)
        for entry in self._json("captions", split)["annotations"]:
            sentence = entry["caption"].strip()
            if sentence:
                sentences[entry["image_id"]].append(sentence)
        return dict(sentences)

    def _maps(self, split: Split) -> dict[int, LabelSource]:
        content = self._json(self.label_maps, split)
        ids = sorted(entry["id"] for entry in content["categories"])
        numbers = {category: number for number, category in enumerate(ids, start=1)}
        annotations = self.base / "annotations"
        maps: dict[int, LabelSource] = {}
        if self.label_maps == "stuff":
            table = ((0, 0), *numbers.items())
            folder = annotations / f"stuff_{_YEARS[split]}_pixelmaps"
            paths = {
                entry["id"]: folder / f"{Path(entry['file_name']).stem}.png" for entry in content["images"]
            }
            maps.update({image: LabelPng(path, table) for image, path in paths.items()})
        else:
            folder = annotations / f"panoptic_{_YEARS[split]}"
            paths = {entry["image_id"]: folder / entry["file_name"] for entry in content["annotations"]}
            for entry in content["annotations"]:
                segments = tuple(
                    (segment["id"], numbers[segment["category_id"]]) for segment in entry["segments_info"]
                )
                maps[entry["image_id"]] = PanopticPng(paths[entry["image_id"]], segments)
        self.require_all(paths.values())
        return maps

    def _json(self, kind: str, split: Split) -> Any:
        path = self.require(self.base / "annotations" / f"{kind}_{_YEARS[split]}.json")
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise self.incomplete(f"{path} cannot be read ({error}): its archive was cut short") from None
        missing = [part for part in _PARTS[kind] if not isinstance(content, dict) or part not in content]
        if missing:
            raise self.incomplete(f"{path} has no {missing[0]!r}, so it holds no {kind} of COCO")
        return content
