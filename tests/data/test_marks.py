"""The mark of images changes with their files and not with where these lie."""

import os
import shutil
from pathlib import Path

import pytest

from regvq.data import FolderData
from regvq.data.annotated import Record, RecordList
from regvq.data.layouts import ClassFoldersData
from regvq.data.marks import mark_of_files
from tests.support.miniatures import MINIATURES


def written(folder: Path) -> list[Path]:
    """Files of several sizes in two folders."""
    files = [folder / "a" / "0.png", folder / "a" / "1.png", folder / "b" / "0.png"]
    for size, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    return files


def test_files_elsewhere_have_the_same_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = mark_of_files(written(tmp_path / "here"))
    assert mark_of_files(written(tmp_path / "there" / "below")) == mark
    monkeypatch.chdir(tmp_path / "here")
    assert mark_of_files([Path("a/0.png"), Path("a/1.png"), Path("b/0.png")]) == mark
    assert mark_of_files([tmp_path / "here" / "a" / "0.png", Path("a/1.png"), Path("b/0.png")]) == mark


def test_a_name_a_size_an_order_and_a_missing_file_change_it(tmp_path: Path) -> None:
    files = written(tmp_path)
    marks = [mark_of_files(files), mark_of_files(files[::-1]), mark_of_files(files[:2]), mark_of_files([])]
    files[1].write_bytes(b"xy")
    marks.append(mark_of_files(files))
    marks.append(mark_of_files([files[0], files[1].rename(tmp_path / "a" / "2.png"), files[2]]))
    files[2].unlink()
    marks.append(mark_of_files([files[0], tmp_path / "a" / "2.png", files[2]]))
    files[2].touch()
    marks.append(mark_of_files([files[0], tmp_path / "a" / "2.png", files[2]]))
    assert len(set(marks)) == len(marks)


def test_a_name_that_is_no_text_has_a_mark(tmp_path: Path) -> None:
    file = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.png"))
    file.write_bytes(b"x")
    assert mark_of_files([file]) != mark_of_files([tmp_path / "y.png"])


@pytest.mark.parametrize("kind", [ClassFoldersData, FolderData])
def test_a_data_set_that_was_moved_keeps_its_mark(kind: type, tmp_path: Path) -> None:
    MINIATURES["class-tree"].write(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "below")
    marks = [
        kind(str(root), size=16, val_share=0.4).val().mark()
        for root in (tmp_path / "here", tmp_path / "there" / "below")
    ]
    assert marks[0] == marks[1]


def test_images_that_are_no_files_are_marked_by_their_content() -> None:
    marks = [RecordList([Record(content, place="x")]).mark() for content in (b"one", b"two", b"one")]
    assert marks[0] == marks[2] != marks[1]
