"""CelebAMask-HQ: faces with their parts."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from regvq.data.annotated import Record, Split
from regvq.data.label_files import read_mask
from regvq.data.layouts.base import LayoutData, images_among, names_in
from regvq.errors import RegvqError

# In the order in which the authors lay them over one another, which also numbers them.
FACE_PARTS = (
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "ear_r",
    "neck_l",
    "neck",
    "cloth",
)
_FACES_A_FOLDER = 2000
# CelebA's own partition, by the number in the name of the original file.
_LAST_TRAIN, _LAST_VAL = 162770, 182637
# To the last letter: a number that was cut short would be one of another split.
_ROW = re.compile(r"(?P<face>\d+)\s+\d+\s+(?P<original>\d{6})\.jpg")


@dataclass(frozen=True)
class FaceParts:
    """The label map of a face, put together from one mask for each part that it shows.

    Attributes:
        folder: where the masks of this face and its neighbours lie.
        face: its number.
    """

    folder: Path
    face: int

    def read(self) -> Tensor:
        """0 is background, ``1 + i`` is ``FACE_PARTS[i]``."""
        labels: Tensor | None = None
        for number, part in enumerate(FACE_PARTS, start=1):
            path = self.folder / f"{self.face:05d}_{part}.png"
            if path.is_file():
                mask = read_mask(path)
                labels = torch.zeros(mask.shape, dtype=torch.int64) if labels is None else labels
                labels[mask] = number
        if labels is None:
            raise RegvqError(
                f"there is no {self.folder}/{self.face:05d}_*.png: no part of this face is known"
            )
        return labels


class CelebAMaskHQData(LayoutData):
    """30,000 faces of 1024 px with label maps of 18 parts, of which 24,183 train and 2,993 validate.

    Lee et al., "MaskGAN: Towards Diverse and Interactive Facial Image Manipulation", CVPR 2020. The split
    is CelebA's own; its test faces are left out.
    """

    title = "CelebAMask-HQ"
    folder = "CelebAMask-HQ"
    tree = """\
CelebAMask-HQ/
  CelebA-HQ-img/0.jpg ... 29999.jpg
  CelebAMask-HQ-mask-anno/0/00000_skin.png ... 14/29999_skin.png
  CelebA-HQ-to-CelebA-mapping.txt"""
    mirrored: ClassVar[tuple[tuple[int, int], ...]] = tuple(
        (1 + FACE_PARTS.index(f"l_{part}"), 1 + FACE_PARTS.index(f"r_{part}"))
        for part in ("brow", "eye", "ear")
    )

    @property
    def label_names(self) -> tuple[str, ...]:
        """Background and the parts."""
        return ("background", *FACE_PARTS)

    def records(self, split: Split) -> list[Record]:
        """Faces with the masks of their parts."""
        table = self.base / "CelebA-HQ-to-CelebA-mapping.txt"
        images = self.base / "CelebA-HQ-img"
        splits = self._splits(table)
        known = {f"{face}.jpg" for face in splits}
        self.require_named(images_among(names_in(images)), known, table, f"images in {images}")
        faces = [face for face, part in splits.items() if part == split]
        masks = self.require(self.base / "CelebAMask-HQ-mask-anno")
        records = [
            Record(
                images / f"{face}.jpg",
                labels=FaceParts(masks / str(face // _FACES_A_FOLDER), face),
            )
            for face in faces
        ]
        self.require_all(Path(record.name) for record in records)
        self._require_masks(masks, faces)
        return self.require_some(records, split, table)

    def _splits(self, table: Path) -> dict[int, str]:
        """Which part of CelebA every face was taken from, test faces included."""
        splits = {}
        for line in self.rows(table):
            row = _ROW.fullmatch(line.strip())
            if row is None:
                raise self.incomplete(f"{table} has a line that is not 'idx orig_idx orig_file': {line!r}")
            number = int(row["original"])
            part = "train" if number <= _LAST_TRAIN else "val" if number <= _LAST_VAL else "test"
            splits[int(row["face"])] = part
        return splits

    def _require_masks(self, masks: Path, faces: list[int]) -> None:
        """Every face has some part, but none has a part that all others have."""
        folders = {face // _FACES_A_FOLDER for face in faces}
        known = {name.partition("_")[0] for folder in folders for name in names_in(masks / str(folder))}
        missing = [face for face in faces if f"{face:05d}" not in known]
        if missing:
            first = masks / str(missing[0] // _FACES_A_FOLDER) / f"{missing[0]:05d}_*.png"
            raise self.incomplete(
                f"the masks of {len(missing):,} of {len(faces):,} faces are missing, first {first}"
            )
