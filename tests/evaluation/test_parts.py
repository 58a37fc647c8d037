"""Work in parts: each done once, by one process or by several, and not again after an interruption."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from regvq.conditions import NoCondition
from regvq.data.scenes import ScenesData
from regvq.errors import RegvqError
from regvq.evaluation import Evaluation, evaluate_reconstructions, evaluate_samples, parts
from regvq.evaluation.parts import in_parts, summed
from regvq.generators import DiscreteDiffusionGenerator, TokenSource
from regvq.nets import IdentityBackbone, OfflineFeatures
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from tests.support.ranks import run_on_ranks

DATA = ScenesData(size=16, train_length=8, val_length=20)


def squares(numbers: Sequence[int]) -> dict[str, Tensor]:
    return {"rows": torch.tensor(numbers) ** 2, "sum": torch.tensor(sum(numbers))}


def test_parts_come_in_order_and_leave_nothing(tmp_path: Path) -> None:
    found = in_parts(tmp_path / "x", 10, squares, size=4)
    assert torch.cat([part["rows"] for part in found]).tolist() == [number**2 for number in range(10)]
    assert int(summed(found, "sum")) == 45
    assert list(tmp_path.iterdir()) == []


def test_what_was_done_is_not_done_again(tmp_path: Path) -> None:
    seen: list[int] = []

    def fragile(numbers: Sequence[int]) -> dict[str, Tensor]:
        if numbers[0] == 4 and len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(numbers[0])
        return squares(numbers)

    with pytest.raises(KeyboardInterrupt):
        in_parts(tmp_path / "x", 10, fragile, size=4)
    seen += [-1]
    found = in_parts(tmp_path / "x", 10, fragile, size=4)
    assert seen == [0, -1, 4, 8]
    assert int(summed(found, "sum")) == 45


def test_another_command_may_remove_the_folder(tmp_path: Path) -> None:
    def swept(numbers: Sequence[int]) -> dict[str, Tensor]:
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        return squares(numbers)

    found = in_parts(tmp_path / "x", 10, swept, size=4)
    assert torch.cat([part["rows"] for part in found]).tolist() == [number**2 for number in range(10)]


def test_a_damaged_part_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "00001.safetensors").write_bytes(b"\0" * 30)
    assert int(summed(in_parts(tmp_path / "x", 10, squares, size=4), "sum")) == 45


def evaluations(folder: Path) -> list[Evaluation]:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 4))
    tokenizer(torch.stack([sample["image"] for sample in DATA.val()]))
    source = TokenSource(16, (4, 4), tokenizer.fingerprint())
    generator = DiscreteDiffusionGenerator(
        NoCondition(), source, dim=16, layers=1, heads=2, hidden=32, steps=4
    )
    net = OfflineFeatures()
    return [
        evaluate_reconstructions(tokenizer, DATA, net, folder, batch_size=4),
        evaluate_samples(generator, tokenizer, DATA, net, folder, batch_size=4),
    ]


def exact(evaluation: Evaluation) -> dict[str, float]:
    return {one.name: one.value for one in evaluation.measurements if one.exact}


def on_a_rank(rank: int, folder: str) -> list[dict[str, float]]:
    parts.PART = 8
    return [exact(one) for one in evaluations(Path(folder))]


def on_a_machine(rank: int, folder: str) -> list[dict[str, float]]:
    return on_a_rank(rank, f"{folder}/{rank}")


def test_machines_may_have_caches_of_their_own(tmp_path: Path) -> None:
    """One of which holds the reference already."""
    alone = [exact(one) for one in evaluations(tmp_path / "machines" / "0")]
    (tmp_path / "ranks").mkdir()
    for found in run_on_ranks(on_a_machine, tmp_path / "ranks", str(tmp_path / "machines")):
        assert found == alone


def on_something_else(rank: int, folder: str) -> str:
    with pytest.raises(RegvqError) as refusal:
        in_parts(Path(folder) / f"task {rank}", 10, squares, size=4)
    return str(refusal.value)


def test_ranks_with_different_tasks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ranks").mkdir()
    for said in run_on_ranks(on_something_else, tmp_path / "ranks", str(tmp_path / "cache")):
        assert said.startswith("rank 0 and rank 1 differ in their models or data: give all machines")
    assert not (tmp_path / "cache").exists()


def test_ranks_find_what_one_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 8)
    alone = [exact(one) for one in evaluations(tmp_path / "alone")]
    (tmp_path / "ranks").mkdir()
    for found in run_on_ranks(on_a_rank, tmp_path / "ranks", str(tmp_path / "shared")):
        assert found == alone
    assert sorted(os.listdir(tmp_path / "shared")) == sorted(os.listdir(tmp_path / "alone"))
