"""``regvq codebook``: the report in words and pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from regvq.cli import codebook as command
from regvq.configurable import build
from regvq.data.images import load_image
from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.tokenizers.padding import pad_to_multiple

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.filterwarnings("error::UserWarning:torchmetrics")
def test_counts_the_codes_that_the_images_take(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    (photos / "broken.png").write_text("no image")
    status, text, errors = regvq("codebook", tokenizer, photos, "--output", tmp_path / "out")
    assert status == 0
    assert errors.splitlines()[-1] == "regvq: 1 of 4 files were left out as unreadable"
    loaded = ImageTokenizer.from_pretrained(tokenizer)
    images = [load_image(photos / name) for name in ("a.png", "b.png", "sub/a.png")]
    codes = torch.cat([loaded.encode(pad_to_multiple(image, 4)[None]).flatten() for image in images])
    words = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert words["tokens seen"][2] == str(len(codes)) == "48"
    assert words["used codes"][2] == str(len(codes.unique()))


def test_writes_text_and_pictures(tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run) -> None:
    _, text, _ = regvq("codebook", tokenizer, photos, "--output", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["map.png", "patches.png", "prior.yaml", "report.txt", "usage.png"]
    assert text.startswith((tmp_path / "out" / "report.txt").read_text())
    for name in ("map.png", "patches.png", "usage.png"):
        assert Image.open(tmp_path / "out" / name).width > 100
        assert str(tmp_path / "out" / name) in text


def test_what_was_counted_is_a_prior_for_another_training(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    assert regvq("codebook", tokenizer, photos, "--output", tmp_path / "out")[0] == 0
    written = yaml.safe_load((tmp_path / "out" / "prior.yaml").read_text())
    prior = build(written["model"]["quantizer"]["init_args"]["prior"])
    loaded = ImageTokenizer.from_pretrained(tokenizer)
    images = [load_image(photos / name) for name in ("a.png", "b.png", "sub/a.png")]
    codes = torch.cat([loaded.encode(pad_to_multiple(image, 4)[None]).flatten() for image in images])
    expected = torch.bincount(codes, minlength=loaded.codebook_size) + 1.0
    expected = (expected / expected.sum()).log()
    torch.testing.assert_close(prior.log_prob(loaded.codebook_size), expected)


def test_without_images_it_takes_the_photographs(tokenizer: Path, tmp_path: Path, regvq: Run) -> None:
    status, text, errors = regvq("codebook", tokenizer, "--output", tmp_path / "out")
    assert status == 0
    assert "examining with 32 crops" in errors
    assert "64.0 a code" in text


@pytest.mark.parametrize(
    ("downsampling", "codes", "size", "crops"),
    [(4, 1024, 32, 1024), (16, 1024, 112, 1338), (8, 2**14, 64, 4096), (128, 4, 128, 256)],
)
def test_the_photographs_give_enough_tokens_for_the_codebook(
    downsampling: int, codes: int, size: int, crops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def photographs(split: str, size: int, length: int) -> None:
        asked.append((split, size, length))
        raise RegvqError("not installed")

    monkeypatch.setattr("regvq.data.Photos", photographs)
    tokenizer = ImageTokenizer(IdentityBackbone(downsampling), VectorQuantizer(codes, 2))
    with pytest.raises(RegvqError, match="not installed; or name images"):
        next(command._photos(tokenizer))
    assert asked == [("val", size, crops)]


def test_images_that_cannot_be_read_are_an_error(tokenizer: Path, tmp_path: Path, regvq: Run) -> None:
    (tmp_path / "broken.png").write_text("no image")
    status, _, errors = regvq("codebook", tokenizer, tmp_path / "broken.png", "--output", tmp_path / "out")
    assert status == 2
    assert "no image could be read" in errors
    assert not (tmp_path / "out").exists()
