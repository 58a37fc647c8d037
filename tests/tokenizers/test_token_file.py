"""Token files: what is saved comes back, and nothing else is taken for it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer, token_file
from regvq.tokenizers.token_file import TokenFile, load_tokens, save_tokens

SUFFIXES = [".npz", ".safetensors"]


def _tokens(**changes: Any) -> TokenFile:
    tokens = TokenFile(
        tokenizer="0123456789abcdef",
        codebook_size=64,
        downsampling=4,
        names=("a.png", "sub/ünï.jpg"),
        sizes=((8, 7), (1, 12)),
        codes=(torch.tensor([[0, 1], [2, 63]]), torch.tensor([[5, 4, 3]])),
    )
    return dataclasses.replace(tokens, **changes)


def _same(one: TokenFile, other: TokenFile) -> bool:
    fields = [field.name for field in dataclasses.fields(TokenFile) if field.name != "codes"]
    return all(getattr(one, name) == getattr(other, name) for name in fields) and all(
        torch.equal(a, b) for a, b in zip(one.codes, other.codes, strict=True)
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_comes_back_whole(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tokens{suffix}"
    save_tokens(_tokens(), path)
    again = load_tokens(path)
    assert _same(again, _tokens())
    assert all(codes.dtype == torch.int64 for codes in again.codes)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_images_at_all(suffix: str, tmp_path: Path) -> None:
    path, empty = tmp_path / f"tokens{suffix}", _tokens(names=(), sizes=(), codes=())
    save_tokens(empty, path)
    assert _same(load_tokens(path), empty)


@pytest.mark.parametrize(("codebook_size", "bytes_a_code"), [(2**16, 2), (2**16 + 1, 4)])
def test_codes_take_as_few_bytes_as_the_codebook_allows(
    codebook_size: int, bytes_a_code: int, tmp_path: Path
) -> None:
    last = torch.full((2, 2), codebook_size - 1)
    tokens = _tokens(codebook_size=codebook_size, codes=(last, torch.zeros(1, 3, dtype=torch.int64)))
    save_tokens(tokens, tmp_path / "tokens.npz")
    with np.load(tmp_path / "tokens.npz") as file:
        assert file["codes"].itemsize == bytes_a_code
    assert _same(load_tokens(tmp_path / "tokens.npz"), tokens)


def test_the_arrays_are_what_the_module_says(tmp_path: Path) -> None:
    save_tokens(_tokens(), tmp_path / "tokens.npz")
    with np.load(tmp_path / "tokens.npz") as file:
        assert sorted(file.files) == ["checksum", "codes", "grids", "header", "sizes"]
        assert file["codes"].tolist() == [0, 1, 2, 63, 5, 4, 3]
        assert file["grids"].tolist() == [[2, 2], [1, 3]]
        assert file["sizes"].tolist() == [[8, 7], [1, 12]]


def test_refuses_another_tokenizers(tmp_path: Path) -> None:
    mine, stranger = (ImageTokenizer(IdentityBackbone(4), VectorQuantizer(64, 48)) for _ in range(2))
    tokens = _tokens(tokenizer=mine.fingerprint())
    tokens.require(mine, tmp_path)
    with pytest.raises(RegvqError, match=rf"made by another tokenizer \(fingerprint {tokens.tokenizer}"):
        tokens.require(stranger, tmp_path)
    for wrong in ({"codebook_size": 65}, {"downsampling": 8}):
        with pytest.raises(RegvqError, match="which is not so: the file is damaged"):
            dataclasses.replace(tokens, **wrong).require(mine, tmp_path)


def test_names_sizes_and_codes_are_equally_many() -> None:
    with pytest.raises(RegvqError, match="equally many, not 1, 2 and 2"):
        _tokens(names=("a.png",))


@pytest.mark.parametrize("name", ["tokens", "tokens.pt", "tokens.npy"])
def test_refuses_other_suffixes(name: str, tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match=r"must end in \.npz or \.safetensors"):
        save_tokens(_tokens(), tmp_path / name)
    with pytest.raises(RegvqError, match=r"must end in \.npz or \.safetensors"):
        load_tokens(tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_a_sentence(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="there is no token file"):
        load_tokens(tmp_path / f"tokens{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_file_cut_short_is_a_sentence(suffix: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"tokens{suffix}"
    save_tokens(_tokens(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(RegvqError, match="is damaged"):
        load_tokens(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_single_changed_byte_is_noticed_or_harmless(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tokens{suffix}"
    save_tokens(_tokens(), path)
    content = path.read_bytes()
    refused = 0
    for position in range(0, len(content), 3):
        changed = bytearray(content)
        changed[position] ^= 0x41
        path.write_bytes(bytes(changed))
        try:
            assert _same(load_tokens(path), _tokens()), position
        except RegvqError:
            refused += 1
    assert refused > 0.4 * len(content) / 3


def _forge(path: Path, header: dict[str, Any] | None = None, **arrays: Any) -> None:
    """A file with a right checksum, as a stranger's program could write it."""
    save_tokens(_tokens(), path)
    content = safetensors.numpy.load_file(path)
    content.update(arrays)
    if header is not None:
        text = {**json.loads(content["header"].tobytes()), **header}
        content["header"] = np.frombuffer(json.dumps(text).encode(), np.uint8)
    content["checksum"] = token_file._checksum(content)
    safetensors.numpy.save_file(content, path)


@pytest.mark.parametrize(
    ("forgery", "sentence"),
    [
        ({"codes": np.array([0, 1, 2, 64, 5, 4, 3], np.uint16)}, "codes from 0 to 64.*has 64 codes"),
        ({"codes": np.array([0, -1, 2, 3, 5, 4, 3], np.int32)}, "codes from -1 to 5"),
        ({"codes": np.zeros(6, np.uint16)}, "do not fit together"),
        ({"grids": np.array([[2, 2]], np.int32)}, "do not fit together"),
        ({"grids": np.array([[-2, -2], [1, 3]], np.int32)}, "do not fit together"),
        ({"grids": np.zeros(3, np.int32)}, "not a token file"),
        ({"sizes": np.array([[8, 9], [1, 12]], np.int32)}, "do not fit together"),
        ({"sizes": np.array([[8, 0], [1, 12]], np.int32)}, "do not fit together"),
        ({"header": {"names": ["a"]}}, "do not fit together"),
        ({"header": {"names": 3}}, "not a token file"),
        ({"header": {"codebook_size": "64"}}, "not a token file"),
        ({"header": {"codebook_size": 0}}, "not a token file"),
        ({"header": {"downsampling": -4}}, "not a token file"),
        ({"header": {"format": "other"}}, "not a token file"),
        ({"header": {"version": 2}}, "version 2 of the token format, this package reads version 1"),
    ],
)
def test_forged_files_are_refused(forgery: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    _forge(tmp_path / "tokens.safetensors", **forgery)
    with pytest.raises(RegvqError, match=sentence):
        load_tokens(tmp_path / "tokens.safetensors")


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"weight": np.zeros(3)}, tmp_path / "tokens.safetensors")
    with pytest.raises(RegvqError, match="is not a token file"):
        load_tokens(tmp_path / "tokens.safetensors")


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "tokens.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(RegvqError, match="no token file"):
        load_tokens(tmp_path / "tokens.npz")
