"""``regvq reconstruct``: pairs of pictures and their figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regvq.cli.reconstruct import GAP
from regvq.data.images import load_image, to_uint8
from regvq.tokenizers import ImageTokenizer

Run = Callable[..., tuple[int, str, str]]


def test_writes_the_original_and_its_reconstruction_at_the_images_size(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    status, _, errors = regvq("reconstruct", tokenizer, photos, "--output", tmp_path / "out")
    assert (status, errors) == (0, "")
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.png"))
    assert [str(path) for path in written] == ["a.png", "b.png", "sub/a.png"]
    for path in written:
        original = np.asarray(Image.open(photos / path))
        height, width = original.shape[:2]
        pair = np.asarray(Image.open(tmp_path / "out" / path))
        assert pair.shape == (height, 2 * width + GAP, 3)
        assert np.array_equal(pair[:, :width], original)
        assert (pair[:, width : width + GAP] == 255).all()


def test_the_right_half_is_what_the_tokenizer_makes(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    regvq("reconstruct", tokenizer, photos / "a.png", "--output", tmp_path / "out")
    image = load_image(photos / "a.png")[None]
    expected = ImageTokenizer.from_pretrained(tokenizer).reconstruct(image)
    pair = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    assert np.array_equal(pair[:, 16 + GAP :], to_uint8(expected)[0].permute(1, 2, 0).numpy())


def test_prints_the_figures(tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run) -> None:
    _, text, _ = regvq("reconstruct", tokenizer, photos / "a.png", "--output", tmp_path / "out")
    loaded, image = ImageTokenizer.from_pretrained(tokenizer), load_image(photos / "a.png")[None]
    codes = loaded.encode(image)
    error = (loaded.decode(codes) - image).square().mean()
    psnr = f"{10 * torch.log10(4 / error):8.2f} dB"
    lines = text.splitlines()
    assert lines[0] == f"{psnr}  16 x 16  a.png"
    assert lines[1] == f"{psnr}  all 1 together"
    assert lines[2].startswith(f"codes used: {len(codes.unique())} of 32 (")
    assert lines[2].endswith("from 16 tokens")


def test_size_sets_the_shorter_side(tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run) -> None:
    _, text, _ = regvq(
        "reconstruct", tokenizer, photos / "b.png", "--size", 36, "--output", tmp_path / "out"
    )
    assert "42 x 36  b.png" in text
    assert Image.open(tmp_path / "out" / "b.png").size == (2 * 42 + GAP, 36)


def test_files_of_one_name_do_not_overwrite_each_other(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    Image.open(photos / "a.png").save(photos / "a.bmp")
    regvq(
        "reconstruct",
        tokenizer,
        *(photos / "a.png", photos / "sub" / "a.png", photos / "a.bmp"),
        *("--output", tmp_path / "out"),
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-2.png", "a-3.png", "a.png"]


def test_refuses_to_overwrite_the_images_themselves(tokenizer: Path, photos: Path, regvq: Run) -> None:
    before = (photos / "a.png").read_bytes()
    status, _, errors = regvq("reconstruct", tokenizer, photos, "--output", photos / "sub" / "..")
    assert status == 2
    assert "is one of the images: give another folder" in errors
    assert (photos / "a.png").read_bytes() == before


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there(
    device: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    status, _, errors = regvq(
        "reconstruct", tokenizer, photos, "--device", device, "--output", tmp_path / "out"
    )
    assert status == 2
    assert f"regvq: device '{device}' cannot be used: " in errors
