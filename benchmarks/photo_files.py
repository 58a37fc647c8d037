"""Photographs for a benchmark: in folders, archives and .npz files, cut square, of each source as many."""

import io
import itertools
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from harms import picture, tensor
from regvq.data import Photos, list_images
from regvq.data.images import SUFFIXES, load_image
from regvq.errors import RegvqError


def photographs(path: Path) -> list[Path | bytes]:
    """The image files of a folder, an archive or an .npz file, not yet decoded.

    Raises:
        RegvqError: the path is none of these.
    """
    if path.is_dir():
        return list(list_images(path))
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            files = [archive.extractfile(one) for one in archive if Path(one.name).suffix in SUFFIXES]
            return [file.read() for file in files if file is not None]
    if path.suffix == ".npz":
        with np.load(path) as arrays:  # without pickle
            data, offsets = arrays["data"], arrays["offsets"]
        return [data[start:end].tobytes() for start, end in itertools.pairwise(offsets)]
    raise RegvqError(f"{path} is no folder, .tar or .npz file: name photographs in one of these")


def example_photographs(count: int) -> list[bytes]:
    """Crops of the photographs that come with the extra 'demo', as PNG."""
    photos = Photos("train", 128, count, seed=1)
    found = []
    for number in range(count):
        buffer = io.BytesIO()
        picture(photos[number]["image"]).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def squares(files: Sequence[Path | bytes], side: int) -> Iterator[torch.Tensor]:
    """The middle of each photograph, reduced to ``side``: ``[3, side, side]``."""
    for file in files:
        whole = picture(load_image(file))
        reduced = ImageOps.fit(whole, (side, side), Image.Resampling.LANCZOS)
        yield tensor(reduced)


def even_shares(sources: Sequence[Sequence[Path | bytes]], count: int) -> list[Path | bytes]:
    """At most ``count`` files, as many of each source, spread from its first to its last."""
    return [
        files[number * len(files) // taken]
        for files in sources
        for taken in [min(count // len(sources), len(files))]
        for number in range(taken)
    ]
