"""Images in tar shards as a data set."""

import bisect
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regvq.data.annotated import AnnotatedData, AnnotatedImages, Record, RecordSource, Split
from regvq.data.base import run_of
from regvq.data.label_files import EncodedMap
from regvq.data.shards.addresses import expand
from regvq.data.shards.shard_store import ShardStore
from regvq.errors import RegvqError

CACHE = "~/.cache/regvq/shards"


class WebDatasetData(AnnotatedData):
    """Tar shards in the form of WebDataset: here, at any address that fsspec knows, or out of a command.

    Shards elsewhere are copied to this machine when they are first read; all of them are read once in the
    beginning, to count their samples, and the counts are kept. So every image is shown exactly once an
    epoch, and a run goes on exactly where it stopped. An epoch takes the shards in a random order and mixes
    the samples of ``mixed`` shards at a time, so that few need lie here at once. Ranks read shards of their
    own, but for those at the borders between them, and share the counting of what lies elsewhere.

    ``train`` and ``val`` are patterns: ``shards/train-{000..127}.tar``, ``shards/*.tar``,
    ``s3://bucket/{00..63}.tar``, ``pipe:ssh host cat {00..63}.tar``; several with ``::`` between them. A
    command behind ``pipe:`` is run by the shell.

    Args:
        train: shards to train on.
        val: shards to validate on.
        size: side of the pictures in pixels.
        flip: whether half of the training pictures are mirrored left to right.
        image: fields that an image is looked for in, in this order.
        class_label: field of class numbers, or none; usually ``cls``.
        label_map: field of images whose pixels are label numbers, or none; for example ``seg.png``.
        caption: field of sentences, or none; usually ``txt``. Each line is one.
        class_names: of the class numbers.
        label_names: of the label numbers.
        mixed: shards whose samples are mixed, over all ranks; each mixes at least one.
        cache: folder of the copies and counts.
        cache_gigabytes: space that the copies may take (1e9 bytes each); no limit if none is given.

    Raises:
        RegvqError: ``mixed`` or the space is not positive; later, when the data is asked for: a shard
            cannot be fetched or read.
    """

    def __init__(
        self,
        train: str,
        val: str,
        size: int = 256,
        flip: bool = True,
        image: tuple[str, ...] = ("jpg", "jpeg", "png", "webp"),
        class_label: str | None = None,
        label_map: str | None = None,
        caption: str | None = None,
        class_names: tuple[str, ...] = (),
        label_names: tuple[str, ...] = (),
        mixed: int = 16,
        cache: str = CACHE,
        cache_gigabytes: float | None = None,
    ) -> None:
        if mixed < 1:
            raise RegvqError(f"mixed is {mixed}: give 1 shard at least")
        if cache_gigabytes is not None and cache_gigabytes <= 0:
            raise RegvqError(f"cache_gigabytes is {cache_gigabytes}: give a positive number, or none")
        self.patterns: dict[Split, str] = {"train": train, "val": val}
        self.size = size
        self.flip = flip
        self.fields = Fields(
            tuple(name.lower() for name in image),
            *(name and name.lower() for name in (class_label, label_map, caption)),
        )
        self.class_names = tuple(class_names)
        self.label_names = tuple(label_names)
        self.mixed = mixed
        self.cache = cache
        self.cache_gigabytes = cache_gigabytes

    def half(self, split: Split, seed: int) -> AnnotatedImages:
        """See ``AnnotatedData``."""
        space = None if self.cache_gigabytes is None else int(self.cache_gigabytes * 1e9)
        store = ShardStore(expand(self.patterns[split]), Path(self.cache).expanduser(), space)
        return AnnotatedImages(
            ShardRecords(store, self.fields, self.mixed),
            split,
            self.size,
            self.flip,
            seed,
            class_names=self.class_names,
            label_names=self.label_names,
            place=self.patterns[split],
        )


