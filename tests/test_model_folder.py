"""A model's folder: what is saved comes back, and nothing else is taken for it."""

import errno
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from regvq import load_tokenizer
from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone, VQGANBackbone
from regvq.quantizers import (
    EMAVectorQuantizer,
    GumbelQuantizer,
    Quantizer,
    RegularizedVectorQuantizer,
    VectorQuantizer,
)
from regvq.tokenizers import ImageTokenizer


def _tokenizer(quantizer: Quantizer | None = None) -> ImageTokenizer:
    return ImageTokenizer(IdentityBackbone(4), quantizer or RegularizedVectorQuantizer(16, 4)).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _tokenizer().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.mark.parametrize(
    "quantizer",
    [
        VectorQuantizer(16, 4),
        EMAVectorQuantizer(16, 4),
        GumbelQuantizer(16, 4),
        RegularizedVectorQuantizer.paper(16, 4),
    ],
    ids=lambda quantizer: type(quantizer).__name__,
)
def test_a_trained_tokenizer_comes_back_whole(quantizer: Quantizer, tmp_path: Path) -> None:
    tokenizer = ImageTokenizer(VQGANBackbone((8, 16), 1, 8, 4, False), quantizer)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    for _ in range(2):
        tokenizer(images)
    tokenizer.eval().save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert not again.training
    assert torch.equal(again.encode(images), tokenizer.encode(images))
    assert torch.equal(again.reconstruct(images), tokenizer.reconstruct(images))
    assert again.fingerprint() == tokenizer.fingerprint()
    assert again.quantizer.steps.value == 2


def test_the_folder_holds_two_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_fingerprints_tell_weights_and_configuration_apart() -> None:
    one, other = _tokenizer(), _tokenizer()
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() == other.fingerprint()
    with torch.no_grad():
        other.backbone.gain += 1e-6
    assert one.fingerprint() != other.fingerprint()
    changed = _tokenizer(RegularizedVectorQuantizer(16, 4, mask_ratio=0.5))
    changed.load_state_dict(one.state_dict())
    assert one.fingerprint() != changed.fingerprint()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_fingerprints_survive_saving_in_another_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    tokenizer = _tokenizer().to(dtype)
    tokenizer.save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors")["quant_conv.weight"].dtype == dtype
    assert load_tokenizer(str(tmp_path)).fingerprint() == tokenizer.fingerprint()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _edit_config(path: Path, edit: Callable[[Any], Any]) -> None:
    """Changes the configuration in both of its places, as a stranger's folder would have it."""
    weights = load_file(path / "model.safetensors")
    text = json.dumps(edit(json.loads((path / "config.json").read_text())))
    save_file(weights, path / "model.safetensors", metadata={"config": text})
    (path / "config.json").write_text(text)


