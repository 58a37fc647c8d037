"""A cache gives back what encoding on the fly would have given, whatever happened to its making."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from regvq.data import FolderData
from regvq.data.scenes import ScenesData
from regvq.errors import RegvqError
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import CachedTokens, ImageTokenizer, write_cache
from regvq.tokenizers.token_cache import shard_path

DATA = ScenesData(size=16, train_length=10, val_length=3)
SETTINGS: dict[str, Any] = {"variants": 2, "shard_size": 4, "batch_size": 3}


@pytest.fixture(scope="module")
def tokenizer() -> ImageTokenizer:
    torch.manual_seed(0)
    built = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(300, 6, init="data"))
    built(torch.rand(8, 3, 32, 32) * 2 - 1)
    return built.eval()


@pytest.fixture
def cache(tokenizer: ImageTokenizer, tmp_path: Path) -> Path:
    write_cache(tmp_path / "cache", tokenizer, DATA, **SETTINGS)
    return tmp_path / "cache"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_sample_is_the_encoded_sample(cache: Path, tokenizer: ImageTokenizer) -> None:
    for split, half in (("train", DATA.train(0)), ("val", DATA.val())):
        cached = CachedTokens(cache, split)
        assert len(cached) == len(half)
        for item in range(len(half)):
            mine = cached[item]
            variants = [half[item + variant * len(half)] for variant in range(2)]
            fits = [
                torch.equal(mine["codes"], tokenizer.encode(sample["image"][None])[0])
                and torch.equal(mine["label_map"], sample["label_map"])
                and mine["caption"] == sample["caption"]
                and mine["class_label"] == sample["class_label"]
                for sample in variants
            ]
            assert any(fits)
    assert cached.class_names[1] == "farm"
    assert cached.label_names[0] == "sky"


def test_variants_take_turns_by_chance_in_training_only(cache: Path) -> None:
    train = CachedTokens(cache, "train")
    epochs = [train[3 + epoch * len(train)]["caption"] for epoch in range(20)]
    assert len(set(epochs)) == 2
    val = CachedTokens(cache, "val")
    assert len({val[1 + epoch * len(val)]["caption"] for epoch in range(20)}) == 1


def test_what_was_cut_short_goes_on_and_ends_the_same(
    cache: Path, tokenizer: ImageTokenizer, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop_after_two(shards: Any, count: int) -> Any:
        for done, shard in enumerate(shards):
            if done == 2:
                raise StoppedError
            yield shard

    other = tmp_path / "other"
    with pytest.raises(StoppedError):
        write_cache(other, tokenizer, DATA, track=stop_after_two, **SETTINGS)
    with pytest.raises(RegvqError, match=r"5 of 7 shards are missing .* goes on where it stopped"):
        CachedTokens(other)
    written: list[int] = []
    write_cache(
        other, tokenizer, DATA, track=lambda shards, count: written.append(count) or shards, **SETTINGS
    )
    assert written == [5]
    assert contents(other) == contents(cache)


def test_workers_change_nothing(cache: Path, tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    write_cache(tmp_path / "two", tokenizer, DATA, workers=2, **SETTINGS)
    assert contents(tmp_path / "two") == contents(cache)
    cached = CachedTokens(cache)
    cached[0]  # opens a shard, which a worker must not inherit
    batch = next(iter(DataLoader(cached, batch_size=4, num_workers=1)))
    assert batch["codes"].shape == (4, 4, 4)


@pytest.mark.parametrize("setting", [{"variants": 1}, {"shard_size": 5}, {"seed": 1}])
def test_other_settings_do_not_mix(cache: Path, tokenizer: ImageTokenizer, setting: dict[str, int]) -> None:
    (name,) = setting
    with pytest.raises(RegvqError, match=f"a token cache with another {name}"):
        write_cache(cache, tokenizer, DATA, **{**SETTINGS, **setting})


def test_other_data_of_the_same_length_do_not_mix(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        for number in range(4):
            Image.new("RGB", (16, 16), colour).save(tmp_path / colour / f"{number}.png")
    red, blue = (FolderData(str(tmp_path / colour), size=16) for colour in ("red", "blue"))
    write_cache(tmp_path / "cache", tokenizer, red)
    write_cache(tmp_path / "cache", tokenizer, red)
    with pytest.raises(
        RegvqError, match=r"a token cache with another data \(FolderData\(root='.*red', size=16"
    ):
        write_cache(tmp_path / "cache", tokenizer, blue)


def test_flips_and_crops_are_stored_as_variants(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.fromarray(noise).save(tmp_path / "images" / f"{number}.png")
    data = FolderData(str(tmp_path / "images"), size=32)
    write_cache(tmp_path / "cache", tokenizer, data, variants=4)
    cached, half = CachedTokens(tmp_path / "cache"), data.train(0)
    wanted = [half[variant * len(half)]["image"] for variant in range(4)]
    assert len({image.numpy().tobytes() for image in wanted}) == 4
    seen = {cached[epoch * len(cached)]["codes"].numpy().tobytes() for epoch in range(40)}
    assert seen == {tokenizer.encode(image[None])[0].numpy().tobytes() for image in wanted}


def test_a_cache_of_an_earlier_version_says_what_to_do(cache: Path, tokenizer: ImageTokenizer) -> None:
    header = json.loads((cache / "cache.json").read_text())
    (cache / "cache.json").write_text(json.dumps({**header, "version": 1}))
    with pytest.raises(RegvqError, match=r"of another version: delete .*cache and encode the data again"):
        write_cache(cache, tokenizer, DATA, **SETTINGS)


def test_another_tokenizer_does_not_mix(cache: Path) -> None:
    torch.manual_seed(1)
    stranger = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(300, 6))
    with pytest.raises(RegvqError, match="a token cache with another tokenizer"):
        write_cache(cache, stranger, DATA, **SETTINGS)


def test_a_foreign_folder_is_left_alone(tokenizer: ImageTokenizer, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RegvqError, match="holds no token cache"):
        write_cache(tmp_path, tokenizer, DATA, **SETTINGS)
    with pytest.raises(RegvqError, match="is no token cache"):
        CachedTokens(tmp_path)


def test_a_damaged_cache_names_the_file(cache: Path) -> None:
    shard = shard_path(cache, "val", 0, 0)
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(RegvqError, match=r"val-0-00000\.safetensors is damaged"):
        CachedTokens(cache, "val")[0]
    (cache / "cache.json").write_text("{")
    with pytest.raises(RegvqError, match=r"cache\.json is damaged"):
        CachedTokens(cache)