@dataclass(frozen=True)
class Fields:
    """Which field of a sample holds what; see ``WebDatasetData``."""

    image: tuple[str, ...]
    class_label: str | None
    label_map: str | None
    caption: str | None

    def image_of(self, fields: tuple[str, ...], place: str) -> str:
        """The field of the image, of those that a sample has."""
        for name in self.image:
            if name in fields:
                return name
        raise RegvqError(
            f"{place} has no image: of {', '.join(self.image)} it has none, but {', '.join(fields)}; name "
            "its field as image"
        )


class ShardRecords(RecordSource):
    """The samples of all shards.

    Args:
        store: of the shards.
        fields: what is where.
        mixed: shards whose samples are mixed, over all ranks.
    """

    def __init__(self, store: ShardStore, fields: Fields, mixed: int) -> None:
        self.store = store
        self.fields = fields
        self.mixed = mixed
        # Here, where all ranks are: they ask one another.
        self.counts, self._mark = store.inventory()
        self._ends = list(itertools.accumulate(self.counts))

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, index: int) -> Record:
        shard, row, place = self._find(index)
        samples = self.store.open(shard)
        fields = self.fields
        image = fields.image_of(samples.fields(row), place)
        label = self._field(index, fields.class_label)
        labels = self._field(index, fields.label_map)
        return Record(
            image=samples.read(row, image),
            class_label=None if label is None else _number(label, place),
            labels=None if labels is None else EncodedMap(labels, place),
            captions=self.captions(index),
            place=place,
        )

    def captions(self, index: int) -> tuple[str, ...]:
        """What is said of a sample, without its image."""
        content = self._field(index, self.fields.caption)
        if content is None:
            return ()
        lines = content.decode("utf-8", errors="replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    def mark(self) -> str:
        """See ``ShardStore``."""
        return self._mark

    def share(self, rng: np.random.Generator, batch_size: int, rank: int, ranks: int) -> np.ndarray:
        """The samples of a rank's own run of shards, those of a few of them mixed at a time.

        The shards stand in a random order, which is cut into runs with as many samples for each rank. So a
        shard is read by one rank, or by those whose runs it is cut between. See ``ImageDataset``.
        """
        starts = np.subtract(self._ends, self.counts)
        order = rng.permutation(len(self.counts))
        samples = np.concatenate([np.arange(self.counts[shard]) + starts[shard] for shard in order])
        own = run_of(len(samples), rank, ranks)
        samples = samples[own.start : own.stop]
        shards = np.searchsorted(self._ends, samples, side="right")
        pieces = np.split(samples, np.flatnonzero(np.diff(shards)) + 1)
        together = -(-self.mixed // ranks)
        groups = (pieces[first : first + together] for first in range(0, len(pieces), together))
        return np.concatenate([rng.permutation(np.concatenate(group)) for group in groups])

    def _field(self, index: int, name: str | None) -> bytes | None:
        """The content of a field, if one is wanted.

        Raises:
            RegvqError: the sample lacks it.
        """
        if name is None:
            return None
        shard, row, place = self._find(index)
        samples = self.store.open(shard)
        if name not in samples.fields(row):
            raise RegvqError(
                f"{place} has no field {name!r}, but {', '.join(samples.fields(row))}: name one of them"
            )
        return samples.read(row, name)

    def _find(self, index: int) -> tuple[int, int, str]:
        """Shard and row of a sample, and what messages call it."""
        shard = bisect.bisect_right(self._ends, index)
        row = index - (self._ends[shard] - self.counts[shard])
        samples = self.store.open(shard)
        if row >= len(samples):
            raise RegvqError(
                f"{samples.name} had {self.counts[shard]} samples when they were counted, now "
                f"{len(samples)}: delete the counts in {self.store.cache}"
            )
        return shard, row, f"{samples.keys[row]} in {samples.name}"


def _number(content: bytes, place: str) -> int:
    try:
        return int(content)
    except ValueError:
        raise RegvqError(f"{place} has the class {content[:30]!r}, which is no number") from None
