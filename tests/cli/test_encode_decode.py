"""``regvq encode`` and ``regvq decode``: there and back."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regvq.data.images import load_image, to_uint8
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.tokenizers.padding import pad_to_multiple
from regvq.tokenizers.token_file import load_tokens, save_tokens

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_there_and_back(suffix: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run) -> None:
    tokens, out = tmp_path / f"tokens{suffix}", tmp_path / "out"
    assert regvq("encode", tokenizer, photos, "--output", tokens) == (
        0,
        f"3 images as {16 + 5 * 6 + 2} tokens in {tokens}\n",
        "",
    )
    assert regvq("decode", tokenizer, tokens, "--output", out) == (0, f"3 images in {out}\n", "")
    loaded = ImageTokenizer.from_pretrained(tokenizer)
    for name in ("a.png", "b.png", "sub/a.png"):
        image = load_image(photos / name)
        height, width = image.shape[1:]
        expected = loaded.reconstruct(pad_to_multiple(image, 4)[None])[0, :, :height, :width]
        assert np.array_equal(
            np.asarray(Image.open(out / name)), to_uint8(expected).permute(1, 2, 0).numpy()
        )


def test_the_token_file_says_what_it_holds(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    regvq("encode", tokenizer, photos, "--output", tmp_path / "tokens.npz")
    tokens = load_tokens(tmp_path / "tokens.npz")
    loaded = ImageTokenizer.from_pretrained(tokenizer)
    assert tokens.tokenizer == loaded.fingerprint()
    assert (tokens.codebook_size, tokens.downsampling) == (32, 4)
    assert tokens.names == ("a.png", "b.png", "sub/a.png")
    assert tokens.sizes == ((16, 16), (18, 21), (3, 5))
    assert torch.equal(tokens.codes[0], loaded.encode(load_image(photos / "a.png")[None])[0])


def test_size_makes_grids_alike(tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run) -> None:
    regvq("encode", tokenizer, photos / "a.png", "--size", 8, "--output", tmp_path / "tokens.npz")
    tokens = load_tokens(tmp_path / "tokens.npz")
    assert tokens.sizes == ((8, 8),)
    assert tokens.codes[0].shape == (2, 2)


def test_images_of_one_size_go_together(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        Image.open(photos / "a.png").rotate(90 * index).save(photos / f"a{index}.png")
    batches, encode = [], ImageTokenizer.encode

    def spy(self: ImageTokenizer, images: torch.Tensor) -> torch.Tensor:
        batches.append(tuple(images.shape))
        return encode(self, images)

    monkeypatch.setattr(ImageTokenizer, "encode", spy)
    regvq("encode", tokenizer, photos, "--output", tmp_path / "tokens.npz")
    assert batches == [(4, 3, 16, 16), (1, 3, 20, 24), (1, 3, 4, 8)]


def test_tokens_of_another_tokenizer_are_refused(
    tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    ImageTokenizer(IdentityBackbone(4), VectorQuantizer(32, 6)).save_pretrained(tmp_path / "other")
    regvq("encode", tokenizer, photos, "--output", tmp_path / "tokens.npz")
    status, _, errors = regvq(
        "decode", tmp_path / "other", tmp_path / "tokens.npz", "--output", tmp_path / "out"
    )
    assert status == 2
    assert f"{tmp_path / 'tokens.npz'} was made by another tokenizer" in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../escape.png", "/escape.png", "a/../../escape.png", "", "a\0b.png"])
def test_names_that_lead_out_of_the_folder_are_refused(
    name: str, tokenizer: Path, photos: Path, tmp_path: Path, regvq: Run
) -> None:
    path = tmp_path / "tokens.safetensors"
    regvq("encode", tokenizer, photos / "a.png", "--output", path)
    save_tokens(dataclasses.replace(load_tokens(path), names=(name,)), path)
    status, _, errors = regvq("decode", tokenizer, path, "--output", tmp_path / "inner" / "out")
    assert status == 2
    assert "would be written outside the output folder" in errors
    assert not list(tmp_path.rglob("escape*"))
