"""A folder for each class: numbers, halves, and what is no class."""

from pathlib import Path

import pytest

from tests.support.miniatures import MINIATURES

TREES = ["class-folders", "class-tree"]


@pytest.mark.parametrize("name", TREES)
def test_images_have_the_number_of_their_folder(name: str, tmp_path: Path) -> None:
    miniature = MINIATURES[name]
    miniature.write(tmp_path)
    data = miniature.data(tmp_path)
    for half in (data.train(seed=0), data.val()):
        assert half.class_names == ("cat", "dog")
        numbers = {"cat": 0, "dog": 1}
        assert [record.class_label for record in half.records] == [
            numbers[record.image.parent.name] for record in half.records
        ]
        assert {sample["class_label"] for sample in half} == {0, 1}
