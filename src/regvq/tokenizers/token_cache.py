"""A whole data set as tokens: encoded once, trained on many times.

A cache is a folder: ``cache.json`` says what it is of, and every shard, a file
``<split>-<variant>-<number>.safetensors``, holds the same number of samples. Shards are written whole or
not at all, so a cache that was cut short is continued where it stopped.

===========  =========================  ====================================================
array        shape, dtype               content
===========  =========================  ====================================================
codes        [n, h, w] uint16 or int32  the tokens of every image
class_label  [n] int64                  where the data has them
label_map    [n, H, W] uint8 or int32   where the data has them
caption      [b] uint8                  UTF-8, one after another, where the data has them
ends         [n] int64                  where each caption ends
===========  =========================  ====================================================

Its metadata holds a checksum, which is compared when a process first opens the shard.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from regvq import ranks
from regvq.checksums import checksum
from regvq.configurable import describe
from regvq.data import ImageData, ImageDataset, Sample
from regvq.data.base import size_of
from regvq.errors import RegvqError
from regvq.files import claim, remove_leftovers, write_bytes
from regvq.tokenizers.image_tokenizer import ImageTokenizer

FORMAT, VERSION = "regvq token cache", 2
HEADER = "cache.json"
Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


@dataclass(frozen=True)
class CacheHeader:
    """What ``cache.json`` says.

    Attributes:
        tokenizer: fingerprint of the tokenizer that made the tokens.
        codebook_size: number of codes N.
        grid: rows and columns of an image's tokens.
        data: the data set's class and its arguments.
        seed: of its augmentation.
        variants: how often each training image was encoded, augmented anew each time.
        shard_size: samples of a shard; the last one of a split may have fewer.
        lengths: images of each split.
        class_names: of ``class_label``, where the data names them.
        label_names: of ``label_map``, likewise.
    """

    tokenizer: str
    codebook_size: int
    grid: tuple[int, int]
    data: str
    seed: int
    variants: int
    shard_size: int
    lengths: dict[str, int]
    class_names: tuple[str, ...]
    label_names: tuple[str, ...]

    def shards(self) -> list[tuple[Split, int, int]]:
        """Split, variant and number of every shard, in the order in which they are written."""
        return [
            (split, variant, number)
            for split in SPLITS
            for variant in range(self.variants if split == "train" else 1)
            for number in range(-(-self.lengths[split] // self.shard_size))
        ]


def shard_path(folder: Path, split: str, variant: int, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{split}-{variant}-{number:05d}.safetensors"


def write_cache(
    folder: Path,
    tokenizer: ImageTokenizer,
    data: ImageData,
    *,
    seed: int = 0,
    variants: int = 1,
    shard_size: int = 2048,
    batch_size: int = 64,
    workers: int = 0,
    track: Callable[[Iterator[int], int], Iterator[int]] = lambda items, _: items,
) -> CacheHeader:
    """Encodes both halves of ``data`` into ``folder``, or what of them is not there yet.

    Processes that work together share the shards; all return when the cache is whole.

    Args:
        folder: new, empty, or with a cache of the same tokenizer, data and settings.
        tokenizer: on the device that is to compute.
        data: the training half is augmented anew for each variant, as it would be in each epoch.
        seed: of that augmentation.
        variants: at least 1.
        shard_size: samples a file.
        batch_size: images encoded at once.
        workers: processes that prepare images.
        track: wraps the numbers of the shards and their count, e.g. in a progress bar.

    Raises:
        RegvqError: the folder holds something else, or cannot be written.
    """
    if variants < 1 or shard_size < 1 or batch_size < 1:
        raise RegvqError("variants, shard_size and batch_size must be at least 1")
    halves: dict[str, Dataset[Sample]] = {"train": data.train(seed), "val": data.val()}
    header = _header(tokenizer, halves, _written(data), seed, variants, shard_size)
    ranks.require_same(asdict(header))
    if ranks.rank() == 0:
        if (folder / HEADER).is_file():
            read_header(folder)  # an earlier version's is told as that
        claim(folder, HEADER, {"format": FORMAT, "version": VERSION, **asdict(header)}, "token cache")
    ranks.wait_for_all()
    own = ranks.share(header.shards())
    missing = [shard for shard in own if not shard_path(folder, *shard).is_file()]
    for place in track(iter(range(len(missing))), len(missing)):
        split, variant, number = missing[place]
        start = number * shard_size
        stop = min(start + shard_size, header.lengths[split])
        shift = variant * header.lengths[split]
        loader = DataLoader(
            _Part(halves[split], range(shift + start, shift + stop)),
            batch_size=batch_size,
            num_workers=workers,
            collate_fn=list,
        )
        path = shard_path(folder, split, variant, number)
        remove_leftovers(path)
        write_bytes(path, _shard(loader, tokenizer))
    ranks.wait_for_all()
    if ranks.rank() == 0:
        ranks.require_written(shard_path(folder, *shard) for shard in header.shards())
    return header


class CachedTokens(ImageDataset):
    """One half of a cache.

    A sample holds ``codes`` (int64 ``[h, w]``) and what the encoded data had of ``class_label``,
    ``label_map`` and ``caption``. In training any of the variants is as likely as another.

    Args:
        folder: that ``write_cache`` wrote.
        split: ``"train"`` or ``"val"``.
        seed: decides the variants.

    Raises:
        RegvqError: there is no cache, it is incomplete, or damaged.
    """

    def __init__(self, folder: str | Path, split: Split = "train", seed: int = 0) -> None:
        self.folder = Path(folder)
        self.header = read_header(self.folder)
        missing = [shard for shard in self.header.shards() if not shard_path(self.folder, *shard).is_file()]
        if missing:
            raise RegvqError(
                f"{len(missing)} of {len(self.header.shards())} shards are missing in {folder}: run regvq "
                "encode once more, which goes on where it stopped"
            )
        super().__init__(self.header.lengths[split], seed, stream=SPLITS.index(split))
        self.split = split
        self.class_names = self.header.class_names
        self.label_names = self.header.label_names
        self._open: dict[Path, Any] = {}

    @property
    def fingerprint(self) -> str:
        """Of the tokenizer that made the tokens."""
        return self.header.tokenizer

    def sample(self, item: int, rng: np.random.Generator) -> Sample:
        """See the class."""
        variant = int(rng.integers(self.header.variants)) if self.split == "train" else 0
        number, row = divmod(item, self.header.shard_size)
        path = shard_path(self.folder, self.split, variant, number)
        try:
            return _row(self._shard(path), row, self.header)
        except (SafetensorError, OSError, UnicodeDecodeError, IndexError) as error:
            raise RegvqError(
                f"{path} is damaged ({error}): delete it and run regvq encode once more"
            ) from None

    def _shard(self, path: Path) -> Any:
        # Opened when first read: an open file cannot be sent to a loader's worker.
        if path not in self._open:
            shard: Any = safe_open(path, framework="pt")
            wanted = (shard.metadata() or {}).get("sha256")
            if wanted not in (None, checksum({name: shard.get_tensor(name) for name in shard.keys()})):  # noqa: SIM118
                raise OSError("its checksum does not match")
            self._open[path] = shard
        return self._open[path]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


class TokenCacheData(ImageData):
    """A data set that ``regvq encode --config …`` turned into tokens.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def train(self, seed: int) -> CachedTokens:
        """The training half; ``seed`` decides the variants."""
        return CachedTokens(self.folder, "train", seed)

    def val(self) -> CachedTokens:
        """The validation half."""
        return CachedTokens(self.folder, "val")


