"""Shards written by the library webdataset, and read as it reads them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset

from regvq.data import ImageDataModule, WebDatasetData
from regvq.errors import RegvqError
from tests.data.test_hugging_face import encoded

RED, BLUE = (230, 20, 20), (20, 20, 230)
SHARDS, SAMPLES = 4, 6


def write(folder: Path, name: str, first: int = 0, samples: int = SAMPLES, **fields: Any) -> None:
    """A shard of pictures that are red on the left and blue on the right, with the map 1 and 2."""
    folder.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(folder / f"{name}.tar")) as writer:
        for label in range(first, first + samples):
            writer.write(
                {
                    "__key__": f"{label:05d}",
                    "png": encoded(RED, BLUE),
                    "seg.png": encoded(1, 2),
                    "cls": str(label).encode(),
                    "txt": f"picture {label}\nanother sentence\n".encode(),
                    **fields,
                }
            )


def write_all(folder: Path, **fields: Any) -> Path:
    """Several shards."""
    for shard in range(SHARDS):
        write(folder, f"{shard:03d}", shard * SAMPLES, **fields)
    return folder


def data(folder: Path, **options: Any) -> WebDatasetData:
    every = str(folder / "*.tar")
    fields = {"class_label": "cls", "label_map": "seg.png", "caption": "txt"}
    cache = str(folder.parent / "cache")
    return WebDatasetData(every, every, **{"size": 16, "cache": cache, **fields, **options})


def test_reads_what_the_library_reads(tmp_path: Path) -> None:
    folder = write_all(tmp_path / "shards")
    theirs = list(
        webdataset.WebDataset(sorted(map(str, folder.glob("*.tar"))), shardshuffle=False).to_tuple(
            "__key__", "png", "seg.png", "cls", "txt"
        )
    )
    records = data(folder).train(0).records
    assert len(records) == len(theirs) == SHARDS * SAMPLES
    for record, (key, image, labels, label, text) in zip(records, theirs, strict=True):
        assert record.image == image
        assert record.labels is not None
        assert record.labels.content == labels
        assert record.class_label == int(label)
        assert "\n".join(record.captions) == text.decode().strip()
        assert record.name.startswith(f"{key} in {folder}")


@pytest.mark.parametrize("split", ["train", "val"])
def test_picture_and_map_are_cut_alike(tmp_path: Path, split: str) -> None:
    half = data(write_all(tmp_path / "shards"))
    dataset = half.train(0) if split == "train" else half.val()
    for index in range(3 * len(dataset) if split == "train" else len(dataset)):
        sample = dataset[index]
        red = sample["image"][0] > sample["image"][2]
        # At the seam a pixel is a mixture, and goes to either.
        assert (red == (sample["label_map"] == 1)).float().mean() > 0.93
        assert sample["caption"] in (f"picture {sample['class_label']}", "another sentence")


def test_captions_are_known_without_pictures(tmp_path: Path) -> None:
    folder = write_all(tmp_path / "shards", png=b"damaged")
    assert data(folder).train(0).captions(7) == ("picture 7", "another sentence")


@pytest.mark.parametrize("mixed", [1, 2, 16])
def test_an_epoch_shows_all_and_mixes_few_shards_at_a_time(tmp_path: Path, mixed: int) -> None:
    dataset = data(write_all(tmp_path / "shards"), mixed=mixed).train(0)
    order = dataset.share(np.random.default_rng(0), 4, 0, 1)
    assert sorted(order) == list(range(SHARDS * SAMPLES))
    assert not np.array_equal(order, dataset.share(np.random.default_rng(1), 4, 0, 1))
    per_group = min(mixed, SHARDS)
    for group in np.split(order, SHARDS // per_group):
        assert len(set(group // SAMPLES)) == per_group
        assert not np.array_equal(group, np.sort(group))


def test_workers_change_nothing(tmp_path: Path) -> None:
    folder = write_all(tmp_path / "shards")
    alone, helped = (
        list(ImageDataModule(data(folder), batch_size=5, workers=workers).train_dataloader())
        for workers in (0, 2)
    )
    assert len(alone) == len(helped) == SHARDS * SAMPLES // 5
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert one["caption"] == other["caption"]


def test_fewer_shards_than_ranks_and_workers_are_no_matter(tmp_path: Path) -> None:
    write(tmp_path / "shards", "only")
    seen = []
    for rank in range(3):
        module = ImageDataModule(data(tmp_path / "shards"), batch_size=2, val_batch_size=2, workers=2)
        module._rank = lambda rank=rank: (rank, 3)
        seen.append(
            [
                [label for batch in loader for label in batch["class_label"].tolist()]
                for loader in (module.train_dataloader(), module.val_dataloader())
            ]
        )
    for half in zip(*seen, strict=True):
        assert [len(labels) for labels in half] == [2, 2, 2]
        assert sorted(label for labels in half for label in labels) == list(range(SAMPLES))


def test_a_damaged_shard_costs_its_own_pictures_only(tmp_path: Path) -> None:
    folder = write_all(tmp_path / "shards")
    dataset = data(folder, class_label="cls").val()
    third = folder / "002.tar"
    third.write_bytes(third.read_bytes()[:900])
    with pytest.warns(UserWarning, match="skipped"):
        shown = {dataset[index]["class_label"] for index in range(len(dataset))}
    assert shown == set(range(24)) - set(range(12, 18))
    assert len(dataset.damaged) == SAMPLES


def test_the_mark_changes_with_the_images_and_not_with_where_they_lie(tmp_path: Path) -> None:
    mark = data(write_all(tmp_path / "here" / "shards")).val().mark()
    there = write_all(tmp_path / "there" / "shards")
    assert data(there).val().mark() == mark
    fetched = f"pipe:cat '{there}'/{{000..003}}.tar"
    assert WebDatasetData(fetched, fetched, cache=str(tmp_path / "cache")).val().mark() == mark
    third = there / "002.tar"
    before = third.stat().st_size
    write(there, "002", 2 * SAMPLES, png=encoded(RED, BLUE) + b"x")
    assert third.stat().st_size == before  # an archive is filled up
    assert data(there).val().mark() != mark


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    dataset = data(write_all(tmp_path / "shards")).val()
    before = dataset[0]["image"]
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own
    assert torch.equal(copy[0]["image"], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": ("jpg",)}, "has no image: of jpg it has none, but cls, png, seg.png, txt"),
        ({"caption": "text"}, "has no field 'text', but cls, png, seg.png, txt: name one of them"),
        ({"class_label": "txt"}, "which is no number"),
    ],
)
def test_a_missing_field_is_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    dataset = data(write_all(tmp_path / "shards"), **options).val()
    with pytest.raises(RegvqError, match=message):
        dataset.records[0]


@pytest.mark.parametrize("options", [{"mixed": 0}, {"cache_gigabytes": 0.0}])
def test_settings_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(RegvqError, match="give"):
        data(tmp_path, **options)


def test_a_shard_that_lost_samples_after_it_was_counted(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write(folder, "000")
    dataset = data(folder).val()
    write(folder, "000", samples=3)
    fresh = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own; forgets the open shards
    with pytest.raises(RegvqError, match="had 6 samples when they were counted, now 3"):
        fresh.records[5]
