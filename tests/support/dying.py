"""A process that is killed in the middle of a training, as a machine's want of memory would kill it."""

import os
import signal
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from regvq import ranks


class Dying(Callback):
    """Kills one rank when a step begins, the first time that torchrun has started the processes.

    Args:
        rank: which.
        step: optimizer steps that are done by then; the other ranks have done them, too, for they average
            gradients.
    """

    def __init__(self, rank: int, step: int) -> None:
        self.rank = rank
        self.step = step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == self.step and not ranks.restarted():
            os.kill(os.getpid(), signal.SIGKILL)
