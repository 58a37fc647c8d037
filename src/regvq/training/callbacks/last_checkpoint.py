"""The checkpoint to resume from, and the way out on Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from regvq.training.callbacks.due import validation_is_due
from regvq.training.callbacks.guard import in_doubt
from regvq.training.interruption import StopRequested


class LastCheckpoint(Checkpoint):
    """Writes one checkpoint over and over, only at points from which training goes on bit for bit.

    The one before it is kept, for the case that the last one is damaged later.

    Those are: after an optimizer step that no validation follows, after a validation, after the last epoch.
    Ctrl-C waits for the next of them; a second Ctrl-C does not wait.

    Args:
        path: of the checkpoint.
        previous: of the one before it.
        start: of the one that this run goes on from, if it does.
        every_n_steps: optimizer steps between two writings, besides that after every validation.
    """

    def __init__(
        self, path: Path, previous: Path, start: Path | None = None, every_n_steps: int = 500
    ) -> None:
        self.path = path
        self.previous = previous
        # Where the run goes on from the one before, a damaged last one must not take its place.
        self._replaceable = start != previous
        self.every_n_steps = every_n_steps
        self._seen_step = 0
        self._saved_step = 0
        self._requested = False

    @contextmanager
    def on_ctrl_c(self) -> Iterator[None]:
        """While this lasts the first Ctrl-C asks for the next checkpoint and the end after it."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may listen to signals
            return
        before = signal.signal(signal.SIGINT, self._request)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen_step = self._saved_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step == self._seen_step:  # gradients are being accumulated: they are in no checkpoint
            return
        self._seen_step = step
        wanted = step % self.every_n_steps == 0 or step == trainer.max_steps or self._requested
        if wanted and not validation_is_due(trainer):
            self._save(trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._requested and trainer.global_step == self._saved_step:
            raise StopRequested

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking and self._seen_step > 0:
            self._save(trainer)
            if self._requested:
                raise StopRequested

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step > self._saved_step:
            self._write(trainer)  # the end: what was in doubt stays so
        if self._requested:
            raise StopRequested

    def _save(self, trainer: Trainer) -> None:
        if not in_doubt(trainer):
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        options = {"previous": self.previous if self._replaceable else None}
        trainer.save_checkpoint(self.path, storage_options=options)
        self._replaceable = True
        self._saved_step = trainer.global_step

    def _request(self, signum: int, frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True


def way_back(trainer: Trainer) -> str:
    """The checkpoint to go back to and the one that validated best, as a part of a sentence."""
    said = "no checkpoint has been written yet"
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, LastCheckpoint) and callback.path.is_file():
            said = f"the checkpoint to go back to is {callback.path}"
    best = [one.best_model_path for one in trainer.checkpoint_callbacks if isinstance(one, ModelCheckpoint)]
    return said + "".join(f", the one that validated best {path}" for path in best[:1] if path)
