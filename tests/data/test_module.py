"""The order of the batches, and that a resumed run sees the ones an uninterrupted run would have seen."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from regvq.data import GivenData, ImageDataModule, ImageDataset
from regvq.errors import RegvqError


class Numbers(ImageDataset):
    """Item ``i`` is an image that says ``i`` in one pixel and its augmentation in another."""

    def sample(self, item: int, rng: np.random.Generator) -> dict[str, Any]:
        image = torch.zeros(3, 1, 2)
        image[:, 0, 0] = item
        image[:, 0, 1] = float(rng.random())
        return {"image": image}


def numbers(length: int = 22, batch_size: int = 4, **options: Any) -> ImageDataModule:
    return ImageDataModule(GivenData(Numbers(length), Numbers(3)), batch_size=batch_size, **options)


class Recorder(pl.LightningModule):
    """Remembers every training batch, and can break off in the middle of one."""

    def __init__(self, break_at: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []
        self.break_at = break_at

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        if len(self.seen) == self.break_at:
            raise KeyError("broken off on purpose")
        self.seen.append(batch["image"][:, 0, 0].clone())
        return self.weight * batch["image"].mean()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        self.log("val/mean", batch["image"].mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(
    model: Recorder, module: ImageDataModule, resume: Path | None = None, **options: Any
) -> list[Tensor]:
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **({"enable_checkpointing": False} | options),
    )
    trainer.fit(model, datamodule=module, ckpt_path=resume, weights_only=True)
    return model.seen


def items(module: ImageDataModule) -> list[list[float]]:
    return [batch["image"][:, 0, 0, 0].tolist() for batch in module.train_dataloader()]


@pytest.mark.parametrize(
    ("device", "given", "expected"),
    [("cpu", None, 0), ("cuda", None, 4), ("cpu", 2, 2), ("cuda", 0, 0), (None, None, 0), (None, 3, 3)],
)
def test_a_gpu_is_fed_by_workers_where_nobody_says_otherwise(
    device: str | None, given: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    module = numbers(workers=given)
    if device is not None:
        trainer = SimpleNamespace(
            strategy=SimpleNamespace(root_device=torch.device(device)),
            global_rank=0,
            world_size=1,
            fit_loop=None,
        )
        monkeypatch.setattr(module, "trainer", trainer)
    assert module.worker_count == expected
    for loader in (module.train_dataloader(), module.val_dataloader()):
        assert loader.num_workers == expected
        assert loader.persistent_workers is (expected > 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert module.worker_count == (2 if expected == 4 else expected)


def test_an_epoch_is_a_permutation_without_its_remainder() -> None:
    batches = items(numbers(22, 4))
    assert [len(batch) for batch in batches] == [4] * 5
    drawn = [item for batch in batches for item in batch]
    assert len(set(drawn)) == 20
    assert set(drawn) <= set(range(22))
    assert drawn != sorted(drawn)


def test_the_order_depends_on_the_seed_alone() -> None:
    assert items(numbers(seed=1)) == items(numbers(seed=1))
    assert items(numbers(seed=1)) != items(numbers(seed=2))


def test_every_epoch_has_its_own_order_and_augmentation() -> None:
    seen = train(Recorder(), numbers(20, 4), max_epochs=2)
    first, second = torch.cat(seen[:5]), torch.cat(seen[5:])
    assert sorted(first[:, 0].tolist()) == sorted(second[:, 0].tolist()) == list(range(20))
    assert first[:, 0].tolist() != second[:, 0].tolist()
    assert not set(first[:, 1].tolist()) & set(second[:, 1].tolist())


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_off_in_the_middle_of_an_epoch(tmp_path: Path, workers: int) -> None:
    expected = train(Recorder(), numbers(workers=workers), max_steps=13)
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=4, save_last=True, save_top_k=0)
    broken = Recorder(break_at=10)
    with pytest.raises(KeyError, match="on purpose"):
        train(
            broken,
            numbers(workers=workers),
            max_steps=13,
            callbacks=[saver],
            enable_checkpointing=True,
        )
    assert len(broken.seen) == 10
    # The last checkpoint is that of step 8: steps 9 and 10 are trained again, on the same batches.
    resumed = train(Recorder(), numbers(workers=workers), tmp_path / "last.ckpt", max_steps=13)
    assert_same(resumed, expected[8:])


CHECKPOINTS = {
    "after a step": {"every_n_train_steps": 1},
    "at validation": {"every_n_epochs": 1, "save_on_train_epoch_end": False},
    "at the epoch's end": {"every_n_epochs": 1, "save_on_train_epoch_end": True},
}


@pytest.mark.parametrize("when", CHECKPOINTS)
@pytest.mark.parametrize("done", [3, 5, 8, 10])
def test_resumed_wherever_lightning_saves(tmp_path: Path, when: str, done: int) -> None:
    # Counted in steps: a run that stops at a step closes its epoch there, in Lightning's eyes.
    expected = train(Recorder(), numbers(), max_steps=18)
    saver = ModelCheckpoint(tmp_path, save_last=True, save_top_k=0, **CHECKPOINTS[when])
    train(Recorder(), numbers(), max_steps=done, callbacks=[saver], enable_checkpointing=True)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"]
    resumed = train(Recorder(), numbers(), tmp_path / "last.ckpt", max_steps=18)
    assert_same(resumed, expected[saved:])


def test_accumulated_batches_count_as_batches(tmp_path: Path) -> None:
    options: dict[str, Any] = {"accumulate_grad_batches": 2}
    expected = train(Recorder(), numbers(), max_steps=8, **options)
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_last=True, save_top_k=0)
    done = train(
        Recorder(), numbers(), max_steps=4, callbacks=[saver], enable_checkpointing=True, **options
    )
    resumed = train(Recorder(), numbers(), tmp_path / "last.ckpt", max_steps=8, **options)
    assert_same(done + resumed, expected)


def assert_same(resumed: list[Tensor], expected: list[Tensor]) -> None:
    assert len(resumed) == len(expected)
    for after, before in zip(resumed, expected, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_a_resume_with_another_order_is_refused(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_last=True, save_top_k=0)
    train(Recorder(), numbers(), max_steps=2, callbacks=[saver], enable_checkpointing=True)
    with pytest.raises(RegvqError, match="trained with batch_size 4, this run has 5"):
        train(Recorder(), numbers(batch_size=5), tmp_path / "last.ckpt", max_steps=4)


def test_a_resume_on_another_number_of_ranks_is_refused() -> None:
    saved = numbers(24, 2)
    saved._rank = lambda: (0, 2)
    numbers(24, 2).load_state_dict(numbers(24, 2).state_dict())
    with pytest.raises(RegvqError, match=r"trained with ranks 2, this run has 1: resume with the same"):
        numbers(24, 2).load_state_dict(saved.state_dict())


def test_ranks_share_the_batches_of_one_process() -> None:
    joined = items(numbers(24, 4))
    ranks = []
    for rank in range(2):
        module = numbers(24, 2)
        module._rank = lambda rank=rank: (rank, 2)
        ranks.append(items(module))
    assert [first + second for first, second in zip(*ranks, strict=True)] == joined


def test_loaders_leave_the_global_generator_alone() -> None:
    module = numbers()
    before = torch.get_rng_state()
    list(module.train_dataloader())
    list(module.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_keeps_its_order_and_its_remainder() -> None:
    batches = [batch["image"][:, 0, 0, 0].tolist() for batch in numbers(val_batch_size=2).val_dataloader()]
    assert batches == [[0, 1], [2]]


def test_a_plain_dataset_gets_plain_indices() -> None:
    plain = [{"image": torch.full((3, 1, 2), float(value))} for value in range(8)]
    module = ImageDataModule(GivenData(plain, plain), batch_size=4)
    seen = train(Recorder(), module, max_epochs=2)
    assert sorted(torch.cat(seen[2:])[:, 0].tolist()) == list(range(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size is 0: give 1 or more"),
        ({"val_batch_size": -1}, "data.val_batch_size is -1: give 1 or more"),
        ({"workers": -1}, "data.workers is -1: give 0 or more"),
    ],
)
def test_bad_numbers(options: dict[str, int], message: str) -> None:
    with pytest.raises(RegvqError, match=message):
        numbers(**options)


def test_a_rank_that_would_have_no_whole_batch() -> None:
    module = numbers(7, 4)
    module._rank = lambda: (1, 2)
    with pytest.raises(RegvqError, match=r"7 training images do not fill one batch of 4 on 2 rank\(s\)"):
        module.train_dataloader()


def test_too_few_images_for_a_batch() -> None:
    with pytest.raises(RegvqError, match="22 training images do not fill one batch of 23 on 1 rank"):
        numbers(22, 23).train_dataloader()


def test_empty_validation_data() -> None:
    with pytest.raises(RegvqError, match="the validation data is empty"):
        ImageDataModule(GivenData(Numbers(4), Numbers(0))).val_dataloader()
