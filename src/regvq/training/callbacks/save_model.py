"""The run's result: a model's folder, always whole."""

import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from regvq.errors import RegvqError
from regvq.training.base import ModelTraining
from regvq.training.callbacks.due import validation_is_due
from regvq.training.callbacks.guard import in_doubt
from regvq.training.run_folder import RunFolder
from regvq.training.sharding import is_split, whole


class SaveModel(Callback):
    """Saves the latest model, with its averaged weights if there are some, and the best one.

    After every validation, at the end, and when training is cut short; always before ``LastCheckpoint``
    marks the step as done. Which is best is decided by the training's ``monitor`` and ``mode``.

    Args:
        folder: of the run; ``<stage>/`` and ``<stage>-best/`` are written into it.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.best: float | None = None
        self._saved_step = -1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # A run that is killed behind the last step's checkpoint is done: nothing would save its model.
        if trainer.global_step == trainer.max_steps and not validation_is_due(trainer):
            assert isinstance(pl_module, ModelTraining)
            if not in_doubt(trainer):
                self._save_last(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        assert isinstance(pl_module, ModelTraining)
        if not in_doubt(trainer):
            self._save_last(trainer, pl_module)
        score = trainer.callback_metrics.get(pl_module.monitor)
        if score is None:
            raise RegvqError(f"no value {pl_module.monitor!r} is logged: it decides which weights are best")
        sign = 1 if pl_module.mode == "max" else -1
        if sign * float(score) > (-math.inf if self.best is None else sign * self.best):
            self.best = float(score)
            self._save(trainer, pl_module, self.folder.best_model)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ModelTraining)
        if trainer.global_step != self._saved_step:
            self._save_last(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # After one of our own errors the weights are broken, or the disk is full already.
        assert isinstance(pl_module, ModelTraining)
        if isinstance(exception, RegvqError) or trainer.global_step == 0:
            return
        if is_split(pl_module.best_model):
            return  # the other processes need not have come here, and hold parts of it
        if all(value.isfinite().all() for value in pl_module.best_model.parameters()):
            self._save_last(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _save_last(self, trainer: Trainer, pl_module: ModelTraining) -> None:
        self._save(trainer, pl_module, self.folder.model)
        self._saved_step = trainer.global_step

    @torch.no_grad()
    def _save(self, trainer: Trainer, pl_module: ModelTraining, place: Path) -> None:
        model = whole(pl_module.best_model)
        if trainer.is_global_zero:
            model.save_pretrained(place)
