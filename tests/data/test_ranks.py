"""Shards that several ranks read: each its own, in training, in validation and to count them."""

import bisect
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from regvq.data import ImageDataModule, WebDatasetData
from regvq.data.annotated import AnnotatedImages
from regvq.data.module import TrainingOrder
from tests.data.shards.test_webdataset_data import data, write
from tests.support.ranks import run_on_ranks

UNEVEN = (5, 1, 9, 3, 7, 2)
"""Samples of shards."""


def write_uneven(folder: Path) -> Path:
    for shard, samples in enumerate(UNEVEN):
        write(folder, f"{shard:03d}", sum(UNEVEN[:shard]), samples)
    return folder


def opened(dataset: AnnotatedImages, items: Iterable[int]) -> list[int]:
    """The shards that items lie in, each once."""
    ends = list(itertools.accumulate(UNEVEN))
    return sorted({bisect.bisect_right(ends, item % len(dataset)) for item in items})


@pytest.mark.parametrize("ranks", [2, 3, 9])
def test_ranks_read_shards_of_their_own(tmp_path: Path, ranks: int) -> None:
    dataset = data(write_uneven(tmp_path / "shards"), mixed=4).train(0)
    orders = [TrainingOrder(dataset, 1, 0, rank, ranks, lambda: 0) for rank in range(ranks)]
    returns = 0  # to a shard after samples of another
    for epoch in range(3):
        shares = [dataset.share(np.random.default_rng((0, epoch)), 1, rank, ranks) for rank in range(ranks)]
        assert sorted(np.concatenate(shares)) == list(range(sum(UNEVEN)))
        # A cut between two runs lets one shard be read twice.
        assert sum(len(opened(dataset, share)) for share in shares) <= len(UNEVEN) + ranks - 1
        for share, order in zip(shares, orders, strict=True):
            assert len(share) - sum(UNEVEN) // ranks in (0, 1)
            batches = [order._batch(epoch, batch) for batch in range(order.batches)]
            shown = [item - epoch * len(dataset) for batch in batches for item in batch]
            assert shown == share[: len(shown)].tolist()
            parts = list(itertools.groupby(share, lambda item: opened(dataset, [item])))
            returns += len(parts) - len(opened(dataset, share))
    # Four shards are mixed by all ranks together: two by each of two or three, and one by each of nine.
    assert (returns > 0) == (ranks < 4)


def an_epoch_of_a_machine(rank: int, folder: Path) -> list[list[str]]:
    """Shards that a rank fetches into a cache of its own: to count, to train on, to count once more."""
    log = folder / f"fetched-{rank}"
    shards = [f"{number:03d}" for number in range(len(UNEVEN))]
    # The log is not part of the address: one that differs would be another shard.
    os.environ["FETCHED"] = str(log)
    address = f"pipe:echo NAME >> $FETCHED; cat '{folder}/shards/NAME.tar'"
    pattern = "::".join(address.replace("NAME", name) for name in shards)
    made = WebDatasetData(pattern, pattern, size=16, cache=str(folder / f"cache-{rank}"), class_label="cls")
    found = []
    module = ImageDataModule(made, batch_size=2)
    module._rank = lambda: (rank, 2)
    for step in (lambda: module.train_dataset, lambda: list(module.train_dataloader()), lambda: made.val()):
        log.write_text("")
        step()
        found.append(log.read_text().split())
    return found


def test_a_machine_fetches_what_its_ranks_read(tmp_path: Path) -> None:
    write_uneven(tmp_path / "shards")
    (tmp_path / "ranks").mkdir()
    first, second = run_on_ranks(an_epoch_of_a_machine, tmp_path / "ranks", tmp_path)
    assert sorted(first[0] + second[0]) == [f"{number:03d}" for number in range(len(UNEVEN))]  # each by one
    assert len(first[0]) == len(second[0])
    assert first[2] == second[2] == []
    dataset = data(tmp_path / "shards").train(0)
    for rank, fetched in enumerate((first, second)):
        share = dataset.share(np.random.default_rng((0, 0)), 2, rank, 2)[: sum(UNEVEN) // 4 * 2]
        wanted = {f"{shard:03d}" for shard in opened(dataset, share)}
        assert wanted >= {*fetched[1]} >= wanted - {*fetched[0]}
        assert len(wanted) < len(UNEVEN)
