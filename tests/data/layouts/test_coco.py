"""MS-COCO: sentences and label maps are those of their image."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regvq.data.annotated import SPLITS
from regvq.errors import RegvqError
from tests.support.miniatures import COCO_IDS, MINIATURES, Miniature, label_png

CAPTIONED = ["coco-captions", "coco-captions-panoptic", "coco-captions-stuff"]


def edit(path: Path, part: str, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Leaves only some entries of a part of the annotations."""
    content = json.loads(path.read_text())
    content[part] = [entry for entry in content[part] if keep(entry)]
    path.write_text(json.dumps(content))


def refused(miniature: Miniature, folder: Path, match: str) -> None:
    """The data cannot be read: the error says why, and how the tree should look."""
    with pytest.raises(RegvqError, match=match) as caught:
        miniature.data(folder).train(seed=0)
    assert miniature.kind.tree in str(caught.value)


@pytest.mark.parametrize("name", CAPTIONED)
def test_sentences_are_those_of_their_image(name: str, tmp_path: Path) -> None:
    miniature = MINIATURES[name]
    miniature.write(tmp_path)
    data = miniature.data(tmp_path)
    for split, half in (("train", data.train(seed=0)), ("val", data.val())):
        assert [int(record.image.stem) for record in half.records] == COCO_IDS[split]
        for item, image in enumerate(COCO_IDS[split]):
            said = tuple(f"picture {image}, sentence {number}" for number in range(2))
            assert half.captions(item) == said
            shown = {half[item + epoch * len(half)]["caption"] for epoch in range(20)}
            assert shown == (set(said) if split == "train" else {said[0]})


@pytest.mark.parametrize(
    ("name", "file", "part", "key"),
    [
        ("coco-captions-panoptic", "panoptic_{}2017.json", "annotations", "image_id"),
        ("coco-captions-stuff", "stuff_{}2017.json", "images", "id"),
        ("coco-captions-stuff", "captions_{}2017.json", "annotations", "image_id"),
    ],
)
def test_of_captions_and_label_maps_an_image_needs_both(
    name: str, file: str, part: str, key: str, tmp_path: Path
) -> None:
    miniature = MINIATURES[name]
    miniature.write(tmp_path)
    for split in SPLITS:
        path = tmp_path / "coco" / "annotations" / file.format(split)
        edit(path, part, lambda entry, split=split: entry[key] != COCO_IDS[split][0])
        records = miniature.data(tmp_path).records(split)
        assert [int(record.image.stem) for record in records] == COCO_IDS[split][1:]
        assert all(
            record.captions[0].startswith(f"picture {int(record.image.stem)},") for record in records
        )
        assert all(record.labels.path.stem == record.image.stem for record in records)


@pytest.mark.parametrize("name", ["coco-captions", "coco-panoptic", "coco-stuff"])
@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"images": []}',
        '{"images": [], "anno',
        '{"images": [], "annotations": [], "categories": []}',
        '{"images": [7], "annotations": [7], "categories": [7]}',
        '{"images": [{"id": 9}], "annotations": [{"image_id": 9}], "categories": [{"id": 1}]}',
    ],
)
def test_annotations_of_another_kind_or_cut_short_are_named(
    name: str, content: str, tmp_path: Path
) -> None:
    miniature = MINIATURES[name]
    (path,) = (file for file in miniature.write(tmp_path) if "train2017.json" in file.name)
    path.write_text(content)
    refused(miniature, tmp_path, path.name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("coco-captions", "captions_train2017.json"),
        ("coco-captions-panoptic", "captions_train2017.json"),
        ("coco-panoptic", "panoptic_train2017.json"),
    ],
)
def test_annotations_of_images_that_are_not_named_are_counted(name: str, file: str, tmp_path: Path) -> None:
    MINIATURES[name].write(tmp_path)
    path = tmp_path / "coco" / "annotations" / file
    edit(path, "images", lambda entry: entry["id"] == 9)
    refused(MINIATURES[name], tmp_path, rf"{path} has annotations of 2 images .*, first 25")


def test_a_segment_of_no_category_is_named(tmp_path: Path) -> None:
    MINIATURES["coco-panoptic"].write(tmp_path)
    path = tmp_path / "coco" / "annotations" / "panoptic_train2017.json"
    edit(path, "categories", lambda entry: entry["id"] != 200)
    refused(MINIATURES["coco-panoptic"], tmp_path, f"{path} has a segment of the category 200")


def test_captions_and_label_maps_of_different_images_are_none(tmp_path: Path) -> None:
    miniature = MINIATURES["coco-captions-stuff"]
    miniature.write(tmp_path)
    for kind, part, key, kept in (
        ("captions", "annotations", "image_id", 9),
        ("stuff", "images", "id", 25),
    ):
        path = tmp_path / "coco" / "annotations" / f"{kind}_train2017.json"
        edit(path, part, lambda entry, key=key, kept=kept: entry[key] == kept)
    refused(miniature, tmp_path, r"no image .*/captions_train2017.json and .*/stuff_train")


def test_a_number_that_stands_for_no_label_is_named(tmp_path: Path) -> None:
    miniature = MINIATURES["coco-stuff"]
    miniature.write(tmp_path)
    label_png(tmp_path / "coco" / "annotations" / "stuff_val2017_pixelmaps" / f"{139:012d}.png", 95, 17)
    with pytest.warns(UserWarning, match="holds 17, which stands for no label"):
        miniature.data(tmp_path).val()[0]
