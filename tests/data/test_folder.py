"""The user's own folder: splits, crops, and files that are small, broken or gone."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from regvq.data import FolderData, ImageFolder
from regvq.data.images import load_image
from regvq.errors import RegvqError


def fill(root: Path, count: int, width: int = 24, height: int = 20) -> list[Path]:
    """Images whose left half is red and whose right half is blue, in two subfolders."""
    files = []
    for number in range(count):
        file = root / ("even" if number % 2 == 0 else "odd") / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (width, height), (255, 0, number))
        image.paste((0, number, 255), (width // 2, 0, width, height))
        image.save(file)
        files.append(file)
    return files


def test_every_file_is_in_one_split(tmp_path: Path) -> None:
    files = fill(tmp_path, 60)
    train, val = (ImageFolder(tmp_path, split, 16, val_share=0.25) for split in ("train", "val"))
    assert sorted(train.files + val.files) == sorted(files)
    assert 5 <= len(val) <= 25


def test_files_stay_where_they_are_when_others_come(tmp_path: Path) -> None:
    fill(tmp_path, 30)
    before = set(ImageFolder(tmp_path, "val", 16, val_share=0.3).files)
    fill(tmp_path, 60)
    after = set(ImageFolder(tmp_path, "val", 16, val_share=0.3).files)
    assert before < after
    assert not after & set(ImageFolder(tmp_path, "train", 16, val_share=0.3).files)


def test_the_split_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for root in (tmp_path / "here", tmp_path / "there" / "below"):
        fill(root, 20)
    names = [
        [file.name for file in ImageFolder(root, "val", 16, val_share=0.4).files]
        for root in (tmp_path / "here", tmp_path / "there" / "below")
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("val_share", [0.001, 0.999])
def test_neither_split_is_empty(tmp_path: Path, val_share: float) -> None:
    fill(tmp_path, 2)
    for split in ("train", "val"):
        assert len(ImageFolder(tmp_path, split, 16, val_share=val_share)) == 1


def test_validation_shows_the_middle(tmp_path: Path) -> None:
    fill(tmp_path, 2, width=40, height=20)
    image = ImageFolder(tmp_path, "val", 20)[0]["image"]
    assert image.shape == (3, 20, 20)
    assert (image[0, :, :10] == 1).all()
    assert (image[2, :, 10:] == 1).all()


def test_training_crops_vary_with_index_epoch_and_seed_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    data = FolderData(str(tmp_path), size=16)
    dataset = data.train(seed=1)
    first = dataset[0]["image"]
    assert torch.equal(first, data.train(seed=1)[0]["image"])
    assert not torch.equal(first, dataset[len(dataset)]["image"])
    assert not torch.equal(first, data.train(seed=2)[0]["image"])
    assert torch.equal(data.val()[0]["image"], data.val()[1]["image"])


def test_a_crop_of_the_images_own_size_is_the_image_or_its_mirror(tmp_path: Path) -> None:
    fill(tmp_path, 2, 16, 16)
    dataset = ImageFolder(tmp_path, "train", 16)
    whole = load_image(dataset.files[0])
    drawn = [dataset[epoch]["image"] for epoch in range(40)]
    mirrored = [torch.equal(image, whole.flip(2)) for image in drawn]
    assert all(mirror or torch.equal(image, whole) for mirror, image in zip(mirrored, drawn, strict=True))
    assert 5 < sum(mirrored) < 35
    unflipped = ImageFolder(tmp_path, "train", 16, flip=False)
    assert all(torch.equal(unflipped[epoch]["image"], whole) for epoch in range(20))


def test_values_stay_in_range_when_resized(tmp_path: Path) -> None:
    fill(tmp_path, 3, 90, 70)
    dataset = ImageFolder(tmp_path, "train", 16)
    for index in range(10):
        image = dataset[index]["image"]
        assert image.shape == (3, 16, 16)
        assert image.min() >= -1
        assert image.max() <= 1


def test_large_jpegs_are_decoded_smaller_but_not_too_small(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480)).save(tmp_path / "a.jpg")
    assert load_image(tmp_path / "a.jpg", enough=60).shape == (3, 60, 80)
    assert load_image(tmp_path / "a.jpg", enough=61).shape == (3, 120, 160)
    assert load_image(tmp_path / "a.jpg").shape == (3, 480, 640)


def test_small_images_are_scaled_up_with_one_counted_warning(tmp_path: Path) -> None:
    fill(tmp_path, 6, 24, 20)
    with pytest.warns(
        UserWarning, match=r"[1-5] of [1-5] train images are smaller than 32 pixels"
    ) as caught:
        dataset = ImageFolder(tmp_path, "train", 32)
    assert len(caught) == 1
    assert dataset[0]["image"].shape == (3, 32, 32)


def test_very_long_images_do_not_grow(tmp_path: Path) -> None:
    fill(tmp_path, 2, 30_000, 1)
    with pytest.warns(UserWarning, match="smaller than 64"):
        dataset = ImageFolder(tmp_path, "train", 64)
    assert dataset[0]["image"].shape == (3, 64, 64)


def test_bad_headers_are_skipped_with_one_counted_warning(tmp_path: Path) -> None:
    files = fill(tmp_path, 40)
    train = ImageFolder(tmp_path, "train", 16).files
    for file in train[:3]:
        file.write_bytes(b"no image")
    with pytest.warns(
        UserWarning, match=rf"3 of {len(train)} train images are skipped.*{train[0].name}"
    ) as caught:
        dataset = ImageFolder(tmp_path, "train", 16)
    assert len(caught) == 1
    assert dataset.files == train[3:]
    assert len(files) == 40


def test_damage_found_while_reading_is_replaced_by_the_next_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    dataset = ImageFolder(tmp_path, "train", 32, flip=False)
    expected = dataset[0]["image"]
    last = dataset.files[-1]
    last.write_bytes(last.read_bytes()[:500])
    dataset = ImageFolder(tmp_path, "train", 32, flip=False)
    with pytest.warns(UserWarning, match=f"{last.name} as an image.*skipped"):
        replaced = dataset[len(dataset) - 1]["image"]
    assert torch.equal(replaced, expected)
    assert dataset.damaged == [str(last)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset[len(dataset) - 1]


def test_when_every_file_is_gone(tmp_path: Path) -> None:
    fill(tmp_path, 5)
    dataset = ImageFolder(tmp_path, "train", 16)
    for file in dataset.files:
        file.unlink()
    with (
        pytest.warns(UserWarning, match="there is no file"),
        pytest.raises(RegvqError, match="can be read any more"),
    ):
        dataset[0]


def test_all_files_unreadable(tmp_path: Path) -> None:
    for file in fill(tmp_path, 5):
        file.write_bytes(b"no image")
    with pytest.raises(RegvqError, match=r"none of the \d train images in .* can be read"):
        ImageFolder(tmp_path, "train", 16)


def test_bad_folders_and_arguments(tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="does not exist"):
        ImageFolder(tmp_path / "missing")
    with pytest.raises(RegvqError, match="no image in"):
        ImageFolder(tmp_path)
    fill(tmp_path, 1)
    with pytest.raises(RegvqError, match="holds a single image"):
        ImageFolder(tmp_path)
    fill(tmp_path, 3)
    for options, message in [
        ({"size": 0}, "size is 0"),
        ({"val_share": 1.0}, "val_share is 1.0"),
        ({"split": "test"}, "splits train and val, not 'test'"),
    ]:
        with pytest.raises(RegvqError, match=message):
            ImageFolder(tmp_path, **options)
