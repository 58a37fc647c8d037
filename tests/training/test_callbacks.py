"""NaN, a full disk, seeds, and what a log file shows of a training."""

import errno
import io
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from regvq import load_tokenizer
from regvq.data import ImageDataModule
from regvq.errors import RegvqError
from regvq.training import NonFiniteError, TokenizerTraining, fit
from regvq.training.callbacks.guard import StepGuard
from regvq.training.callbacks.step_seeds import seed_everything, step_seed

Make = Callable[..., TokenizerTraining]


class Poison(Callback):
    """Makes the reconstruction NaN, or one gradient, from one batch on."""

    def __init__(self, batch: int, gradient: bool = False) -> None:
        self.batch, self.gradient = batch, gradient

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch and not self.gradient:
            batch["image"][0, 0, 0, 0] = math.nan

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch and self.gradient:
            assert isinstance(pl_module, TokenizerTraining)
            pl_module.model.quant_conv.bias.grad.fill_(math.inf)


def test_a_nan_in_the_data_names_it_step_and_checkpoint_and_saves_nothing(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    options |= {"max_steps": 20}
    with pytest.raises(NonFiniteError) as caught:
        fit(make_training(), data, output, callbacks=[Poison(3)], **options)
    text = str(caught.value)
    assert "the data's 'image' is nan at training batch 3" in text
    assert str(output / "checkpoints" / "last.ckpt") in text
    last = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    saved = load_tokenizer(str(output / "tokenizer"))
    assert all(value.isfinite().all() for value in saved.state_dict().values())


def test_an_infinite_gradient_is_named_by_its_parameter(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(NonFiniteError, match=r"model\.quant_conv\.bias is inf .* batch 1; no"):
        fit(make_training(), data, output, callbacks=[Poison(1, gradient=True)], **options)


def test_a_rare_look_still_names_the_first_bad_step_before_anything_is_saved(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any], monkeypatch: Any
) -> None:
    monkeypatch.setattr(StepGuard.__init__, "__defaults__", (1000,))
    options |= {"max_steps": 6, "val_check_interval": 5}
    with pytest.raises(NonFiniteError, match="at training batch 2"):
        fit(make_training(), data, output, callbacks=[Poison(2)], **options)
    assert not (output / "tokenizer").exists()
    assert not (output / "checkpoints").exists()


def test_a_full_disk_ends_the_run_with_a_sentence_and_keeps_what_was_saved(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any], monkeypatch: Any
) -> None:
    last = output / "checkpoints" / "last.ckpt"
    before: list[bytes] = []

    class Fill(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if trainer.global_step == 3:
                before.append(last.read_bytes())
                monkeypatch.setattr("os.fsync", _no_space)

    with pytest.raises(RegvqError, match="No space left on device; free space"):
        fit(make_training(), data, output, callbacks=[Fill()], **options)
    monkeypatch.undo()
    assert last.read_bytes() == before[0]
    assert load_tokenizer(str(output / "tokenizer")).codebook_size == 16
    assert not [path for path in output.rglob(".*") if path.is_file()]


def _no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_best_tokenizer_is_kept_beside_the_last(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    class Ruin(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            if trainer.global_step == 3:
                assert isinstance(pl_module, TokenizerTraining)
                pl_module.model.post_quant_conv.weight.data.fill_(10.0)

    fit(make_training(), data, output, callbacks=[Ruin()], **options)
    last, best = (load_tokenizer(str(output / name)) for name in ("tokenizer", "tokenizer-best"))
    assert last.post_quant_conv.weight.min() > 5
    assert best.post_quant_conv.weight.max() < 5
    steps = [
        torch.load(output / "checkpoints" / f"{name}.ckpt", weights_only=True)["global_step"]
        for name in ("best", "last")
    ]
    assert steps == [2, 4]


def test_seeds_differ_between_steps_and_ranks_and_reach_every_generator() -> None:
    seeds = {step_seed(seed, rank, batch) for seed in (0, 1) for rank in (0, 1) for batch in range(50)}
    assert len(seeds) == 200
    drawn = []
    for seed in (7, 7, 8):
        seed_everything(seed)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert not set(drawn[0]) & set(drawn[2])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_with_figures_under_it_in_a_terminal(
    make_training: Any, data: Any, output: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    fit(make_training(), data, output, title="mine", **options)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "━" in shown
    for part in ("mine", "4/4", "loss", "usage", "perplexity", "images/s"):
        assert part in shown


def test_progress_is_a_line_a_validation_where_there_is_no_terminal(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any], capfd: Any
) -> None:
    fit(make_training(), data, output, title="regvq (1/4)", **options)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("regvq (1/4) · step 2/4 · loss ")
    for part in ("usage ", "perplexity ", "val PSNR ", " images/s"):
        assert part in lines[1]


def test_tensorboard_gets_reconstructions_and_the_use_of_codes(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any], monkeypatch: Any
) -> None:
    drawn: dict[str, Any] = {}

    class Board(TensorBoardLogger):
        @property
        def experiment(self) -> Any:
            return self

        def add_image(self, name: str, value: torch.Tensor, step: int) -> None:
            drawn[name] = (value.shape, step)

        def add_histogram(self, name: str, value: torch.Tensor, step: int) -> None:
            drawn[name] = (value, step)

        def log_metrics(self, *args: Any, **kwargs: Any) -> None: ...

        def save(self) -> None: ...

        def finalize(self, status: str) -> None: ...

    options["logger"] = Board(str(output.parent))
    fit(make_training(), data, output, **options)
    # Two rows of four 16 px images with 2 px between them; 8 images of 4x4 tokens.
    assert drawn["val/reconstructions"] == ((3, 38, 74), 4)
    values, step = drawn["val/code_usage"]
    assert step == 4
    # Every token by its code's rank: ranks begin at 0, and a lower one is at least as frequent.
    assert len(values) == 8 * 16
    counts = values.bincount()
    assert (counts[:-1] >= counts[1:]).all()
