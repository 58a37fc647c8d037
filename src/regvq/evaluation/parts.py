"""Work on many images in parts: shared by processes that work together, kept until all parts are there."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from regvq import ranks
from regvq.files import write_bytes

PART = 1024
"""Images of a part: minutes of work at most, which is what an interruption costs."""

Tensors = dict[str, Tensor]


def in_parts(
    folder: Path, count: int, work: Callable[[Sequence[int]], Tensors], size: int | None = None
) -> list[Tensors]:
    """What ``work`` makes of the numbers 0 to ``count - 1``, part by part and in their order.

    Every process does its share of the parts and gets all. A part is written to ``folder`` when it is done,
    and read from there where an earlier attempt has left it; in the end the folder is removed.

    Args:
        folder: for these parts alone: its name changes with anything that could change them.
        count: of the images.
        work: from a part's numbers to tensors on the CPU.
        size: images of a part; ``PART`` where none is given.

    Raises:
        RegvqError: the folder cannot be written, or the processes have different things to do.
    """
    ranks.require_same({"models or data": folder.name})
    numbers, size = range(count), size or PART
    parts = [numbers[start : start + size] for start in range(0, count, size)]
    files = [folder / f"{number:05d}.safetensors" for number in range(len(parts))]
    found: dict[int, Tensors] = {}
    for number in ranks.share(range(len(parts))):
        found[number] = _read(files[number]) or _done(work, parts[number], files[number])
    ranks.wait_for_all()
    for number, part in enumerate(parts):
        # Another command that measures the same may have finished, and have removed the folder.
        found[number] = found.get(number) or _read(files[number]) or work(part)
    ranks.wait_for_all()
    if ranks.rank() == 0:
        shutil.rmtree(folder, ignore_errors=True)
    return [found[number] for number in range(len(parts))]


def summed(parts: Sequence[Mapping[str, Tensor]], name: str) -> Tensor:
    """The sum of one tensor over all parts."""
    return torch.stack([part[name] for part in parts]).sum(0)


def names_to_bytes(names: Iterable[str]) -> Tensor:
    """Names as a tensor of bytes, so that a part can hold them."""
    return torch.frombuffer(bytearray(json.dumps(sorted(names)).encode()), dtype=torch.uint8)


def names_from_bytes(parts: Iterable[Tensor]) -> set[str]:
    """The names in all of several."""
    return {name for part in parts for name in json.loads(part.numpy().tobytes())}


def _done(work: Callable[[Sequence[int]], Tensors], part: Sequence[int], file: Path) -> Tensors:
    """A part, which is written as well."""
    tensors = work(part)
    write_bytes(file, save(tensors))
    return tensors


def _read(path: Path) -> Tensors | None:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError):
        return None
