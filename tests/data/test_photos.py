"""Crops of the sample photographs: where they lie, and that validation is never trained on."""

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from regvq.data import Photos, PhotosData, photos
from regvq.errors import RegvqError


def covered(dataset: Photos, crops: list[photos.Crop]) -> list[np.ndarray]:
    masks = [np.zeros(photo.shape[1:], dtype=bool) for photo in photos.photographs()]
    for crop in crops:
        assert crop.top >= 0
        assert crop.left >= 0
        assert crop.top + crop.size <= masks[crop.photo].shape[0]
        assert crop.left + crop.size <= masks[crop.photo].shape[1]
        masks[crop.photo][crop.top : crop.top + crop.size, crop.left : crop.left + crop.size] = True
    return masks


@pytest.mark.parametrize("size", [32, 96])
def test_no_validation_pixel_is_in_a_training_crop(size: int) -> None:
    train, val = Photos("train", size), Photos("val", size)
    trained = covered(train, [train.random_crop(np.random.default_rng(i)) for i in range(8000)])
    kept = covered(val, [val.even_crop(i) for i in range(len(val))])
    for seen, held in zip(trained, kept, strict=True):
        assert not (seen & held).any()
        # What is compared is not next to nothing.
        assert seen.mean() > 0.45
        assert held.mean() > 0.05


def test_training_regions_end_where_validation_begins() -> None:
    train, val = Photos("train"), Photos("val")
    for photo, (left, right) in enumerate(train._regions):
        (held,) = val._regions[photo]
        height, width = train._photos[photo].shape[1:]
        assert (left.left, left.right, held.left, held.right) == (0, held.left, left.right, right.left)
        assert right.right == width
        assert {left.bottom, right.bottom, held.bottom} == {height}


def test_the_crop_is_cut_from_its_place() -> None:
    dataset = Photos("val", 8)
    crop = photos.Crop(photo=2, top=5, left=7, size=8)
    pixels = photos.photographs()[2][:, 5:13, 7:15]
    torch.testing.assert_close(dataset.cut(crop), pixels.float() / 127.5 - 1)
    mirrored = dataset.cut(photos.Crop(2, 5, 7, 8, flip=True))
    assert torch.equal(mirrored.flip(2), dataset.cut(crop))


def test_every_position_of_a_training_region_can_be_drawn() -> None:
    class Fixed:
        def __init__(self, offset: float) -> None:
            self.offset = offset

        def random(self, _: int) -> list[float]:
            return [0.0, self.offset, 0.9]

    dataset = Photos("train", 32)
    _, right = dataset._regions[0]
    first: Any = Fixed(0.0)
    last: Any = Fixed(1 - 1e-12)
    assert dataset.random_crop(first) == photos.Crop(0, 0, 0, 32)
    assert dataset.random_crop(last) == photos.Crop(0, right.bottom - 32, right.right - 32, 32)


def test_samples_depend_on_seed_and_index_alone() -> None:
    first, second, other = Photos(seed=3), Photos(seed=3), Photos(seed=4)
    assert torch.equal(first[11]["image"], second[11]["image"])
    assert not torch.equal(first[11]["image"], other[11]["image"])
    assert not torch.equal(first[11]["image"], first[11 + len(first)]["image"])
    assert torch.equal(Photos("val", seed=3)[5]["image"], Photos("val", seed=4)[5]["image"])


def test_photographs_take_part_alike() -> None:
    train, val = Photos("train"), Photos("val")
    drawn = [train.random_crop(np.random.default_rng((0, i))).photo for i in range(2000)]
    assert np.bincount(drawn, minlength=10).min() > 150
    assert np.bincount([val.even_crop(i).photo for i in range(1000)]).tolist() == [100] * 10


def test_validation_is_large_enough_for_a_thousand_codes() -> None:
    tokens = len(Photos("val", 32)) * 8 * 8
    assert tokens >= 64 * 1024


def test_images_are_in_range_and_sized() -> None:
    for split in ("train", "val"):
        sample = Photos(split, 48, length=3)[2]["image"]
        assert sample.shape == (3, 48, 48)
        assert sample.dtype == torch.float32
        assert sample.min() >= -1
        assert sample.max() <= 1


def test_the_pair_shares_its_settings() -> None:
    data = PhotosData(size=16, train_length=9, val_length=4)
    train, val = data.train(seed=5), data.val()
    assert (train.split, train.size, len(train), train.seed) == ("train", 16, 9, 5)
    assert (val.split, val.size, len(val)) == ("val", 16, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "splits train and val, not 'test'"),
        ({"size": 0}, "size and length of at least 1"),
        ({"length": 0}, "size and length of at least 1"),
        ({"size": 5000}, "no photograph has room for crops of 5000 pixels"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RegvqError, match=message):
        Photos(**options)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    photos.photographs.cache_clear()
    with pytest.raises(RegvqError, match=r"package skimage: pip install 'regvq\[demo\]'"):
        Photos()
