"""A run's beginning, its end, and everything in between that can go wrong."""

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from regvq import load_tokenizer
from regvq.data import ImageDataModule
from regvq.errors import RegvqError
from regvq.losses import Objective
from regvq.nets import VQGANBackbone
from regvq.quantizers import RegularizedVectorQuantizer, VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import CosineRate, TokenizerTraining, TrainingInterrupted, fit
from regvq.training.run import quiet

Make = Callable[..., TokenizerTraining]
EVERYTHING: dict[str, Any] = {"adversarial": True, "ema_decay": 0.9, "schedule": CosineRate(2)}


class At(Callback):
    """Does something at the end of one training step."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            self.action()


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def raise_interrupt() -> None:
    raise KeyboardInterrupt


def test_a_resumed_run_repeats_the_uninterrupted_one_bit_for_bit(
    make_training: Make, make_data: Any, tmp_path: Path, options: dict[str, Any], recorder: Any
) -> None:
    # 12 steps of 5 batches an epoch: stopped in mid-epoch, and where a validation is due.
    options |= {"max_steps": 12, "val_check_interval": 4, "gradient_clip_val": 0.5}
    whole = recorder()
    fit(make_training(**EVERYTHING), make_data(), tmp_path / "whole", callbacks=[whole], **options)
    assert len(whole.train) == 12
    assert len(whole.val) == 3
    pieces = recorder()
    for step in (3, 8):
        with pytest.raises(TrainingInterrupted, match=f"step {step}; continue with"):
            fit(
                make_training(**EVERYTHING),
                make_data(),
                tmp_path / "pieces",
                resume=step > 3,
                callbacks=[pieces, At(step, press_ctrl_c)],
                **options,
            )
    last = make_training(**EVERYTHING)
    fit(last, make_data(), tmp_path / "pieces", resume=True, callbacks=[pieces], **options)
    assert pieces.train == whole.train
    assert pieces.val == whole.val
    fingerprints = {
        load_tokenizer(str(tmp_path / run / "tokenizer")).fingerprint() for run in ("whole", "pieces")
    }
    assert len(fingerprints) == 1


def test_a_run_of_convolutions_in_mixed_precision_is_resumed_bit_for_bit(
    make_data: Any, tmp_path: Path, options: dict[str, Any], recorder: Any
) -> None:
    options |= {"max_steps": 6, "val_check_interval": 3, "precision": "bf16-mixed", "logger": None}

    def training() -> TokenizerTraining:
        torch.manual_seed(0)
        backbone = VQGANBackbone([8, 8, 8], 1, 8, 4, attention=False, shortcut=True)
        return TokenizerTraining(
            ImageTokenizer(backbone, RegularizedVectorQuantizer(16, 8)), Objective(), ema_decay=0.9
        )

    whole, pieces = recorder(), recorder()
    fit(training(), make_data(), tmp_path / "whole", callbacks=[whole], **options)
    with pytest.raises(TrainingInterrupted, match="step 2; continue with"):
        fit(
            training(),
            make_data(),
            tmp_path / "pieces",
            callbacks=[pieces, At(2, press_ctrl_c)],
            **options,
        )
    fit(training(), make_data(), tmp_path / "pieces", resume=True, callbacks=[pieces], **options)
    assert pieces.train == whole.train
    assert pieces.val == whole.val


def test_a_log_that_finds_no_room_stops_with_a_sentence(
    make_training: Make,
    data: ImageDataModule,
    output: Path,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    options.pop("logger")
    monkeypatch.setattr(CSVLogger, "save", full)
    with pytest.raises(RegvqError, match=r"run has no room left \(No space left on device\): free some"):
        fit(make_training(), data, output, **options)


def test_a_thread_that_finds_no_room_says_it_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with quiet():
        thread = threading.Thread(target=full)
        thread.start()
        thread.join()
    assert capsys.readouterr().err == "regvq: a log cannot be written any more (No space left on device)\n"


def test_accumulation_is_resumed_at_the_last_whole_step(
    make_training: Make, make_data: Any, tmp_path: Path, options: dict[str, Any], recorder: Any
) -> None:
    options |= {"max_steps": 4, "limit_val_batches": 0, "accumulate_grad_batches": 2}
    whole, pieces = recorder(), recorder()
    fit(make_training(), make_data(), tmp_path / "whole", callbacks=[whole], **options)
    stop = At(1, press_ctrl_c)
    with pytest.raises(TrainingInterrupted, match="step 1;"):
        fit(make_training(), make_data(), tmp_path / "pieces", callbacks=[pieces, stop], **options)
    fit(make_training(), make_data(), tmp_path / "pieces", resume=True, callbacks=[pieces], **options)
    assert pieces.train == whole.train


def test_ctrl_c_saves_the_tokenizer_and_gives_the_handler_back(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted, match="--resume"):
        fit(make_training(), data, output, callbacks=[At(1, press_ctrl_c)], **options)
    assert load_tokenizer(str(output / "tokenizer")).codebook_size == 16
    assert (output / "checkpoints" / "last.ckpt").is_file()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_in_mid_step_keeps_the_checkpoint_before_it(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted, match="step 3; continue with"):
        fit(make_training(), data, output, callbacks=[At(3, raise_interrupt)], **options)
    last = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_averaged_weights_are_saved_and_returned(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    training = make_training(ema_decay=0.9)
    returned = fit(training, data, output, **options)
    saved = load_tokenizer(str(output / "tokenizer")).fingerprint()
    assert saved == returned.fingerprint() == training.averaged.model.fingerprint()
    assert saved != training.model.fingerprint()


@pytest.mark.parametrize("name", ["precious.txt", "config.yaml"])
def test_a_folder_that_holds_something_is_refused(
    name: str, make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    output.mkdir()
    (output / name).write_text("mine")
    with pytest.raises(RegvqError, match="is not empty: give another"):
        fit(make_training(), data, output, **options)
    assert [path.name for path in output.iterdir()] == [name]


def test_what_a_run_leaves_that_was_killed_before_its_first_checkpoint_is_no_obstacle(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    (output / "logs").mkdir(parents=True)
    (output / "config.yaml").write_text("of the run that was killed")
    fit(make_training(), data, output, **options)
    assert (output / "checkpoints" / "last.ckpt").is_file()


def test_a_finished_run_is_not_trained_over(
    make_training: Make, data: ImageDataModule, output: Path, options: dict[str, Any]
) -> None:
    fit(make_training(), data, output, **options)
    with pytest.raises(RegvqError, match="add --resume"):
        fit(make_training(), data, output, **options)


def test_nothing_to_resume(make_training: Make, data: ImageDataModule, output: Path) -> None:
    with pytest.raises(RegvqError, match=r"no .*last\.ckpt to resume from"):
        fit(make_training(), data, output, resume=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a checkpoint", "damaged or not a checkpoint"),
        (None, "damaged or not a checkpoint"),
        (
            {"optimizer_states": [], "lr_schedulers": [], "loops": {}, "state_dict": {}}
            | {"pytorch-lightning_version": "2.6.6"},
            "not one of a tokenizer's training",
        ),
        # What is left of a checkpoint without its optimizers is no place to go on from.
        ({"state_dict": {}, "pytorch-lightning_version": "2.6.6"}, "that a training can go on from"),
        ([1, 2], "that a training can go on from"),
    ],
)
def test_a_foreign_or_truncated_checkpoint_is_refused(
    make_training: Make, make_data: Any, output: Path, options: dict[str, Any], content: Any, message: str
) -> None:
    path = output / "checkpoints" / "last.ckpt"
    if content is None:
        fit(make_training(), make_data(), output, **options)
        path.write_bytes(path.read_bytes()[:-1000])
        (output / "checkpoints" / "previous.ckpt").unlink()
    else:
        path.parent.mkdir(parents=True)
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(RegvqError, match=message):
        fit(make_training(), make_data(), output, resume=True, **options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"quantizer": VectorQuantizer(32, 8)}, "another configuration"), ({"ema_decay": 0.9}, "averaged")],
)
def test_a_checkpoint_of_another_configuration_is_refused(
    make_training: Make, make_data: Any, output: Path, options: dict[str, Any], changed: Any, message: str
) -> None:
    fit(make_training(), make_data(), output, **options)
    with pytest.raises(RegvqError, match=message):
        fit(make_training(**changed), make_data(), output, resume=True, **options)
