"""Odd and broken image files: what each becomes, or the sentence it gets."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regvq.data import images
from regvq.data.images import image_size, list_images, load_image, save_png, to_uint8
from regvq.errors import RegvqError


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def levels(content: bytes) -> list[list[int]]:
    """The distinct colours of an image, as 8-bit RGB."""
    return torch.unique(to_uint8(load_image(content)).flatten(1), dim=1).T.tolist()


def test_rgb_is_scaled_to_minus_one_and_one() -> None:
    image = Image.new("RGB", (3, 2))
    image.putpixel((2, 0), (255, 0, 51))
    loaded = load_image(encoded(image))
    assert loaded.shape == (3, 2, 3)
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded[:, 0, 2], torch.tensor([1.0, -1.0, -0.6]))
    assert loaded[:, 1].unique().tolist() == [-1.0]


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("L", (4, 4), 77), [77, 77, 77]),
        (Image.new("1", (4, 4), 1), [255, 255, 255]),
        (Image.new("RGB", (4, 4), (10, 20, 30)).quantize(2), [10, 20, 30]),
        (Image.new("LA", (4, 4), (77, 255)), [77, 77, 77]),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 0)), [255, 255, 255]),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 102)), [153, 153, 153]),
    ],
    ids=["grey", "one bit", "palette", "grey alpha", "transparent", "translucent"],
)
def test_modes(image: Image.Image, colour: list[int]) -> None:
    assert levels(encoded(image)) == [colour]


def test_transparent_palette_entry_lies_on_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([200, 0, 0])
    assert levels(encoded(image, "GIF", transparency=0)) == [[255, 255, 255]]


def test_cmyk() -> None:
    content = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert levels(content) == [[255, 0, 0]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    assert levels(encoded(Image.fromarray(values), kind)) == [[0] * 3, [100] * 3, [255] * 3]


def test_floats_outside_their_range_are_refused() -> None:
    content = encoded(Image.fromarray(np.full((2, 2), 3.0, np.float32)), "TIFF")
    with pytest.raises(RegvqError, match=r"values outside \[0, 1\]"):
        load_image(content)


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (32, 16), "black")
    image.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by a quarter: the left half comes on top
    loaded = load_image(encoded(image, "JPEG", exif=exif, quality=95))
    assert loaded.shape == (3, 32, 16)
    assert loaded[:, :14].min() > 0.9
    assert loaded[:, 18:].max() < -0.9


def png_header(width: int, height: int) -> bytes:
    """A PNG file that ends where its pixels would begin."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 1000) + b"IDAT"


@pytest.mark.parametrize("size", [(10_000, 10_000), (100_000, 100_000)])
def test_decompression_bomb(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(*size))
    for read in (load_image, image_size):
        with pytest.raises(RegvqError, match=r"bomb\.png has more than .* pixels: scale it down"):
            read(path)


def test_every_truncation_is_one_sentence(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    path = tmp_path / "cut"
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"):
        content = encoded(Image.fromarray(noise), kind)
        for length in range(0, len(content) - 40, max(1, len(content) // 25)):
            path.write_bytes(content[:length])
            with pytest.raises(RegvqError, match="cut as an image") as caught:
                load_image(path)
            assert "\n" not in str(caught.value)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    cases = {
        tmp_path / "text.png": "no image of a known kind",
        tmp_path / "missing.png": "there is no file .*missing.png",
        tmp_path: "is a folder",
        b"": "the given image data",
    }
    for source, message in cases.items():
        with pytest.raises(RegvqError, match=message):
            load_image(source)


def test_formats_that_need_foreign_programs_are_not_opened() -> None:
    with pytest.raises(RegvqError, match="no image of a known kind"):
        load_image(encoded(Image.new("RGB", (4, 4)), "EPS"))


def test_header_gives_the_size(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (5, 3)).save(path)
    assert image_size(path) == (3, 5)


def test_to_uint8_rounds_and_clamps() -> None:
    values = torch.tensor([-2.0, -1.0, -0.996, 0.0, 1.0, 7.0])
    assert to_uint8(values).tolist() == [0, 0, 1, 128, 255, 255]


def test_png_round_trip(tmp_path: Path) -> None:
    image = torch.arange(48).view(3, 4, 4) / 24 - 1
    save_png(image, tmp_path / "new" / "a.png")
    assert torch.equal(to_uint8(load_image(tmp_path / "new" / "a.png")), to_uint8(image))


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegvqError, match="cannot write"):
        save_png(torch.zeros(3, 2, 2), tmp_path / "file" / "a.png")


def test_images_are_found_below_and_sorted(tmp_path: Path) -> None:
    for name in ("b.JPG", "deep/er/a.png", "deep/notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["b.JPG", "deep/er/a.png"]


def test_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("")
    for folder, message in [
        (tmp_path, "no image in"),
        (tmp_path / "missing", "does not exist"),
        (tmp_path / "file.txt", "is a file"),
    ]:
        with pytest.raises(RegvqError, match=message):
            list_images(folder)


def test_suffixes_and_formats_agree() -> None:
    Image.init()
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in images.SUFFIXES} <= set(images.FORMATS)
