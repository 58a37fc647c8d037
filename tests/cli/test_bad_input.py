"""Whatever the user may give: a sentence and a non-zero exit, or a counted skip; nothing is lost."""

import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regvq.tokenizers.token_file import load_tokens

Run = Callable[..., tuple[int, str, str]]

COMMANDS = ("reconstruct", "encode")


def _output(command: str, tmp_path: Path) -> Path:
    return tmp_path / ("out" if command == "reconstruct" else "tokens.npz")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def bomb(path: Path, side: int = 60_000) -> None:
    """A PNG of a hundred bytes that promises ``side`` x ``side`` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def _truncated(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:1000])


BROKEN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("no image"),
    "empty": lambda path: path.touch(),
    "truncated": _truncated,
    "bomb": bomb,
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_alone_is_an_error(
    command: str, kind: str, tokenizer: Path, tmp_path: Path, regvq: Run
) -> None:
    BROKEN[kind](tmp_path / "broken.png")
    output = _output(command, tmp_path)
    status, text, errors = regvq(command, tokenizer, tmp_path / "broken.png", "--output", output)
    assert (status, text) == (2, "")
    assert len(errors.splitlines()) == 1
    assert "broken.png" in errors
    assert not output.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_broken_images_among_others_are_left_out_and_counted(
    command: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    for kind, spoil in BROKEN.items():
        spoil(photos / f"broken-{kind}.png")
    output = _output(command, tmp_path)
    status, _, errors = regvq(command, tokenizer, photos, "--output", output)
    assert status == 0
    assert errors.splitlines()[-1] == "regvq: 4 of 7 files were left out as unreadable"
    assert all(f"broken-{kind}.png" in errors for kind in BROKEN)
    if command == "encode":
        assert load_tokens(output).names == ("a.png", "b.png", "sub/a.png")
    else:
        assert len(list(output.rglob("*.png"))) == 3


def _greyscale(image: Image.Image) -> Image.Image:
    return image.convert("L")


def _sixteen_bit(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _rotated(image: Image.Image) -> Image.Image:
    """Lies on its side in the file, and EXIF says so (orientation 6: turn right by 90 degrees)."""
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    return turned


ODD: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "greyscale": (".png", _greyscale),
    "grey with alpha": (".png", lambda image: image.convert("LA")),
    "palette": (".png", lambda image: image.quantize(256)),
    "alpha": (".png", lambda image: image.convert("RGBA")),
    "cmyk": (".tif", lambda image: image.convert("CMYK")),
    "sixteen bit": (".png", _sixteen_bit),
    "one bit": (".png", lambda image: image.convert("1")),
    "rotated": (".png", _rotated),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_kinds_of_images_are_read(
    kind: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    suffix, convert = ODD[kind]
    path = tmp_path / f"odd{suffix}"
    converted = convert(Image.open(photos / "b.png"))
    converted.save(path, exif=converted.getexif())
    status, text, errors = regvq("reconstruct", tokenizer, path, "--output", tmp_path / "out")
    assert (status, errors) == (0, "")
    assert f"21 x 18  odd{suffix}" in text
    original = np.asarray(Image.open(tmp_path / "out" / "odd.png"))[:, :21].astype(int)
    expected = np.asarray(Image.open(photos / "b.png")).astype(int)
    if kind in ("greyscale", "grey with alpha", "sixteen bit"):
        expected = np.asarray(Image.open(photos / "b.png").convert("L").convert("RGB")).astype(int)
    if kind != "one bit":
        assert abs(original - expected).mean() < 6


@pytest.mark.parametrize("command", COMMANDS)
def test_folders_without_images(command: str, tokenizer: Path, tmp_path: Path, regvq: Run) -> None:
    (tmp_path / "empty").mkdir()
    output = _output(command, tmp_path)
    status, _, errors = regvq(command, tokenizer, tmp_path / "empty", "--output", output)
    assert status == 2
    assert f"no image in {tmp_path / 'empty'}" in errors
    status, _, errors = regvq(command, tokenizer, tmp_path / "missing", "--output", output)
    assert (status, errors) == (2, f"regvq: there is no image file or folder {tmp_path / 'missing'}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_tokenizer_cut_short(
    command: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    weights = tokenizer / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    status, _, errors = regvq(command, tokenizer, photos, "--output", _output(command, tmp_path))
    assert status == 2
    assert f"{weights} is damaged" in errors


def test_a_file_instead_of_a_tokenizer_folder(photos: Path, tmp_path: Path, regvq: Run) -> None:
    status, _, errors = regvq("encode", photos / "a.png", photos, "--output", tmp_path / "tokens.npz")
    assert (status, errors) == (2, f"regvq: there is no tokenizer folder {photos / 'a.png'}\n")


def test_damaged_tokens(tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run) -> None:
    tokens = tmp_path / "tokens.npz"
    regvq("encode", tokenizer, photos, "--output", tokens)
    tokens.write_bytes(tokens.read_bytes()[:-30])
    status, _, errors = regvq("decode", tokenizer, tokens, "--output", tmp_path / "out")
    assert status == 2
    assert f"regvq: {tokens} is damaged" in errors
    status, _, errors = regvq("decode", tokenizer, tmp_path / "no.npz", "--output", tmp_path / "out")
    assert (status, errors) == (2, f"regvq: there is no token file {tmp_path / 'no.npz'}\n")


def test_an_output_of_no_known_kind_is_refused_before_the_work(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    status, _, errors = regvq("encode", tokenizer, photos, "--output", tmp_path / "tokens.pt")
    assert status == 2
    assert "must end in .npz or .safetensors" in errors


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cannot_be_written(
    command: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    (tmp_path / "file").touch()
    output = _output(command, tmp_path / "file")
    status, _, errors = regvq(command, tokenizer, photos, "--output", output)
    assert status == 2
    assert f"regvq: cannot write {output}" in errors


@pytest.fixture
def listening() -> Iterator[None]:
    """Ctrl-C reaches this process, also where a shell in the background has told it to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c(
    command: str,
    tokenizer: Path,
    photos: Path,
    tmp_path: Path,
    regvq: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from regvq.tokenizers import ImageTokenizer

    def interrupted(self: ImageTokenizer, images: object) -> None:
        signal.raise_signal(signal.SIGINT)

    output = _output(command, tmp_path)
    regvq(command, tokenizer, photos, "--output", output)
    before = output.read_bytes() if output.is_file() else (output / "a.png").read_bytes()
    monkeypatch.setattr(ImageTokenizer, "encode", interrupted)
    status, _, errors = regvq(command, tokenizer, photos, "--output", output)
    assert (status, errors) == (130, "regvq: interrupted; what was saved before is whole\n")
    assert before == (output.read_bytes() if output.is_file() else (output / "a.png").read_bytes())
