"""Checkpoints hold tensors and plain values, and nothing is executed to read them."""

from pathlib import Path

import pytest
import torch

from regvq.errors import RegvqError
from regvq.training.checkpoint_io import AtomicCheckpointIO


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "last.ckpt"
    written = {"state_dict": {"a": torch.arange(3)}, "step": 4, "pytorch-lightning_version": "2.6.6"}
    written |= {"optimizer_states": [], "lr_schedulers": [], "loops": {}}
    AtomicCheckpointIO().save_checkpoint(written, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert loaded["state_dict"]["a"].tolist() == [0, 1, 2]
    assert loaded["step"] == 4


@pytest.mark.parametrize(
    "key", ["state_dict", "pytorch-lightning_version", "optimizer_states", "lr_schedulers", "loops"]
)
def test_a_checkpoint_without_one_of_its_parts_is_no_place_to_go_on_from(tmp_path: Path, key: str) -> None:
    path = tmp_path / "last.ckpt"
    parts = {"state_dict": {}, "optimizer_states": [], "lr_schedulers": [], "loops": {}}
    parts |= {"pytorch-lightning_version": "2.6.6"}
    torch.save({name: value for name, value in parts.items() if name != key}, path)
    with pytest.raises(RegvqError, match="not a checkpoint that a training can go on from"):
        AtomicCheckpointIO().load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegvqError, match="there is no checkpoint"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "none.ckpt")
