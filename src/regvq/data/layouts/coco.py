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
_IMAGES, _CATEGORIES = ("id", "file_name"), ("id", "name")
_PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "captions": {"images": _IMAGES, "annotations": ("image_id", "caption")},
    "panoptic": {
        "images": _IMAGES,
        "annotations": ("image_id", "file_name", "segments_info"),
        "categories": _CATEGORIES,
    },
    "stuff": {"images": _IMAGES, "categories": _CATEGORIES},
}
"""What is read of each kind of annotations: its lists, and of their entries."""
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
        texts = self._texts(split) if self.captions else None
        maps = self._maps(split) if self.label_maps != "none" else None
        described = [set(part) for part in (texts, maps) if part is not None]
        tables = [self._file(kind, split) for kind in self._kinds]
        names = {entry["id"]: entry["file_name"] for entry in self._json(self._kinds[0], split)["images"]}
        unknown = described[0] - names.keys()
        if unknown:
            raise self.incomplete(
                f"{tables[0]} has annotations of {len(unknown):,} images that are not in its 'images', "
                f"first {min(unknown)}"
            )
        # Where both are wanted, the images that have both.
        wanted = sorted(set.intersection(*described))
        if not wanted:
            raise self.incomplete(f"no image is described in {' and '.join(map(str, tables))}")
        records = [
            Record(
                self.base / _YEARS[split] / names[image],
                labels=maps[image] if maps else None,
                captions=tuple(texts[image]) if texts else (),
            )
            for image in wanted
        ]
        self.require_all(Path(record.name) for record in records)
        return records

    @property
    def _kinds(self) -> list[str]:
        """The annotations that are read, first those whose list of images is."""
        wanted = ("captions" if self.captions else "none", self.label_maps)
        return [kind for kind in wanted if kind != "none"]

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
                    (segment["id"], self._number(segment["category_id"], numbers, split))
                    for segment in entry["segments_info"]
                )
                maps[entry["image_id"]] = PanopticPng(paths[entry["image_id"]], segments)
        self.require_all(paths.values())
        return maps

    def _number(self, category: int, numbers: dict[int, int], split: Split) -> int:
        """The label of a category."""
        if category not in numbers:
            raise self.incomplete(
                f"{self._file(self.label_maps, split)} has a segment of the category {category}, which is "
                "not in its 'categories'"
            )
        return numbers[category]

    def _file(self, kind: str, split: Split) -> Path:
        return self.base / "annotations" / f"{kind}_{_YEARS[split]}.json"

    def _json(self, kind: str, split: Split) -> Any:
        path = self.require(self._file(kind, split))
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise self.incomplete(f"{path} cannot be read ({error}): its archive was cut short") from None
        for part, keys in _PARTS[kind].items():
            entries = content.get(part) if isinstance(content, dict) else None
            if not entries:
                raise self.incomplete(f"{path} has no {part!r}, so it holds no {kind} of COCO")
            for key in keys:
                if not all(isinstance(entry, dict) and key in entry for entry in entries):
                    raise self.incomplete(
                        f"{path} has {part!r} without {key!r}, so they are no {kind} of COCO"
                    )
        return content
