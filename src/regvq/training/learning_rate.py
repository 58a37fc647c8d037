"""How the learning rate changes over a training run."""

import math
from abc import ABC, abstractmethod

from regvq.errors import RegvqError


class LearningRateSchedule(ABC):
    """A factor on every learning rate, as a pure function of the step.

    The length of the run is handed in, because the trainer knows it already. The factor grows
    linearly to 1 over the first ``warmup`` steps.

    Args:
        warmup: steps, not negative.
    """

    def __init__(self, warmup: int = 0) -> None:
        if warmup < 0:
            raise RegvqError(f"warmup must not be negative, not {warmup}")
        self.warmup = warmup

    def __call__(self, step: int, total: float) -> float:
        """The factor at ``step`` (0, 1, …) of a run of ``total`` steps, which may be infinite."""
        return min(1.0, (step + 1) / max(self.warmup, 1)) * self.shape(step, total)

    @abstractmethod
    def shape(self, step: int, total: float) -> float:
        """The factor without the warm-up."""


class ConstantRate(LearningRateSchedule):
    """The full learning rate after the warm-up."""

    def shape(self, step: int, total: float) -> float:
        return 1.0


class CosineRate(LearningRateSchedule):
    """Half a cosine wave from 1 to ``end`` at the last step of the run.

    Args:
        warmup: steps, not negative.
        end: the factor at the last step, in [0, 1].
    """

    def __init__(self, warmup: int = 0, end: float = 0.0) -> None:
        super().__init__(warmup)
        if not 0 <= end <= 1:
            raise RegvqError(f"end must be in [0, 1], not {end}")
        self.end = end

    def shape(self, step: int, total: float) -> float:
        """Raises ``RegvqError`` where the run has no end."""
        if math.isinf(total):
            raise RegvqError("a cosine schedule needs an end: give trainer.max_steps or trainer.max_epochs")
        progress = min(step / max(total, 1), 1.0)
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * progress)) / 2