def _with_arguments(**arguments: Any) -> Callable[[Any], Any]:
    def edit(config: Any) -> Any:
        config["model"]["init_args"].update(arguments)
        return config

    return edit


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (
        lambda path: (path / "model.safetensors").unlink(),
        "is missing: give a folder",
    ),
    "weights cut short": (
        lambda path: _truncate(path / "model.safetensors"),
        "model.safetensors is damaged",
    ),
    "empty weights": (lambda path: (path / "model.safetensors").write_bytes(b""), "is damaged"),
    "pickled weights": (
        lambda path: (path / "model.safetensors").write_bytes(pickle.dumps({"a": 1})),
        "is damaged",
    ),
    "configuration cut short": (lambda path: _truncate(path / "config.json"), "config.json is damaged"),
    "empty configuration": (lambda path: (path / "config.json").write_text(""), "config.json is damaged"),
    "not text": (lambda path: (path / "config.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "a list": (lambda path: _edit_config(path, lambda _: [1, 2]), "config.json is damaged"),
    "a foreign model": (lambda path: _edit_config(path, lambda _: {"model_type": "bert"}), "is damaged"),
    "nested without end": (
        lambda path: (path / "config.json").write_text('{"model":' * 100_000),
        "config.json is damaged",
    ),
    "a class of another package": (
        lambda path: _edit_config(path, lambda _: {"model": {"class_path": "os.system"}}),
        "os.system.* lies outside regvq",
    ),
    "no model": (lambda path: _edit_config(path, lambda _: {"model": "text"}), "does not describe a model"),
    "not a module": (
        lambda path: _edit_config(path, lambda _: {"model": {"class_path": "regvq.priors.UniformPrior"}}),
        "does not describe a model",
    ),
    "no arguments": (
        lambda path: _edit_config(
            path, lambda _: {"model": {"class_path": "regvq.tokenizers.ImageTokenizer", "init_args": 3}}
        ),
        "cannot be built",
    ),
    "an argument of another kind": (
        lambda path: _edit_config(path, _with_arguments(quantizer="none")),
        "cannot be built",
    ),
    "a value that is refused": (
        lambda path: _edit_config(
            path,
            _with_arguments(
                quantizer={
                    "class_path": "regvq.quantizers.RegularizedVectorQuantizer",
                    "init_args": {"codebook_size": 16, "dim": 4, "mask_ratio": float("nan")},
                }
            ),
        ),
        "config.json cannot be used: mask_ratio",
    ),
    "another codebook size": (
        lambda path: _edit_config(
            path,
            _with_arguments(
                quantizer={
                    "class_path": "regvq.quantizers.RegularizedVectorQuantizer",
                    "init_args": {"codebook_size": 8, "dim": 4},
                }
            ),
        ),
        r"does not fit .*config.json: size mismatch",
    ),
    "weights of another model": (
        lambda path: save_file({"something": torch.zeros(1)}, path / "model.safetensors"),
        r"does not fit .*config.json: Missing key",
    ),
    "a counter of another shape": (
        lambda path: save_file(
            {**load_file(path / "model.safetensors"), "quantizer.steps._extra_state": torch.zeros(3)},
            path / "model.safetensors",
        ),
        "does not fit",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_folder_is_a_sentence(damage: str, folder: Path) -> None:
    spoil, sentence = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(RegvqError, match=sentence):
        load_tokenizer(str(folder))


def test_a_part_of_a_tokenizer_is_no_tokenizer(folder: Path) -> None:
    quantizer = VectorQuantizer(16, 4)
    config = {"model": {"class_path": "regvq.quantizers.VectorQuantizer"}}
    config["model"]["init_args"] = quantizer.init_args
    save_file(quantizer.state_dict(), folder / "model.safetensors", metadata={"config": json.dumps(config)})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RegvqError, match="holds a VectorQuantizer, not an image tokenizer"):
        load_tokenizer(str(folder))


def test_the_folder_of_a_run_points_to_its_tokenizer(folder: Path) -> None:
    with pytest.raises(RegvqError, match=f"the tokenizer of this run is {folder}"):
        load_tokenizer(str(folder.parent))


def test_weights_alone_are_a_whole_model(folder: Path) -> None:
    before = load_tokenizer(str(folder)).fingerprint()
    (folder / "config.json").unlink()
    assert load_tokenizer(str(folder)).fingerprint() == before


def test_a_folder_without_a_carried_configuration_needs_its_file(folder: Path) -> None:
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")
    load_tokenizer(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(RegvqError, match=r"config\.json is missing"):
        load_tokenizer(str(folder))


def test_a_save_cut_short_between_its_two_files_is_noticed_and_can_be_mended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, newer = os.replace, _tokenizer(VectorQuantizer(32, 2))

    def interrupt_after_the_first(source: str, target: Path) -> None:
        replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        newer.save_pretrained(folder)
    with pytest.raises(RegvqError, match=r"a save was cut short.*delete config\.json"):
        load_tokenizer(str(folder))
    (folder / "config.json").unlink()
    assert load_tokenizer(str(folder)).fingerprint() == newer.fingerprint()


@pytest.mark.parametrize("full_at", [1, 2])
def test_a_full_disk_leaves_the_old_model(
    full_at: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = load_tokenizer(str(folder)).fingerprint(), []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RegvqError, match="No space left on device; free space"):
        _tokenizer(VectorQuantizer(32, 2)).save_pretrained(folder)
    assert load_tokenizer(str(folder)).fingerprint() == before
    assert len(list(folder.iterdir())) == 2


def test_nan_in_a_configuration_is_equal_to_itself(folder: Path) -> None:
    _edit_config(folder, lambda config: {**config, "model": {**config["model"], "note": float("nan")}})
    load_tokenizer(str(folder))


def test_what_only_a_training_needs_is_not_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(2), RegularizedVectorQuantizer(8, 4))
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    for _ in range(12):
        tokenizer(images)
    assert tokenizer.quantizer.prior_bias.bias.any()
    tokenizer.eval().save_pretrained(tmp_path / "model")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert not [name for name in saved if "prior_bias" in name or "changed_share" in name]
    again = ImageTokenizer.from_pretrained(tmp_path / "model")
    assert torch.equal(again.encode(images), tokenizer.encode(images))
    assert again.fingerprint() == tokenizer.fingerprint()
    assert not again.quantizer.prior_bias.bias.any()
    again.train()(images)  # it can be trained on
