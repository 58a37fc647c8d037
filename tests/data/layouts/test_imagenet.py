"""ImageNet: its classes, and what the challenge's own lists say of the tree."""

from pathlib import Path

from regvq.data.layouts import ImageNetData
from tests.support.miniatures import MINIATURES


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
        ("n02012849_0.JPEG", 0),
        ("n02012849_1.JPEG", 0),
        ("n03126707_0.JPEG", 1),
    ]
