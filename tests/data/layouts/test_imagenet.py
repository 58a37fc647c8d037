"""ImageNet: its classes, and what the challenge's own lists say of the tree."""

from pathlib import Path

import pytest

from regvq.data.annotated import Split
from regvq.data.layouts import ImageNetData
from regvq.errors import RegvqError
from tests.support.miniatures import MINIATURES

LIST = "ILSVRC/ImageSets/CLS-LOC/train_cls.txt"


def test_classes_of_one_name_stay_apart(tmp_path: Path) -> None:
    MINIATURES["imagenet"].write(tmp_path)
    data = ImageNetData(str(tmp_path), size=16)
    assert data.class_names == ("crane (n02012849)", "crane (n03126707)")
    assert [(record.image.stem[-1], record.class_label) for record in data.records("val")] == [
        ("1", 1),
        ("2", 0),
    ]


def test_training_images_have_the_number_of_their_folder_s_class(tmp_path: Path) -> None:
    MINIATURES["imagenet"].write(tmp_path)
    records = ImageNetData(str(tmp_path), size=16).records("train")
    assert [(record.image.name, record.class_label) for record in records] == [
        ("n02012849_18.JPEG", 0),
        ("n02012849_4.JPEG", 0),
        ("n03126707_18.JPEG", 1),
        ("n03126707_4.JPEG", 1),
    ]


def test_the_list_of_training_images_may_be_missing(tmp_path: Path) -> None:
    MINIATURES["imagenet"].write(tmp_path)
    (tmp_path / "imagenet" / LIST).unlink()
    first = (
        tmp_path / "imagenet" / "ILSVRC" / "Data" / "CLS-LOC" / "train" / "n02012849" / "n02012849_18.JPEG"
    )
    first.unlink()
    assert len(ImageNetData(str(tmp_path)).records("train")) == 3


@pytest.mark.parametrize(
    ("table", "split", "found"),
    [
        (
            "LOC_val_solution.csv",
            "val",
            r"1 of the 2 images in \S+/val, first ILSVRC2012_val_00000001.JPEG",
        ),
        ("LOC_synset_mapping.txt", "train", r"1 of the 2 classes in \S+/train, first n03126707"),
        (LIST, "train", r"1 of the 4 images in \S+/train, first n03126707/n03126707_4"),
    ],
)
def test_a_table_that_was_cut_at_the_end_of_a_line_is_named(
    table: str, split: Split, found: str, tmp_path: Path
) -> None:
    MINIATURES["imagenet"].write(tmp_path)
    path = tmp_path / "imagenet" / table
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(RegvqError, match=rf"{path} does not name {found}: it was cut short") as caught:
        ImageNetData(str(tmp_path)).records(split)
    assert ImageNetData.tree in str(caught.value)


def test_missing_training_images_are_counted(tmp_path: Path) -> None:
    files = MINIATURES["imagenet"].write(tmp_path)
    for file in files[1:3]:
        file.unlink()
    with pytest.raises(RegvqError, match=rf"2 of the 4 images that \S+/train_cls.txt names .* {files[1]};"):
        ImageNetData(str(tmp_path)).records("train")
