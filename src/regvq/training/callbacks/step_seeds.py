"""Random numbers of a training step as a function of the step."""

import hashlib
import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from regvq.training.base import ModelTraining


class StepSeeds(Callback):
    """Seeds Python, NumPy and torch before every batch from (seed, rank, batches seen).

    So a resumed run draws what the uninterrupted one would have drawn, whatever validation, loaders
    or loggers drew in between, and the checkpoint need not carry the generators' states.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ModelTraining)
        seed_everything(step_seed(self.seed, trainer.global_rank, pl_module.batches.value))


def step_seed(seed: int, rank: int, batch: int) -> int:
    """32 well-mixed bits: neighbouring batches and ranks have nothing in common."""
    digest = hashlib.sha256(f"{seed} {rank} {batch}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def seed_everything(seed: int) -> None:
    """Seeds the three global generators that a model might draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global one is what foreign code draws from
    torch.manual_seed(seed)
