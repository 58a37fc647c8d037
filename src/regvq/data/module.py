"""The one LightningDataModule: its batches depend on the seed and on how many were trained."""

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from regvq.data.base import ImageData, ImageDataset, Sample, dealt, run_of, size_of
from regvq.errors import RegvqError

GPU_WORKERS = 4
"""Processes that prepare batches for each process that trains on a GPU, where nobody says how many."""


class ImageDataModule(pl.LightningDataModule):
    """Batches of images for a Lightning ``Trainer``.

    Which samples batch number ``n`` of a run holds, and how they are augmented, depends on ``seed``,
    ``batch_size`` and ``n`` alone. ``n`` is read from the trainer's own count of finished batches, which
    its checkpoints hold, so a run that is resumed anywhere sees exactly the batches that it would have
    seen without the interruption: also with workers, whose prefetched batches were never counted. The
    loaders have random generators of their own and leave the global one alone.

    Over several ranks, each global batch is the next ``world_size * batch_size`` samples, of which each
    rank takes its own part; or the next ``batch_size`` of each rank's own samples, where the data set has
    dealt them out (``ImageDataset.share``).

    Args:
        dataset: the training and the validation data.
        batch_size: samples of a training batch on one rank, that is in one process, so that no number of
            processes has to divide it; an epoch's remainder is dropped.
        val_batch_size: samples of a validation batch; over several ranks a few more where they would
            otherwise not have the same number of batches.
        workers: processes that prepare batches; 0 prepares them in the training process. If none is given,
            0 on a CPU, whose cores train, and ``GPU_WORKERS`` (at most the machine's cores) where the
            trainer has a GPU, which would wait for each batch.
        seed: decides the training order and the augmentation; validation does not depend on it.

    Raises:
        RegvqError: a batch size below 1, workers below 0; later, when the loaders are asked for: too few
            samples for one batch.
    """

    def __init__(
        self,
        dataset: ImageData,
        batch_size: int = 16,
        val_batch_size: int = 64,
        workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("val_batch_size", val_batch_size, 1),
            ("workers", 0 if workers is None else workers, 0),
        ):
            if value < least:
                raise RegvqError(f"data.{name} is {value}: give {least} or more")
        self.dataset = dataset
        self.batch_size = batch_size
        self.val_batch_size = val_batch_size
        self.workers = workers
        self.seed = seed

    @property
    def worker_count(self) -> int:
        """Processes that prepare batches under the trainer that there is; 0 is this process."""
        if self.workers is not None:
            return self.workers
        if self.trainer is None or self.trainer.strategy.root_device.type == "cpu":
            return 0
        return min(GPU_WORKERS, os.cpu_count() or 1)

    @cached_property
    def train_dataset(self) -> Dataset[Sample]:
        """The training data, made when first asked for."""
        return self.dataset.train(self.seed)

    @cached_property
    def val_dataset(self) -> Dataset[Sample]:
        """The validation data, made when first asked for."""
        dataset = self.dataset.val()
        if size_of(dataset) == 0:
            raise RegvqError("the validation data is empty: give it at least one image")
        return dataset

    def train_dataloader(self) -> DataLoader[Sample]:
        """Training batches from where the trainer stands (from the start, where there is none)."""
        dataset = self.train_dataset
        rank, ranks = self._rank()
        if size_of(dataset) < self.batch_size * ranks:
            raise RegvqError(
                f"{size_of(dataset)} training images do not fill one batch of {self.batch_size} "
                f"on {ranks} rank(s): lower data.batch_size or add images"
            )
        order = TrainingOrder(dataset, self.batch_size, self.seed, rank, ranks, self._batches_trained)
        return ResumableLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=order,
            drop_last=True,
            **self._loader_options(),
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """All validation batches in order; over several ranks each takes its share, every image once."""
        dataset = self.val_dataset
        rank, ranks = self._rank()
        order = ValidationOrder(dataset, rank, ranks)
        size = even_batches(size_of(dataset), self.val_batch_size, ranks)
        return DataLoader(dataset, batch_size=size, sampler=order, **self._loader_options())

    def state_dict(self) -> dict[str, Any]:
        """What the order of the batches depends on, kept in checkpoints so that a resume can check it."""
        return self._order_facts()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Checks that a resumed run goes on with the batches of the interrupted one.

        Raises:
            RegvqError: something that decides the order has changed.
        """
        for name, now in self._order_facts().items():
            before = state_dict.get(name, now)
            if before != now:
                raise RegvqError(
                    f"the checkpoint was trained with {name} {before}, this run has {now}: "
                    "resume with the same data settings, or start a new run"
                )

    def _order_facts(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "seed": self.seed,
            "training images": size_of(self.train_dataset),
            "ranks": self._rank()[1],
        }

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.worker_count,
            "persistent_workers": self.worker_count > 0,
            "pin_memory": torch.cuda.is_available(),
            # A loader without a generator draws its workers' seed from the global one at every pass, and
            # a resumed run, which makes one pass more, would train on different noise.
            "generator": torch.Generator().manual_seed(self.seed),
        }

    def _rank(self) -> tuple[int, int]:
        """Rank of this process and the number of ranks."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _batches_trained(self) -> int:
        """Batches that the trainer has finished in this run, those before a resume included."""
        # `processed` and not `ready`: a batch that was fetched but not trained is due again.
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress if self.trainer else None
        return progress.total.processed if progress else 0


