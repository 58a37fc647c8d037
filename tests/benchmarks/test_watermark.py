"""The benchmark of the mark: photographs are found wherever they lie, the tables say what was counted."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.harms import HARMS, NOTHING, WORST
from benchmarks.photo_files import even_shares, photographs, squares
from benchmarks.watermark import bars, detection, false_positives, square_of
from benchmarks.watermark_tables import tables, with_tables
from regvq.errors import RegvqError
from regvq.provenance import mark
from tests.support.pictures import photographs as crops


@pytest.fixture
def files() -> list[bytes]:
    """Twelve photographs of 64 px as PNG."""
    found = []
    for image in crops(64, 12):
        buffer = io.BytesIO()
        pixels = image.add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def nothing() -> None:
    """No progress to report."""


def test_photographs_are_read_from_folders_archives_and_arrays(files: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number, file in enumerate(files):
            (tmp_path / "folder" / f"{number:02d}.png").write_bytes(file)
            archive.add(tmp_path / "folder" / f"{number:02d}.png")
        (tmp_path / "labels.json").write_text("[]")
        archive.add(tmp_path / "labels.json")
    offsets = np.cumsum([0, *map(len, files)])
    np.savez(tmp_path / "a.npz", data=np.frombuffer(b"".join(files), np.uint8), offsets=offsets)
    assert [path.read_bytes() for path in photographs(tmp_path / "folder")] == files
    assert photographs(tmp_path / "a.tar") == files
    assert photographs(tmp_path / "a.npz") == files
    with pytest.raises(RegvqError, match=r"labels\.json is no folder, \.tar or \.npz file"):
        photographs(tmp_path / "labels.json")


def test_marks_are_counted_where_they_are_and_where_not(files: list[bytes]) -> None:
    row, sides = false_positives("mine", files, nothing)
    assert sides == [64] * 12
    assert (row["images"], row["false_positives"], row["sides"]) == (12, 0, [64, 64])
    assert sum(row["tenths_of_a_look"]) == pytest.approx(1)
    found = detection("photographs", squares(files, 64), 64, 1.0, tuple(HARMS), nothing)
    assert found["found"][NOTHING] == found["found"][WORST] == 1
    assert found["found"]["mirrored"] == 0
    assert found["psnr"] > 38
    text = tables({"unmarked": [row], "marked": [found, found | {"drawn": 0.5}]})
    assert "| mine | 12 | 64 | 0 |" in text
    assert "| 12 photographs of 64 px | 50 % |" in text
    page = "before\n<!-- figures of benchmarks/watermark.py -->\nold\n<!-- end of the figures -->\nafter\n"
    assert with_tables(page, {"unmarked": [row], "marked": [found, found | {"drawn": 0.5}]}) == (
        "before\n<!-- figures of benchmarks/watermark.py -->\n\n"
        f"{text}\n\n<!-- end of the figures -->\nafter\n"
    )
    assert all(bar.passed for bar in bars([row], [found]))
    assert not all(bar.passed for bar in bars([row | {"false_positives": 1}], [found]))
    worse = found | {"found": found["found"] | {WORST: 0.9}}
    assert not all(bar.passed for bar in bars([row], [worse]))


def test_a_marked_photograph_counts_as_a_false_positive(files: list[bytes]) -> None:
    buffer = io.BytesIO()
    marked = mark(crops(64, 1))[0].add(1).mul(127.5).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(marked).save(buffer, "PNG")
    assert false_positives("mine", [*files, buffer.getvalue()], nothing)[0]["false_positives"] == 1


def test_every_source_has_its_share() -> None:
    sources = [[b"a%d" % number for number in range(10)], [b"b", b"c"]]
    assert even_shares(sources, 8) == [b"a0", b"a2", b"a5", b"a7", b"b", b"c"]
    assert even_shares([], 8) == []


def test_an_edit_has_a_square_of_its_share() -> None:
    assert square_of(1.0, 64) is None
    drawn = square_of(0.25, 64)
    assert drawn is not None
    assert torch.equal(drawn[16:48, 16:48], torch.ones(32, 32, dtype=torch.bool))
    assert drawn.sum() == 32 * 32
