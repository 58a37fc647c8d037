"""A file appears whole, or what stood there still stands."""

import errno
import os
from pathlib import Path

import pytest

from regvq.errors import RegvqError
from regvq.files import claim, remove_leftovers, write_bytes, write_together


def _full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_writes_into_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "file", b"content")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"content"


def test_leaves_nothing_beside(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"old")
    write_bytes(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_has_the_rights_of_an_ordinary_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    write_bytes(tmp_path / "written", b"")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(RegvqError, match=r"cannot write .*file: No space left on device; free space"):
        write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(tmp_path / "file", b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_files_that_belong_together_fail_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_together({first: b"old", second: b"old"})
    synced = []

    def full_at_the_second(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            _full_disk()

    monkeypatch.setattr(os, "fsync", full_at_the_second)
    with pytest.raises(RegvqError, match="second"):
        write_together({first: b"new", second: b"new"})
    assert (first.read_bytes(), second.read_bytes()) == (b"old", b"old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_a_folder_in_the_way_is_named_before_anything_is_renamed(tmp_path: Path) -> None:
    write_bytes(tmp_path / "first", b"old")
    (tmp_path / "second").mkdir()
    with pytest.raises(RegvqError, match=r"second: a folder of that name"):
        write_together({tmp_path / "first": b"new", tmp_path / "second": b"new"})
    assert (tmp_path / "first").read_bytes() == b"old"


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(RegvqError, match="cannot write"):
        write_bytes(tmp_path / "folder" / "file", b"new")


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("x" * 255), b"content")
    assert (tmp_path / ("x" * 255)).read_bytes() == b"content"


def test_what_is_replaced_is_kept_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last, previous = tmp_path / "last", tmp_path / "previous"
    for content in (b"1", b"2", b"3"):
        write_bytes(last, content, previous)
    assert (last.read_bytes(), previous.read_bytes()) == (b"3", b"2")
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(RegvqError, match="No space left"):
        write_bytes(last, b"4", previous)
    assert (last.read_bytes(), previous.read_bytes()) == (b"3", b"2")


def test_what_a_kill_left_beside_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    others = [".last.ckpt", ".last.ckpt.abcdefgh.txt", ".other.ckpt.abcdefgh", "last.ckpt"]
    for name in (".last.ckpt.abcdefgh", ".last.ckpt.12_45678", *others):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "last.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_a_folder_that_was_being_claimed_when_a_kill_came_is_claimed_again(tmp_path: Path) -> None:
    (tmp_path / ".record.json.abcdefgh").write_text("{")
    claim(tmp_path, "record.json", {"a": 1}, "cache")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
