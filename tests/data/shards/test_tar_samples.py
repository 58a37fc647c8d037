"""One shard: how its files form samples, and what is refused."""

import io
import tarfile
from pathlib import Path

import pytest

from regvq.data.shards.tar_samples import TarSamples
from regvq.errors import RegvqError


def archive(path: Path, files: dict[str, bytes], repeat: str | None = None) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in [*files.items(), *([(repeat, b"again")] if repeat else [])]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_files_that_share_their_name_up_to_the_first_dot_are_a_sample(tmp_path: Path) -> None:
    files = {"a/1.jpg": b"one", "a/1.seg.PNG": b"map", "a/2.jpg": b"two", "b.c/2.jpg": b"three"}
    samples = TarSamples(archive(tmp_path / "s.tar", files), "s")
    assert samples.keys == ["a/1", "a/2", "b.c/2"]
    assert [samples.fields(row) for row in range(3)] == [("jpg", "seg.png"), ("jpg",), ("jpg",)]
    assert samples.read(0, "seg.png") == b"map"
    assert samples.read(2, "jpg") == b"three"


def test_what_is_hidden_or_no_file_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a", ".hidden/1.jpg", "./._1.jpg", "./1.jpg", "README"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        link = tarfile.TarInfo("2.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert TarSamples(path, "s").keys == ["./1"]


@pytest.mark.parametrize("kept", [200, 512, 600, 1000, 1024, 1040, 1600, 2000, 2048, 2100])
def test_a_shard_that_is_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = archive(tmp_path / "s.tar", {"1.jpg": b"x" * 300, "2.jpg": b"y" * 300})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RegvqError, match=r"the shard is (no tar archive|damaged)"):
        TarSamples(path, "the shard")


@pytest.mark.parametrize("byte", [0, 100, 1024, 1124])
def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path, byte: int) -> None:
    path = archive(tmp_path / "s.tar", {"1.jpg": b"x" * 300, "2.jpg": b"y" * 300})
    content = bytearray(path.read_bytes())
    content[byte] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RegvqError, match=r"the shard is (no tar archive|damaged)"):
        TarSamples(path, "the shard")


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(content)
    with pytest.raises(RegvqError, match="the shard"):
        TarSamples(path, "the shard")


def test_a_file_twice_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "s.tar", {"1.jpg": b"x"}, repeat="1.jpg")
    with pytest.raises(RegvqError, match=r"1\.jpg twice"):
        TarSamples(path, "s")


def test_a_shard_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="holds no samples"):
        TarSamples(archive(tmp_path / "s.tar", {"README": b"x"}), "s")


def test_a_shard_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "s.tar", {"1.jpg": b"x" * 3000})
    samples = TarSamples(path, "s")
    path.write_bytes(b"")
    with pytest.raises(RegvqError, match="shorter"):
        samples.read(0, "jpg")
    path.unlink()
    with pytest.raises(RegvqError, match="cannot read s"):
        samples.read(0, "jpg")
