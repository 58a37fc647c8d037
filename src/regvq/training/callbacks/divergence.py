"""Stops a training whose losses have exploded, although they are still numbers."""

import math
from typing import Any

import torch
from lightning.pytorch import Trainer

from regvq.errors import RegvqError
from regvq.training.base import ModelTraining
from regvq.training.callbacks.guard import Seen, StepGuard, values_of
from regvq.training.callbacks.last_checkpoint import way_back
from regvq.training.interruption import DivergedError

_ORDINARY = 1.0
"""A size that no loss of images in [-1, 1] or of tokens in nats is suspect for."""


class DivergenceGuard(StepGuard):
    """Looks at the size of every loss term.

    A term is out of bounds where it is more than ``factor`` times as large as usual, which is the
    geometric mean of its last batches, and at least 1. While one is, no checkpoint is written over a good
    one; when there has been one for ``patience`` batches in a row, the training ends with its name. Terms
    that the training calls ``balanced`` are left out: their size says nothing.

    Args:
        factor: how many times the usual size is out of bounds, above 1; ``.inf`` looks for nothing.
        patience: batches in a row.
        memory: batches over which the mean is taken.
        every_n_steps: batches between two looks; 0 is each on the CPU and every 50th elsewhere.

    Raises:
        RegvqError: an argument is out of its range.
    """

    def __init__(
        self, factor: float = 10.0, patience: int = 20, memory: int = 1000, every_n_steps: int = 0
    ) -> None:
        super().__init__(every_n_steps)
        if not (factor > 1 and patience >= 1 and memory >= 1):
            raise RegvqError(
                f"factor must be above 1, patience and memory at least 1, not {factor}, {patience} and "
                f"{memory}"
            )
        self.factor = factor
        self.patience = patience
        self.memory = memory
        self._usual: dict[str, float] = {}
        """Logarithm of every term's usual size."""
        self._batches = 0
        """In a row, in which a term was out of bounds."""

    def observe(self, trainer: Trainer, training: ModelTraining, batch: Any) -> None:
        """See ``StepGuard``."""
        terms = {name: value for name, value in training.terms.items() if name not in training.balanced}
        if terms:
            names, values = values_of(terms)
            self.record(trainer, 0, names, values.abs())

    def doubts(self, trainer: Trainer) -> bool:
        """See ``Guard``."""
        self.look(trainer)
        return self._batches > 0

    def judge(self, trainer: Trainer, seen: list[Seen]) -> None:
        """Raises ``DivergedError`` where a term has been out of bounds for too long."""
        sizes = torch.cat([one.values for one in seen]).tolist()
        for one in seen:
            now = dict(zip(one.names, sizes[: len(one.names)], strict=True))
            del sizes[: len(one.names)]
            # What is no number at all is the other guard's.
            now = {name: size for name, size in now.items() if 0 < size < math.inf}
            exploded = self._out_of_bounds(now)
            self._batches = self._batches + 1 if exploded else 0
            if self._batches >= self.patience:
                name, times = max(exploded.items(), key=lambda item: item[1])
                raise DivergedError(
                    f"the loss term {name!r} has exploded: {now[name]:.3g} at training batch {one.batch}, "
                    f"{times:.3g} times its usual size; {way_back(trainer)}; lower the learning rate, "
                    "clip the gradients, or let an adversary start later and weigh less"
                )

    def _out_of_bounds(self, sizes: dict[str, float]) -> dict[str, float]:
        """The terms that are, with how many times larger than usual they are; learns from the others."""
        exploded = {}
        for name, size in sizes.items():
            usual = self._usual.setdefault(name, math.log(size))
            times = size / max(math.exp(usual), _ORDINARY)
            if times > self.factor:
                exploded[name] = times
            else:
                self._usual[name] += (math.log(size) - usual) / self.memory
        return exploded
