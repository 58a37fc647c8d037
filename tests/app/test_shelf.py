"""Visitors' files: theirs can be read, nothing else can."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from regvq.app.shelf import Shelf
from regvq.errors import RegvqError


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf", pixels=400)


def test_what_is_put_there_can_be_read(shelf: Shelf) -> None:
    image = torch.linspace(-1, 1, 3 * 4 * 5).view(3, 4, 5)
    path = shelf.put(image)
    assert (shelf.read({"path": path}) - image).abs().max() <= 1 / 127.5
    assert shelf.put(image) != path, "no two files are one"


def test_nothing_outside_can_be_read(shelf: Shelf, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (2, 2)).save(secret)
    (shelf.folder / "link.png").symlink_to(secret)
    for path in (
        str(secret),
        str(shelf.folder / ".." / "secret.png"),
        str(shelf.folder / "link.png"),
        str(shelf.folder),
        "/etc/passwd",
        "secret\0.png",
        "x" * 5000,
    ):
        assert not shelf.holds(path)
        with pytest.raises(RegvqError, match="upload it again"):
            shelf.read({"path": path})


@pytest.mark.parametrize(
    "upload", ["/etc/passwd", ["x"], 7, {"path": 7}, {"url": "data:image/png;base64,"}]
)
def test_what_is_no_record_of_an_upload_is_refused(shelf: Shelf, upload: Any) -> None:
    with pytest.raises(RegvqError, match="upload it again"):
        shelf.read(upload)


def test_no_image_is_a_sentence(shelf: Shelf) -> None:
    with pytest.raises(RegvqError, match="there is no image yet"):
        shelf.read(None)


def test_a_broken_or_too_large_image_is_a_sentence_without_its_path(shelf: Shelf) -> None:
    broken, large = shelf.folder / "broken.png", shelf.folder / "large.png"
    broken.write_bytes(b"no image")
    Image.new("RGB", (21, 20)).save(large)
    for path, message in ((broken, "cannot read the upload as an image"), (large, "more than 400 pixels")):
        with pytest.raises(RegvqError, match=message) as raised:
            shelf.read({"path": str(path)})
        assert str(shelf.folder) not in str(raised.value)


def test_of_a_too_large_image_no_pixel_is_decoded(shelf: Shelf) -> None:
    path = shelf.folder / "cut.png"
    Image.effect_noise((300, 300), 90).save(path)
    path.write_bytes(path.read_bytes()[:200])  # the header, and pixels that cannot be decoded
    with pytest.raises(RegvqError, match="more than 400 pixels"):
        shelf.read({"path": str(path)})
