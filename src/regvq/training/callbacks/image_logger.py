"""Reconstructions and code usage in TensorBoard."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torchvision.utils import make_grid

from regvq.training.module import TokenizerTraining


class ImageLogger(Callback):
    """On every validation: originals above their reconstructions, and how often each code was used.

    Does nothing where no TensorBoard logger is attached.

    Args:
        images: how many of the first validation batch are shown.
    """

    def __init__(self, images: int = 8) -> None:
        self.images = images
        self._shown: Tensor | None = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0 and self._boards(trainer):
            pair = [outputs[name][: self.images].float().cpu() for name in ("image", "reconstruction")]
            self._shown = torch.cat(pair)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TokenizerTraining)
        if self._shown is None:
            return
        grid = make_grid(self._shown, nrow=len(self._shown) // 2, normalize=True, value_range=(-1, 1))
        for board in self._boards(trainer):
            board.experiment.add_image("val/reconstructions", grid, trainer.global_step)
            # The metric counts this rank's codes; its scalar figures are summed over ranks.
            counts = pl_module.codebook_usage.counts.sort(descending=True).values
            board.experiment.add_histogram("val/code_counts", counts.cpu(), trainer.global_step)
        self._shown = None

    @staticmethod
    def _boards(trainer: Trainer) -> list[TensorBoardLogger]:
        return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
