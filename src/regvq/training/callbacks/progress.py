"""Progress that can be read in a terminal and in a log file."""

import sys
import time
from collections.abc import Iterable
from typing import Any

import rich.progress
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import RenderableType
from rich.text import Text

from regvq.training.base import ModelTraining


class _TwoRows(rich.progress.Progress):
    """A bar, and under it what there is to say: side by side they would not fit a narrow terminal."""

    figures = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        yield Text(f"  {self.figures}", style="dim", overflow="fold")


class Progress(ProgressBar):
    """Step, the training's ``shown`` figures, images per second: a bar in a terminal, a line elsewhere.

    Args:
        title: in front of everything, e.g. which of several trainings this is.
        seconds: between two lines where the output is no terminal.
    """

    def __init__(self, title: str = "training", seconds: float = 10.0) -> None:
        super().__init__()
        self.title = title
        self.terminal = sys.stderr.isatty()
        self.seconds = 0.5 if self.terminal else seconds
        self._bar: _TwoRows | None = None
        self._task = rich.progress.TaskID(0)
        self._images = 0
        self._since = self._shown_at = 0.0
        self._enabled = True

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = self._shown_at = time.monotonic()
        if self.terminal and self._enabled:
            self._bar = _TwoRows(
                rich.progress.TextColumn("{task.description}"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeRemainingColumn(),
                console=rich.console.Console(stderr=True),
            )
            total = _total_steps(trainer)
            self._task = self._bar.add_task(self.title, total=total)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ModelTraining)
        self._images += pl_module.batch_images(batch) * trainer.world_size
        if time.monotonic() - self._shown_at >= self.seconds:
            self._show(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._paused_at = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Seconds of validation do not count against images per second.
        self._since += time.monotonic() - self._paused_at
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._show(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._images:
            self._show(trainer, pl_module)
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._close()

    def _show(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ModelTraining)
        now = time.monotonic()
        speed = self._images / max(now - self._since, 1e-9)
        last = {f"train/{name}": value for name, value in pl_module.values.items()}
        known = {**trainer.callback_metrics, **last}
        figures = [
            f"{name} {form.format(float(known[key]))}"
            for key, (name, form) in pl_module.shown.items()
            if key in known
        ]
        if self._images:
            figures.append(f"{speed:.0f} images/s")
        self._images, self._since, self._shown_at = 0, now, now
        text = " · ".join(figures)
        if self._bar is not None:
            self._bar.figures = text
            self._bar.update(self._task, completed=trainer.global_step)
        elif self._enabled:
            total = _total_steps(trainer)
            of = "" if total is None else f"/{total:.0f}"
            print(f"{self.title} · step {trainer.global_step}{of} · {text}", file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _total_steps(trainer: Trainer) -> float | None:
    total = trainer.estimated_stepping_batches
    return None if total in (float("inf"), -1) else float(total)
