"""Checkpoints as files: written whole or not at all, read without unpickling."""

import io
import pickle
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
        """Raises ``RegvqError`` where there is no space or no right; the old file then still stands."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getvalue())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint to the CPU.

        Raises:
            RegvqError: the file is missing, cut short, damaged, or holds more than tensors and values.
        """
        if not Path(path).is_file():
            raise RegvqError(f"there is no checkpoint {path}")
        try:
            checkpoint = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, KeyError, ValueError, pickle.UnpicklingError):
            raise RegvqError(
                f"{path} is damaged or not a checkpoint of this package: go back to another checkpoint"
            ) from None
        if not isinstance(checkpoint, dict) or not checkpoint.keys() >= _KEYS:
            raise RegvqError(
                f"{path} is not a checkpoint that a training can go on from: go back to another checkpoint"
            )
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)
