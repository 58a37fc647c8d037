"""Folders that Hugging Face's datasets has saved: columns, splits, and rows that are damaged."""

import io
import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from regvq.data import HuggingFaceData
from regvq.data.hugging_face import TREE
from regvq.errors import RegvqError


def encoded(left: Any, right: Any, width: int = 40, height: int = 32) -> bytes:
    """A PNG whose halves have one value each."""
    pixels = np.empty((height, width, *np.shape(left)), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table(count: int, damaged: int | None = None) -> datasets.Dataset:
    red, blue = (230, 20, 20), (20, 20, 230)
    content = {
        "image": [{"bytes": encoded(red, blue), "path": None} for _ in range(count)],
        "mask": [{"bytes": encoded(1, 2), "path": None} for _ in range(count)],
        "label": [number % 2 for number in range(count)],
        "text": [[f"sentence {number}", "another one"] for number in range(count)],
    }
    if damaged is not None:
        content["image"][damaged]["bytes"] = b"no image"
    features = datasets.Features(
        image=datasets.Image(),
        mask=datasets.Image(),
        label=datasets.ClassLabel(names=["cat", "dog"]),
        text=datasets.List(datasets.Value("string")),
    )
    return datasets.Dataset.from_dict(content, features=features)


def save(folder: Path, count: int, **splits: int) -> Path:
    """A single split, or several by name."""
    data = (
        datasets.DatasetDict({name: table(size) for name, size in splits.items()})
        if splits
        else table(count)
    )
    data.save_to_disk(str(folder))
    return folder


def read(folder: Path, **options: Any) -> HuggingFaceData:
    columns = {"class_label": "label", "label_map": "mask", "caption": "text"}
    return HuggingFaceData(str(folder), size=16, **{**columns, **options})


def test_all_columns_are_read_and_cut_alike(tmp_path: Path) -> None:
    data = read(save(tmp_path, 10), label_names=["none", "left", "right"], val_share=0.2)
    train, val = data.train(seed=0), data.val()
    assert (len(train), len(val)) == (8, 2)
    assert train.class_names == ("cat", "dog")
    assert train.label_names == ("none", "left", "right")
    said = [half.captions(item)[0] for half in (train, val) for item in range(len(half))]
    assert sorted(said) == [f"sentence {number}" for number in range(10)]
    for sample in val:
        assert sample["class_label"] == int(sample["caption"][-1]) % 2
    for index in range(24):
        sample = train[index]
        red = sample["image"][0] > sample["image"][2]
        sharp = (sample["image"][0] - sample["image"][2]).abs() > 1.2
        assert torch.equal((sample["label_map"] == 1)[sharp], red[sharp])


@pytest.mark.parametrize("name", ["validation", "val", "valid", "test"])
def test_splits_are_found_by_their_usual_names(name: str, tmp_path: Path) -> None:
    data = read(save(tmp_path, 0, train=4, **{name: 3}))
    assert (len(data.train(seed=0)), len(data.val())) == (4, 3)


def test_without_a_validation_split_those_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="has the splits train, other, none of validation, val"):
        read(save(tmp_path, 0, train=4, other=3)).val()


def test_a_damaged_row_is_skipped_and_named(tmp_path: Path) -> None:
    table(5, damaged=1).save_to_disk(str(tmp_path))
    data = read(tmp_path, val_share=0.3)
    halves = data.train(seed=0), data.val()
    names = []
    for half in halves:
        said = [half.captions(item) for item in range(len(half))]
        wanted = [one for one in said if one[0] != "sentence 1"]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            captions = [half[item]["caption"] for item in range(len(half))]
        assert set(captions) <= {sentence for one in wanted for sentence in one}
        assert all("as an image" in str(one.message) for one in caught)
        names += half.damaged
    assert len(names) == 1
    assert names[0].endswith(f"of {tmp_path}")


@pytest.mark.parametrize("file", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
def test_a_folder_that_was_saved_by_half_is_told_with_its_tree(file: str, tmp_path: Path) -> None:
    path = save(tmp_path, 0, train=4, validation=3) / "validation" / file
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RegvqError, match="not all of it") as caught:
        read(tmp_path).val()
    assert TREE in str(caught.value)
    path.unlink()
    with pytest.raises(RegvqError, match=f"validation/{file}"):
        read(tmp_path).val()


def test_the_mark_changes_with_the_images_and_not_with_where_they_lie(tmp_path: Path) -> None:
    save(tmp_path / "here", 5)
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "below")
    marks = [
        read(folder).train(seed=0).mark() for folder in (tmp_path / "here", tmp_path / "there" / "below")
    ]
    assert marks[0] == marks[1]
    table(5, damaged=3).save_to_disk(str(tmp_path / "other"))
    assert read(tmp_path / "other").train(seed=0).mark() != marks[0]
    saved_anew = tmp_path / "there" / "below" / "state.json"
    state = json.loads(saved_anew.read_text())
    saved_anew.write_text(json.dumps(state | {"_fingerprint": state["_fingerprint"][::-1]}))
    assert read(saved_anew.parent).train(seed=0).mark() != marks[0]
    saved_anew.write_text(json.dumps(state))
    assert read(saved_anew.parent).train(seed=0).mark() == marks[0]
    (file,) = saved_anew.parent.glob("*.arrow")
    file.write_bytes(file.read_bytes() + b"x")
    assert read(file.parent).train(seed=0).mark() != marks[0]


def test_a_split_without_rows_is_named(tmp_path: Path) -> None:
    save(tmp_path, 0, train=4, val=0)
    with pytest.raises(RegvqError, match=rf"{tmp_path} is no folder .* \(a split has no rows\)") as caught:
        read(tmp_path).train(seed=0)
    assert TREE in str(caught.value)


def test_a_missing_column_folder_or_package_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "data", 4)
    with pytest.raises(RegvqError, match="has no column 'picture', but image, mask, label, text"):
        read(tmp_path / "data", image="picture").train(seed=0)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(RegvqError, match=rf"{folder} is no folder .* save_to_disk") as caught:
            read(folder).train(seed=0)
        assert TREE in str(caught.value)
    with pytest.raises(RegvqError, match="single image"):
        read(save(tmp_path / "one", 1)).train(seed=0)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(RegvqError, match=r"pip install 'regvq\[datasets\]'"):
        read(tmp_path / "data").train(seed=0)
