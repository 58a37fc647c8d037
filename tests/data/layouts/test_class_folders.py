"""A folder for each class: numbers, halves, and what is no class."""

import shutil
from pathlib import Path

import pytest

from regvq.errors import RegvqError
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


@pytest.mark.parametrize("name", TREES)
def test_a_class_without_images_is_named_with_the_tree(name: str, tmp_path: Path) -> None:
    miniature = MINIATURES[name]
    miniature.write(tmp_path / "whole")
    folders = sorted({file.parent for file in (tmp_path / "whole").rglob("*.jpg")})
    assert len(folders) in (2, 4)
    for number, folder in enumerate(folders):
        part = tmp_path / f"part-{number}"
        shutil.copytree(tmp_path / "whole", part)
        empty = part / folder.relative_to(tmp_path / "whole")
        for file in empty.iterdir():
            file.rename(file.with_suffix(".txt"))
        data = miniature.data(part)
        with pytest.raises(
            RegvqError, match=f"no image in {empty} or below it: .* remove this class"
        ) as caught:
            _ = data.train(seed=0), data.val()
        assert miniature.kind.tree in str(caught.value)
