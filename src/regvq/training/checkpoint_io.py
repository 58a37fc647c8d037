"""Checkpoints as files: written whole or not at all, checked bit by bit, read without unpickling.

A checkpoint is the zip archive that ``torch.save`` writes, with a CRC-32 of every part. ``torch.load``
does not look at them, so that a flipped bit would become a wrong weight; here they are compared first.
"""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from regvq.errors import RegvqError
from regvq.files import write_bytes

# What Lightning puts into each checkpoint that a training can go on from.
_KEYS = {"state_dict", "pytorch-lightning_version", "optimizer_states", "lr_schedulers", "loops"}


class AtomicCheckpointIO(CheckpointIO):
    """Writes beside and renames; reads tensors and plain values only (``weights_only``)."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes a checkpoint.

        Args:
            checkpoint: what Lightning made.
            path: of the file.
            storage_options: ``{"previous": …}`` keeps what stood at ``path`` under that name.

        Raises:
            RegvqError: there is no space or no right; the old file then still stands.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getvalue(), **(storage_options or {}))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint to the CPU.

        Raises:
            RegvqError: the file is missing, cut short, damaged, or holds more than tensors and values.
        """
        return _read(Path(path), map_location=map_location or "cpu")

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def check_whole(path: Path) -> None:
    """Reads every byte of a checkpoint, and keeps none in memory.

    Raises:
        RegvqError: see ``AtomicCheckpointIO.load_checkpoint``.
    """
    _read(path, map_location="cpu", mmap=True)


def _read(path: Path, **options: Any) -> dict[str, Any]:
    if not path.is_file():
        raise RegvqError(f"there is no checkpoint {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            # What is written here is never compressed: other archives may unpack to anything.
            packed = [part.filename for part in archive.infolist() if part.compress_type]
            damaged = packed or archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(damaged)
        checkpoint = torch.load(path, weights_only=True, **options)
    except Exception:  # what the readers make of damaged bytes can be anything
        raise RegvqError(
            f"{path} is damaged or not a checkpoint of this package: go back to another checkpoint"
        ) from None
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= _KEYS:
        raise RegvqError(
            f"{path} is not a checkpoint that a training can go on from: go back to another checkpoint"
        )
    return checkpoint
