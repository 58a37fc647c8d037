"""Published data sets: a miniature of every layout is written and read back."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from regvq.data.layouts import CelebAMaskHQData, ClassFoldersData, CUB200Data
from regvq.data.layouts.celeba_mask_hq import FaceParts
from regvq.errors import RegvqError
from tests.support.miniatures import MINIATURES, Miniature

SEEN = [pytest.param(miniature, id=name) for name, miniature in MINIATURES.items()]
NAMED = [
    pytest.param(miniature, id=name)
    for name, miniature in MINIATURES.items()
    if miniature.kind is not ClassFoldersData
]
"""Data sets that know the names of their files; class folders may lack any file."""
CUB_TABLES = ("images.txt", "image_class_labels.txt", "classes.txt", "train_test_split.txt")
MAPPED = [pytest.param(m, id=name) for name, m in MINIATURES.items() if m.left is not None]


@pytest.mark.parametrize("miniature", SEEN)
def test_both_halves_are_read_back(miniature: Miniature, tmp_path: Path) -> None:
    miniature.write(tmp_path)
    data = miniature.data(tmp_path)
    halves = data.train(seed=0), data.val()
    if miniature.kind.__name__ != "ClassFoldersData" or "val_share" not in miniature.options:
        assert tuple(map(len, halves)) == miniature.sizes
    assert sum(map(len, halves)) == sum(miniature.sizes)
    for half in halves:
        for sample in half:
            image = sample["image"]
            assert image.shape == (3, 16, 16)
            assert image.dtype == torch.float32
            assert image.abs().max() <= 1
            if "class_label" in sample:
                assert half.class_names[sample["class_label"]]
            if "label_map" in sample:
                assert sample["label_map"].shape == (16, 16)
                assert sample["label_map"].max() < len(half.label_names)


@pytest.mark.parametrize("miniature", SEEN)
def test_no_image_is_in_both_halves(miniature: Miniature, tmp_path: Path) -> None:
    miniature.write(tmp_path)
    data = miniature.data(tmp_path)
    train, val = ({record.image for record in data.records(split)} for split in ("train", "val"))
    assert not train & val


@pytest.mark.parametrize("miniature", MAPPED)
def test_a_label_map_is_cut_like_its_image(miniature: Miniature, tmp_path: Path) -> None:
    miniature.write(tmp_path)
    data = miniature.data(tmp_path, size=20)
    mirrored = 0
    for half, epochs in ((data.train(seed=0), 8), (data.val(), 1)):
        for index in range(epochs * len(half)):
            sample = half[index]
            red = sample["image"][0] > sample["image"][2]
            # Away from the edge between the halves, where JPEG and the bicubic filter blur.
            sharp = (sample["image"][0] - sample["image"][2]).abs() > 1.2
            assert sharp.float().mean() > 0.6
            labels = sample["label_map"]
            left = miniature.left
            is_mirrored = bool(red[0, -1]) and not bool(red[0, 0])
            if is_mirrored and miniature.kind is CelebAMaskHQData:
                left = 5  # what was the left eye is the right one in a mirror
            assert torch.equal((labels == left)[sharp], red[sharp])
            assert torch.equal((labels == miniature.right)[sharp], ~red[sharp])
            mirrored += is_mirrored
    assert mirrored > 0


@pytest.mark.parametrize("miniature", MAPPED)
def test_a_label_map_is_that_of_its_image(miniature: Miniature, tmp_path: Path) -> None:
    miniature.write(tmp_path)
    data = miniature.data(tmp_path)
    for record in (*data.records("train"), *data.records("val")):
        if isinstance(record.labels, FaceParts):
            assert f"{record.labels.face}.jpg" == record.image.name
        else:
            assert record.labels.path.stem == record.image.stem


@pytest.mark.parametrize("miniature", NAMED)
def test_a_file_that_is_missing_is_named_with_the_tree(miniature: Miniature, tmp_path: Path) -> None:
    needed = miniature.write(tmp_path / "whole")
    assert needed
    for file in needed:
        shutil.copytree(tmp_path / "whole", tmp_path / "part")
        (tmp_path / "part" / file.relative_to(tmp_path / "whole")).unlink()
        data = miniature.data(tmp_path / "part")
        with pytest.raises(RegvqError) as caught:
            _ = data.train(seed=0), data.val()
        assert file.name in str(caught.value)
        assert miniature.kind.tree in str(caught.value)
        shutil.rmtree(tmp_path / "part")


@pytest.mark.parametrize("miniature", SEEN)
def test_an_empty_folder_and_none_at_all(miniature: Miniature, tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(RegvqError, match=f"(?s)should lie in {root} like this:"):
            miniature.data(root).train(seed=0)


@pytest.mark.parametrize("miniature", SEEN)
def test_the_archive_s_own_folder_may_be_the_root(miniature: Miniature, tmp_path: Path) -> None:
    miniature.write(tmp_path)
    inner = miniature.data(tmp_path / miniature.kind.folder)
    assert len(inner.records("train")) == len(miniature.data(tmp_path).records("train"))


@pytest.mark.parametrize("table", CUB_TABLES)
@pytest.mark.parametrize("kept", ["without its last line", "cut in its last line"])
def test_a_table_of_birds_that_was_cut_short_is_named(table: str, kept: str, tmp_path: Path) -> None:
    MINIATURES["cub-200"].write(tmp_path)
    path = tmp_path / "CUB_200_2011" / table
    *lines, last = path.read_text().splitlines()
    path.write_text("\n".join([*lines, *([last.split()[0]] if kept.startswith("cut") else [])]))
    with pytest.raises(RegvqError, match=table) as caught:
        CUB200Data(str(tmp_path)).train(seed=0)
    assert CUB200Data.tree in str(caught.value)


@pytest.mark.parametrize(
    ("name", "table", "kept"),
    [
        ("ade20k", "objectInfo150.txt", 1),
        ("celeba-mask-hq", "CelebA-HQ-to-CelebA-mapping.txt", 1),
        ("imagenet", "LOC_val_solution.csv", 1),
        *(("cub-200", table, 0) for table in CUB_TABLES),
        ("imagenet", "LOC_synset_mapping.txt", 0),
        ("imagenet", "ILSVRC/ImageSets/CLS-LOC/train_cls.txt", 0),
    ],
)
def test_a_table_without_rows_is_named_with_the_tree(
    name: str, table: str, kept: int, tmp_path: Path
) -> None:
    miniature = MINIATURES[name]
    miniature.write(tmp_path)
    path = tmp_path / miniature.kind.folder / table
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))
    with pytest.raises(RegvqError, match="cut short") as caught:
        _ = miniature.data(tmp_path).train(seed=0), miniature.data(tmp_path).val()
    assert str(path) in str(caught.value)
    assert miniature.kind.tree in str(caught.value)


@pytest.mark.parametrize("rows", ["wall\twall", "2\tbuilding", "1\twall\n3\tsky"])
def test_a_table_of_labels_without_their_numbers_is_named(rows: str, tmp_path: Path) -> None:
    miniature = MINIATURES["ade20k"]
    path = miniature.write(tmp_path)[-1]
    path.write_text(f"Idx\tName\n{rows}\n")
    with pytest.raises(RegvqError, match=rf"{path} does not name the labels 1, 2, 3") as caught:
        miniature.data(tmp_path).val()
    assert miniature.kind.tree in str(caught.value)


def test_a_damaged_label_map_takes_its_image_along(tmp_path: Path) -> None:
    miniature = MINIATURES["camvid"]
    for file in miniature.write(tmp_path)[1:3]:
        file.write_bytes(file.read_bytes()[:60])
    half = miniature.data(tmp_path).train(seed=0)
    with pytest.warns(UserWarning, match="cannot be read as a label map"):
        samples = list(half)
    assert len(samples) == 3
    assert [Path(name).stem for name in half.damaged] == ["00001", "00002"]


def test_a_label_map_of_another_shape_is_not_of_this_image(tmp_path: Path) -> None:
    miniature = MINIATURES["ade20k"]
    first = miniature.write(tmp_path)[0]
    shutil.copy(first, first.with_suffix(".bak"))
    with Image.open(first) as image:
        image.crop((0, 0, 30, 40)).save(first)
    with pytest.warns(UserWarning, match="another shape than its image has"):
        miniature.data(tmp_path).train(seed=0)[0]


@pytest.mark.parametrize(("split", "flag"), [("train", "0"), ("val", "1")])
def test_birds_of_one_half_alone_are_told_with_the_table_and_the_tree(
    split: str, flag: str, tmp_path: Path
) -> None:
    MINIATURES["cub-200"].write(tmp_path)
    path = tmp_path / "CUB_200_2011" / "train_test_split.txt"
    path.write_text("".join(f"{number} {flag}\n" for number in (1, 2, 3)))
    with pytest.raises(RegvqError, match=rf"{path} names no {split} image") as caught:
        _ = CUB200Data(str(tmp_path)).train(seed=0), CUB200Data(str(tmp_path)).val()
    assert CUB200Data.tree in str(caught.value)


def test_birds_have_a_sentence_by_lot_in_training_and_the_first_in_validation(tmp_path: Path) -> None:
    MINIATURES["cub-200"].write(tmp_path)
    data = CUB200Data(str(tmp_path), size=16)
    train = data.train(seed=0)
    assert {train[index]["caption"] for index in range(40)} == {"a red bird.", "a blue bird."}
    assert [sample["caption"] for sample in data.val()] == ["a red bird."]
    assert train.class_names == ("Black footed Albatross", "Laysan Albatross")
    assert [record.class_label for record in train.records] == [0, 1]


def test_a_picture_whose_caption_names_a_side_is_not_mirrored(tmp_path: Path) -> None:
    MINIATURES["cub-200"].write(tmp_path)
    for file in (tmp_path / "text_c10").rglob("*.txt"):
        file.write_text("a bird that looks to the left\n")
    train = CUB200Data(str(tmp_path), size=20).train(seed=0)
    assert all(bool(train[index]["image"][0, 0, 0] > 0) for index in range(40))
