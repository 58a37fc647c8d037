"""Miniatures of published data sets: the same tree, a handful of pictures.

Every picture is red on its left and blue on its right; where there are label maps, so are they: the left
half has label ``LEFT``, the right half another. So a test can tell whether the two were cut alike.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from regvq.data.layouts import (
    ADE20KData,
    CamVidData,
    CelebAMaskHQData,
    ClassFoldersData,
    COCOData,
    CUB200Data,
    ImageNetData,
    LayoutData,
)

WIDTH, HEIGHT = 60, 40


@dataclass(frozen=True)
class Miniature:
    """A data set to be written, and what reading must find.

    Attributes:
        kind: the class that reads it.
        write: writes the tree below a folder; returns the files that cannot be missed.
        sizes: images for training and for validation.
        left: label of the left half, or none.
        right: of the right half.
        options: arguments of ``kind``.
    """

    kind: type[LayoutData]
    write: Callable[[Path], list[Path]]
    sizes: tuple[int, int]
    left: int | None = None
    right: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def data(self, root: Path, size: int = 16) -> LayoutData:
        """The data set in a folder."""
        return self.kind(str(root), size=size, **self.options)


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (WIDTH, HEIGHT), (230, 20, 20))
    image.paste((20, 20, 230), (WIDTH // 2, 0, WIDTH, HEIGHT))
    image.save(path, "PNG" if path.suffix == ".png" else "JPEG", quality=95)
    return path


def label_png(path: Path, left: Any, right: Any, scale: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (HEIGHT // scale, WIDTH // scale, *np.shape(left))
    pixels = np.empty(shape, np.uint8)
    pixels[:, : shape[1] // 2], pixels[:, shape[1] // 2 :] = left, right
    Image.fromarray(pixels).save(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def ade20k(root: Path) -> list[Path]:
    base, needed, images = root / "ADEChallengeData2016", [], []
    for name, part, count in (("train", "training", 3), ("val", "validation", 2)):
        for number in range(1, count + 1):
            stem = f"ADE_{name}_{number:08d}"
            images.append(picture(base / "images" / part / f"{stem}.jpg"))
            needed.append(label_png(base / "annotations" / part / f"{stem}.png", 2, 0))
    table = [
        "Idx\tRatio\tTrain\tVal\tStuff\tName",
        "1\t0.2\t9\t8\t1\twall",
        "2\t0.1\t6\t5\t1\tbuilding, edifice",
    ]
    return [*needed, *images, text(base / "objectInfo150.txt", "\n".join(table))]


def camvid(root: Path) -> list[Path]:
    needed, images = [], []
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            images.append(picture(root / "CamVid" / split / f"{number:05d}.png"))
            needed.append(label_png(root / "CamVid" / f"{split}annot" / f"{number:05d}.png", 3, 11))
    return [*needed, *images]


def celeba(root: Path) -> list[Path]:
    base = root / "CelebAMask-HQ"
    rows = [(0, 100), (1, 162770), (2, 162771), (2003, 182637), (4, 182638)]
    table = "idx  orig_idx  orig_file\n" + "".join(
        f"{face}\t{number - 1}\t{number:06d}.jpg\n" for face, number in rows
    )
    needed = [text(base / "CelebA-HQ-to-CelebA-mapping.txt", table)]
    for face, number in rows:
        masks = base / "CelebAMask-HQ-mask-anno" / str(face // 2000)
        image = picture(base / "CelebA-HQ-img" / f"{face}.jpg")
        # Skin is everywhere; the left eye covers the left half, at half the image's resolution.
        label_png(masks / f"{face:05d}_skin.png", 255, 255, scale=2)
        label_png(masks / f"{face:05d}_l_eye.png", 255, 0, scale=2)
        if number <= 182637:
            needed.append(image)
    return needed


def cub200(root: Path) -> list[Path]:
    base = root / "CUB_200_2011"
    names = [
        "001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111",
        "001.Black_footed_Albatross/Black_Footed_Albatross_0002_55",
        "002.Laysan_Albatross/Laysan_Albatross_0001_545",
    ]
    tables = {
        "images.txt": [f"{name}.jpg" for name in names],
        "image_class_labels.txt": ["1", "1", "2"],
        "classes.txt": ["001.Black_footed_Albatross", "002.Laysan_Albatross"],
        "train_test_split.txt": ["1", "0", "1"],
    }
    needed = []
    for file, values in tables.items():
        rows = "".join(f"{number} {value}\n" for number, value in enumerate(values, start=1))
        needed.append(text(base / file, rows))
    for name in names:
        needed.append(picture(base / "images" / f"{name}.jpg"))
        needed.append(text(root / "text_c10" / f"{name}.txt", "a red bird.\na blue bird.\n"))
    return needed


def _coco_images(root: Path, split: str, ids: list[int]) -> tuple[list[dict[str, Any]], list[Path]]:
    files = [picture(root / "coco" / f"{split}2017" / f"{image:012d}.jpg") for image in ids]
    return [{"id": image, "file_name": file.name} for image, file in zip(ids, files, strict=True)], files


def _write_json(path: Path, content: Any) -> Path:
    return text(path, json.dumps(content))


COCO_IDS = {"train": [9, 25, 30], "val": [139, 285]}


def coco_captions(root: Path) -> list[Path]:
    needed = []
    for split, ids in COCO_IDS.items():
        images, files = _coco_images(root, split, ids)
        sentences = [
            {
                "image_id": image,
                "id": 10 * image + number,
                "caption": f" picture {image}, sentence {number}\n",
            }
            for number in range(2)
            for image in reversed(ids)  # neither beside each other nor in the images' order
        ]
        path = root / "coco" / "annotations" / f"captions_{split}2017.json"
        needed += [*files, _write_json(path, {"images": images, "annotations": sentences})]
    return needed


CATEGORIES = [{"id": 200, "name": "rug"}, {"id": 1, "name": "person"}, {"id": 95, "name": "bridge"}]


def coco_panoptic(root: Path) -> list[Path]:
    needed = []
    for split, ids in COCO_IDS.items():
        images, files = _coco_images(root, split, ids)
        annotations = root / "coco" / "annotations"
        # Segment 700 = 188 + 256 * 2 is a rug; what is black is not labelled.
        maps = [
            label_png(annotations / f"panoptic_{split}2017" / f"{image:012d}.png", (188, 2, 0), (0, 0, 0))
            for image in ids
        ]
        content = {
            "images": images,
            "categories": CATEGORIES,
            "annotations": [
                {
                    "image_id": image,
                    "file_name": f"{image:012d}.png",
                    "segments_info": [{"id": 700, "category_id": 200}],
                }
                for image in ids
            ],
        }
        needed += [*files, *maps, _write_json(annotations / f"panoptic_{split}2017.json", content)]
    return needed


def coco_stuff(root: Path) -> list[Path]:
    needed = []
    for split, ids in COCO_IDS.items():
        images, files = _coco_images(root, split, ids)
        annotations = root / "coco" / "annotations"
        folder = annotations / f"stuff_{split}2017_pixelmaps"
        maps = [label_png(folder / f"{image:012d}.png", 95, 0) for image in ids]
        content = {"images": images, "categories": CATEGORIES, "annotations": []}
        needed += [*files, *maps, _write_json(annotations / f"stuff_{split}2017.json", content)]
    return needed


def coco_captions_and_panoptic(root: Path) -> list[Path]:
    return [*coco_captions(root), *coco_panoptic(root)]


def coco_captions_and_stuff(root: Path) -> list[Path]:
    return [*coco_captions(root), *coco_stuff(root)]


def imagenet(root: Path) -> list[Path]:
    challenge = root / "imagenet" / "ILSVRC"
    images = challenge / "Data" / "CLS-LOC"
    train = [
        picture(images / "train" / wnid / f"{wnid}_{number}.JPEG")
        for wnid in ("n02012849", "n03126707")
        for number in (18, 4)
    ]
    listed = "".join(
        f"{file.parent.name}/{file.stem} {number}\n" for number, file in enumerate(train, start=1)
    )
    text(challenge / "ImageSets" / "CLS-LOC" / "train_cls.txt", listed)
    names = [f"ILSVRC2012_val_{number:08d}" for number in (1, 2)]
    val = [picture(images / "val" / f"{name}.JPEG") for name in names]
    return [
        *train,
        *val,
        text(root / "imagenet" / "LOC_synset_mapping.txt", "n02012849 crane\nn03126707 crane\n"),
        text(
            root / "imagenet" / "LOC_val_solution.csv",
            f"ImageId,PredictionString\n{names[1]},n02012849 1 2 3 4\n"
            f"{names[0]},n03126707 1 2 3 4 n03126707 5 6 7 8\n",
        ),
    ]


def class_folders(root: Path) -> list[Path]:
    for split, count in (("train", 2), ("val", 1)):
        for name in ("cat", "dog"):
            for number in range(count):
                picture(root / split / name / f"{number}.jpg")
    return []


def class_tree(root: Path) -> list[Path]:
    for name in ("cat", "dog"):
        for number in range(10):
            picture(root / name / f"{number}.jpg")
    return []


def tiny_imagenet(root: Path) -> list[Path]:
    """As its archive extracts, which no class reads before the validation images were sorted."""
    base, wnids = root / "tiny-imagenet-200", ("n01443537", "n02124075")
    for wnid in wnids:
        for number in range(2):
            picture(base / "train" / wnid / "images" / f"{wnid}_{number}.JPEG")
        text(base / "train" / wnid / f"{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
    picture(base / "test" / "images" / "test_0.JPEG")
    val = [picture(base / "val" / "images" / f"val_{number}.JPEG") for number in range(3)]
    rows = [f"{file.name}\t{wnids[file.name != 'val_1.JPEG']}\t0\t32\t44\t62\n" for file in val]
    text(base / "val" / "val_annotations.txt", "".join(rows))
    return []


MINIATURES = {
    "ade20k": Miniature(ADE20KData, ade20k, (3, 2), left=2, right=0),
    "camvid": Miniature(CamVidData, camvid, (3, 2), left=3, right=11),
    "celeba-mask-hq": Miniature(CelebAMaskHQData, celeba, (2, 2), left=4, right=1),
    "cub-200": Miniature(CUB200Data, cub200, (2, 1)),
    "coco-captions": Miniature(COCOData, coco_captions, (3, 2)),
    "coco-panoptic": Miniature(
        COCOData,
        coco_panoptic,
        (3, 2),
        left=3,
        right=0,
        options={"captions": False, "label_maps": "panoptic"},
    ),
    "coco-stuff": Miniature(
        COCOData, coco_stuff, (3, 2), left=2, right=0, options={"captions": False, "label_maps": "stuff"}
    ),
    "coco-captions-panoptic": Miniature(
        COCOData, coco_captions_and_panoptic, (3, 2), left=3, right=0, options={"label_maps": "panoptic"}
    ),
    "coco-captions-stuff": Miniature(
        COCOData, coco_captions_and_stuff, (3, 2), left=2, right=0, options={"label_maps": "stuff"}
    ),
    "imagenet": Miniature(ImageNetData, imagenet, (4, 2)),
    "class-folders": Miniature(ClassFoldersData, class_folders, (4, 2)),
    "class-tree": Miniature(ClassFoldersData, class_tree, (16, 4), options={"val_share": 0.2}),
}
