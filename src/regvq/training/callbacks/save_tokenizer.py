"""The run's result: a tokenizer folder, always whole."""

import math
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from regvq.errors import RegvqError
from regvq.training.module import TokenizerTraining
from regvq.training.run_folder import RunFolder


class SaveTokenizer(Callback):
    """Saves the latest tokenizer, with its averaged weights if there are some, and the best one.

    After every validation, at the end, and when training is cut short.

    Args:
        folder: of the run; ``tokenizer/`` and ``tokenizer-best/`` are written into it.
        monitor: the logged value that says which is best.
        mode: whether more of it or less is better.
    """

    def __init__(
        self, folder: RunFolder, monitor: str = "val/psnr", mode: Literal["max", "min"] = "max"
    ) -> None:
        self.folder = folder
        self.monitor = monitor
        self.mode = mode
        self.best = -math.inf if mode == "max" else math.inf

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        assert isinstance(pl_module, TokenizerTraining)
        self._save(trainer, pl_module)
        score = trainer.callback_metrics.get(self.monitor)
        if score is None:
            raise RegvqError(f"no value {self.monitor!r} is logged: name one that is, e.g. 'val/psnr'")
        if float(score) > self.best if self.mode == "max" else float(score) < self.best:
            self.best = float(score)
            if trainer.is_global_zero:
                pl_module.best_tokenizer.save_pretrained(self.folder.best_tokenizer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TokenizerTraining)
        self._save(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # After one of our own errors the weights are broken, or the disk is full already.
        assert isinstance(pl_module, TokenizerTraining)
        if isinstance(exception, RegvqError) or trainer.global_step == 0:
            return
        if all(value.isfinite().all() for value in pl_module.best_tokenizer.parameters()):
            self._save(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    @torch.no_grad()
    def _save(self, trainer: Trainer, pl_module: TokenizerTraining) -> None:
        if trainer.is_global_zero:
            pl_module.best_tokenizer.save_pretrained(self.folder.tokenizer)
