"""Data of the plain loops: finite training pools and held-out samples, pure functions of (seed, index)."""

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from regvq.data import Photos
from regvq.data.scenes import LABELS, Scenes

GREY_LEVELS = 16
POOL = 4096
"""Training samples of a source; batches are drawn from them with replacement."""
HELD_OUT = 1024
"""Held-out samples of a source, at most."""
SIZE = 32
"""Side of the crops in pixels."""
_SEGMENT = 1024
_FRAMES, _SHIFT = 4, 2


@dataclass(frozen=True)
class Samples:
    """Inputs with the targets that cross-entropy needs.

    Attributes:
        inputs: ``[M, C, *S]`` float32 in [-1, 1].
        labels: ``[M, *S]`` int64 in [0, ``classes``), or ``None`` where the source has none.
        classes: number of labels.
    """

    inputs: Tensor
    labels: Tensor | None = None
    classes: int = 0


@dataclass(frozen=True)
class Source:
    """A kind of data.

    Attributes:
        channels: of the inputs.
        dims: dimensions of the grid, 1 to 3.
        tokens: of one sample, after both strided convolutions.
        make: from ("train" or "val", number of samples, folder with the data sets) to samples.
        file: what it reads of the folder with the data sets of docs; ``None`` where it needs no folder.
    """

    channels: int
    dims: int
    tokens: int
    make: Callable[[str, int, Path | None], Samples]
    file: str | None = None


def pool(data: str, split: str, folder: Path | None) -> Samples:
    """Return all samples of a source, made once a process; the same for every seed."""
    return _pool(data, split, folder)


@functools.lru_cache(maxsize=4)
def _pool(data: str, split: str, folder: Path | None) -> Samples:
    return SOURCES[data].make(split, POOL if split == "train" else HELD_OUT, folder)


def batch_indices(seed: int, step: int, batch_size: int) -> Tensor:
    """Return the pool's indices of the batch of ``step``: int64 ``[batch_size]``, pure in the arguments."""
    rng = np.random.default_rng((seed, step))
    return torch.from_numpy(rng.integers(POOL, size=batch_size))


def available(data: str, folder: Path | None) -> bool:
    """Tell whether the source has what it reads."""
    file = SOURCES[data].file
    return file is None or (folder is not None and (folder / file.format("val")).is_file())


def _photos(split: str, count: int, folder: Path | None) -> Samples:
    photos = Photos("train" if split == "train" else "val", SIZE, count)
    return _with_grey(torch.stack([photos[index]["image"] for index in range(count)]))


def _video(split: str, count: int, folder: Path | None) -> Samples:
    """Make clips of a window that moves over a still photograph at an even speed."""
    room = SIZE + (_FRAMES - 1) * _SHIFT * 2
    photos = Photos("train" if split == "train" else "val", room, count // 2)
    clips = []
    for index in range(count // 2):
        rng = np.random.default_rng((0, split == "val", index))
        down, right = rng.integers(-_SHIFT, _SHIFT + 1, size=2)
        still, middle = photos[index]["image"], (_FRAMES - 1) * _SHIFT
        frames = [
            still[:, middle + down * t :, middle + right * t :][:, :SIZE, :SIZE] for t in range(_FRAMES)
        ]
        clips.append(torch.stack(frames, 1))
    once = torch.stack(clips)
    # Clips are played forwards and backwards: half as many photographs to cut, as many clips.
    return Samples(torch.cat([once, once.flip(2)]))


def _drawings(split: str, count: int, folder: Path | None) -> Samples:
    scenes = Scenes("train" if split == "train" else "val", SIZE, count)
    samples = [scenes[index] for index in range(count)]
    images = torch.stack([sample["image"] for sample in samples])
    return Samples(images, torch.stack([sample["label_map"] for sample in samples]), len(LABELS))


def _tiny(split: str, count: int, folder: Path | None) -> Samples:
    assert folder is not None
    with np.load(folder / f"tiny_imagenet64_{split}.npz") as file:
        data, offsets = file["data"], file["offsets"]
    crops = []
    photographs = len(offsets) - 1
    # Sorted by class: even steps go through all of them.
    for index in range(count):
        item = index * photographs // count
        encoded = data[offsets[item] : offsets[item + 1]].tobytes()
        pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        top, left = np.random.default_rng((1, index)).integers(pixels.shape[0] - SIZE + 1, size=2)
        crops.append(pixels[top : top + SIZE, left : left + SIZE])
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return _with_grey(images)


def _digits(split: str, count: int, folder: Path | None) -> Samples:
    """Cut segments out of recordings scaled to their own peak; takes 0 to 4 are held out."""
    assert folder is not None
    with np.load(folder / "spoken_digits_8khz.npz") as file:
        data, offsets, take = file["data"], file["offsets"], file["take"]
    own = np.flatnonzero((take >= 5) if split == "train" else (take < 5))
    own = own[np.diff(offsets)[own] > _SEGMENT]
    segments = []
    for index in range(count):
        rng = np.random.default_rng((2, split == "val", index))
        item = own[index % len(own)] if split == "val" else rng.choice(own)
        sound = data[offsets[item] : offsets[item + 1]].astype(np.float32)
        start = rng.integers(len(sound) - _SEGMENT + 1)
        segments.append(sound[start : start + _SEGMENT] / np.abs(sound).max())
    return Samples(torch.from_numpy(np.stack(segments))[:, None])


def _with_grey(images: Tensor) -> Samples:
    """Add the grey level of every pixel, one of ``GREY_LEVELS``, as its label."""
    grey = (images.mean(1) + 1) / 2
    labels = (grey * GREY_LEVELS).long().clamp_(0, GREY_LEVELS - 1)
    return Samples(images, labels, GREY_LEVELS)


SOURCES = {
    "photos": Source(3, 2, 64, _photos),
    "tiny": Source(3, 2, 64, _tiny, "tiny_imagenet64_{}.npz"),
    "digits": Source(1, 1, 64, _digits, "spoken_digits_8khz.npz"),
    "drawings": Source(3, 2, 64, _drawings),
    "video": Source(3, 3, 128, _video),
}
