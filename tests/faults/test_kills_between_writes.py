"""A kill after each single write of a training: what is resumed from there ends as an undisturbed run."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from regvq import files
from regvq.training import fit, run
from regvq.training.callbacks import LastCheckpoint
from tests.faults.conftest import Faults
from tests.faults.test_kills import different, training_of
from tests.training.conftest import OPTIONS, tiny_data, tiny_training

RUNS: dict[str, dict[str, Any]] = {
    "a validation at the last step": {"max_steps": 6, "val_check_interval": 3},
    "steps after the last validation": {"max_steps": 5, "val_check_interval": 3},
    "epochs, a validation after each": {"max_epochs": 2, "max_steps": -1, "check_val_every_n_epoch": 1}
    | {"val_check_interval": None},
}


class Often(LastCheckpoint):
    """Writes after every step, as a longer training does between two validations."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, every_n_steps=1)


def result_of(folder: Path) -> dict[str, Any]:
    """All that a training leaves, the checkpoint that validated best included."""
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    return training_of(folder) | {
        "best checkpoint": {name: best[name] for name in ("state_dict", "global_step")}
    }


@pytest.mark.filterwarnings("ignore::UserWarning:regvq")  # said where it goes on from the one before
@pytest.mark.parametrize("name", RUNS)
def test_every_write(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults) -> None:
    options = {**OPTIONS, **RUNS[name]}
    monkeypatch.setattr(run, "LastCheckpoint", Often)
    left: list[tuple[str, Path]] = []
    replace = os.replace

    def replace_and_keep(source: Any, target: Any) -> None:
        """What a kill right behind this write would leave, the files that were not renamed yet included."""
        replace(source, target)
        left.append((f"{len(left)}, {Path(target).name}", tmp_path / f"{len(left)}"))
        shutil.copytree(tmp_path / "whole", left[-1][1])

    with monkeypatch.context() as writing:
        writing.setattr(files.os, "replace", replace_and_keep)
        fit(tiny_training(), tiny_data(), tmp_path / "whole", **options)
    wanted = result_of(tmp_path / "whole")
    resumable = [one for one in left if list(one[1].glob("checkpoints/[lp]*.ckpt"))]
    assert len(resumable) > 10
    tried = resumable[-faults.count(6, len(resumable)) :]  # the last ones are the more delicate
    lost = []
    for write, folder in tried:
        fit(tiny_training(), tiny_data(), folder, resume=True, **options)
        if other := different(result_of(folder), wanted):
            lost.append(f"another result after write {write}: {other[:3]}")
        if leftovers := list(folder.rglob(".*")):
            lost.append(f"left over after write {write}: {leftovers}")
    faults.record("kills", f"a training right after each of its writes; {name}", len(tried), lost)
