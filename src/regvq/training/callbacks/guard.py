"""What the guards of a training share: when they look, and what is not saved while one of them doubts."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from regvq import ranks
from regvq.training.base import ModelTraining


class Guard(Callback):
    """Ends a training that has gone wrong with a sentence, its last good checkpoint kept.

    Every run has one of each kind; one that a configuration gives takes the place of its like.
    """

    def doubts(self, trainer: Trainer) -> bool:
        """Whether what was seen last may be the beginning of the end."""
        return False


def in_doubt(trainer: Trainer) -> bool:
    """Whether any guard of any process doubts; all processes ask together.

    Then nothing is saved over what is good.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # its type does not say so
    mine = [callback.doubts(trainer) for callback in callbacks if isinstance(callback, Guard)]
    return str(True) in ranks.gather(str(any(mine)))


@dataclass(frozen=True)
class Seen:
    """Some values of one training batch.

    Attributes:
        batch: its number.
        order: of two things that are wrong in one batch the lower comes first.
        names: of the values.
        values: ``[M]``, on the training's device.
    """

    batch: int
    order: int
    names: list[str]
    values: Tensor


class StepGuard(Guard):
    """Looks at values of every batch.

    A look waits for the device, so on a GPU the batches are recorded and looked at together; before
    anything is validated or saved they are looked at in any case.

    Args:
        every_n_steps: batches between two looks; 0 is each on the CPU and every 50th elsewhere.
    """

    def __init__(self, every_n_steps: int = 0) -> None:
        self.every_n_steps = every_n_steps
        self._seen: list[Seen] = []

    @abstractmethod
    def observe(self, trainer: Trainer, training: ModelTraining, batch: Any) -> None:
        """Records what there is to be seen of a batch that was trained."""

    @abstractmethod
    def judge(self, trainer: Trainer, seen: list[Seen]) -> None:
        """Raises where something recorded is wrong; ``seen`` is never empty."""

    def record(self, trainer: Trainer, order: int, names: list[str], values: Tensor) -> None:
        """Takes note of values ``[M]`` of the batch that is being trained."""
        number = trainer.fit_loop.total_batch_idx
        self._seen.append(Seen(number, order, names, values.detach()))

    def look(self, trainer: Trainer) -> None:
        """Judges what was recorded since the last look."""
        seen, self._seen = self._seen, []
        if seen:
            self.judge(trainer, seen)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ModelTraining)
        self.observe(trainer, pl_module, batch)
        every = self.every_n_steps or (1 if pl_module.device.type == "cpu" else 50)
        if pl_module.batches.value % every == 0:
            self.look(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.look(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.look(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.look(trainer)


def values_of(terms: dict[str, Tensor]) -> tuple[list[str], Tensor]:
    """Names and float32 values ``[M]`` of loss terms."""
    return list(terms), torch.stack([value.float() for value in terms.values()])