def read_header(folder: Path) -> CacheHeader:
    """What a cache is of.

    Raises:
        RegvqError: there is none, or it is damaged.
    """
    path = folder / HEADER
    if not path.is_file():
        raise RegvqError(f"{path} is missing: {folder} is no token cache; make one with regvq encode")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT or content.pop("version") != VERSION:
            raise KeyError("format")
        return CacheHeader(
            **{
                **content,
                "grid": tuple(content["grid"]),
                "class_names": tuple(content["class_names"]),
                "label_names": tuple(content["label_names"]),
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegvqError(
            f"{path} is damaged or of another version: delete {folder} and encode the data again"
        ) from None


class _Part(Dataset[Sample]):
    """Some indices of a data set."""

    def __init__(self, dataset: Dataset[Sample], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Sample:
        index = self.indices[place]
        # Only an ImageDataset counts on beyond its length, into later epochs.
        carries_epoch = isinstance(self.dataset, ImageDataset)
        return self.dataset[index if carries_epoch else index % size_of(self.dataset)]


def _header(
    tokenizer: ImageTokenizer,
    halves: dict[str, Dataset[Sample]],
    data: str,
    seed: int,
    variants: int,
    shard_size: int,
) -> CacheHeader:
    rows, columns = (side // tokenizer.downsampling for side in halves["train"][0]["image"].shape[1:])
    return CacheHeader(
        tokenizer=tokenizer.fingerprint(),
        codebook_size=tokenizer.codebook_size,
        grid=(rows, columns),
        data=data,
        seed=seed,
        variants=variants,
        shard_size=shard_size,
        lengths={split: size_of(half) for split, half in halves.items()},
        class_names=tuple(getattr(halves["train"], "class_names", ())),
        label_names=tuple(getattr(halves["train"], "label_names", ())),
    )


def _written(data: ImageData) -> str:
    """A data set as it would be built, ``ScenesData(size=64, ...)``, or its name alone."""
    name = type(data).__name__
    try:
        given = describe(data)["init_args"]
    except TypeError:
        return name
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"


def _shard(batches: DataLoader[Sample], tokenizer: ImageTokenizer) -> bytes:
    device = tokenizer.post_quant_conv.weight.device
    samples: list[Sample] = []
    codes: list[Tensor] = []
    for batch in batches:
        images = torch.stack([sample["image"] for sample in batch])
        codes.append(tokenizer.encode(images.to(device)).cpu())
        samples += [{key: sample[key] for key in sample if key != "image"} for sample in batch]
    narrow = np.uint16 if tokenizer.codebook_size <= 2**16 else np.int32
    arrays: dict[str, np.ndarray] = {"codes": torch.cat(codes).numpy().astype(narrow)}
    if "class_label" in samples[0]:
        arrays["class_label"] = np.array([int(sample["class_label"]) for sample in samples], np.int64)
    if "label_map" in samples[0]:
        maps = torch.stack([sample["label_map"] for sample in samples]).numpy()
        arrays["label_map"] = maps.astype(np.uint8 if maps.max(initial=0) < 256 else np.int32)
    if "caption" in samples[0]:
        texts = [sample["caption"].encode() for sample in samples]
        arrays["caption"] = np.frombuffer(bytearray(b"".join(texts)), np.uint8)
        arrays["ends"] = np.cumsum([len(text) for text in texts]).astype(np.int64)
    return save(arrays, {"sha256": checksum({name: torch.from_numpy(a) for name, a in arrays.items()})})


def _row(shard: Any, row: int, header: CacheHeader) -> Sample:
    codes = shard.get_slice("codes")[row].long()
    if tuple(codes.shape) != header.grid or codes.min() < 0 or codes.max() >= header.codebook_size:
        raise RegvqError("a token cache holds codes that are not its tokenizer's: encode the data again")
    sample: Sample = {"codes": codes}
    names = set(shard.keys())
    if "class_label" in names:
        sample["class_label"] = int(shard.get_slice("class_label")[row])
    if "label_map" in names:
        sample["label_map"] = shard.get_slice("label_map")[row].long()
    if "caption" in names:
        ends = shard.get_tensor("ends")
        begin = int(ends[row - 1]) if row else 0
        text = shard.get_slice("caption")[begin : int(ends[row])]
        sample["caption"] = text.numpy().tobytes().decode("utf-8")
    return sample