class TrainingOrder(DistributedSampler[int]):
    """One rank's training indices, from the batch on that is due.

    Epoch ``e`` is a permutation of the data set that depends on ``(seed, e)``; of the data set's length
    only whole global batches are used. Where the data set is an ``ImageDataset``, indices carry the epoch
    (``e * len + item``), so that augmentation differs from epoch to epoch, and it chooses the permutation
    and what of it is this rank's.

    It is a ``DistributedSampler`` so that Lightning, seeing that the ranks are already taken care of,
    leaves it in place.

    Args:
        dataset: the training data.
        batch_size: samples of a batch on one rank.
        seed: decides the permutations.
        rank: this process's number.
        ranks: the number of processes.
        batches_trained: called at the start of every pass; tells the number of batches done in all.
    """

    def __init__(
        self,
        dataset: Dataset[Sample],
        batch_size: int,
        seed: int,
        rank: int,
        ranks: int,
        batches_trained: Callable[[], int],
    ) -> None:
        super().__init__(dataset, num_replicas=ranks, rank=rank, seed=seed, drop_last=True)
        self.batch_size = batch_size
        self.batches_trained = batches_trained
        self.items = size_of(dataset)
        self.batches = self.items // (batch_size * ranks)
        self.images = dataset if isinstance(dataset, ImageDataset) else None

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        # A whole epoch's worth even when it begins in the middle of one: the trainer stops asking at the
        # epoch's end, and batches that were prepared beyond it are made again for the next pass.
        start = self.batches_trained()
        for batch in range(start, start + self.batches):
            yield from self._batch(*divmod(batch, self.batches))

    def _batch(self, epoch: int, batch: int) -> list[int]:
        first = batch * self.batch_size
        items = self._share(epoch)[first : first + self.batch_size]
        shift = epoch * self.items if self.images else 0
        return [int(item) + shift for item in items]

    def _share(self, epoch: int) -> np.ndarray:
        if self._cached_epoch != epoch:
            self._cached_epoch = epoch
            rng = np.random.default_rng((self.seed, epoch))
            place = self.batch_size, self.rank, self.num_replicas
            self._cached = (
                self.images.share(rng, *place)
                if self.images
                else dealt(rng.permutation(self.items), *place)
            )
        return self._cached

    _cached_epoch = -1
    _cached: np.ndarray


class ValidationOrder(DistributedSampler[int]):
    """One rank's validation items: those that follow each other, so that few ranks open the same shard.

    Each is seen once; torch's own sampler repeats some where the ranks do not divide the images. It is a
    ``DistributedSampler`` for the same reason as ``TrainingOrder``.

    Args:
        dataset: the validation data.
        rank: this process's number.
        ranks: the number of processes.

    Raises:
        RegvqError: a rank would have none.
    """

    def __init__(self, dataset: Dataset[Sample], rank: int, ranks: int) -> None:
        if size_of(dataset) < ranks:
            raise RegvqError(
                f"{size_of(dataset)} validation image(s) do not give each of {ranks} ranks one: add images"
            )
        super().__init__(dataset, num_replicas=ranks, rank=rank, shuffle=False)
        self.items = run_of(size_of(dataset), rank, ranks)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[int]:
        return iter(self.items)


def even_batches(items: int, batch_size: int, ranks: int) -> int:
    """The least batch size from ``batch_size`` on at which all ranks have as many validation batches.

    Where a model is split up over the ranks, each waits for the others in every batch.

    Args:
        items: dealt out to the ranks evenly, at least ``ranks``.
        batch_size: that is wanted.
        ranks: number of processes.
    """
    least, left_over = divmod(items, ranks)
    while left_over and least % batch_size == 0:
        batch_size += 1  # some ranks would have a batch for their one item more
    return batch_size


class ResumableLoader(DataLoader[Sample]):
    """A ``DataLoader`` whose resuming Lightning need not warn about.

    Lightning tells resumable loaders by these two methods. There is nothing to restore: the sampler asks
    the trainer where it stands.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing; see the class."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing; see the class."""
