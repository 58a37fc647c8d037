"""Stops a training that has become NaN, before anything of it is saved."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from regvq.training.base import ModelTraining
from regvq.training.callbacks.guard import Seen, StepGuard, values_of
from regvq.training.callbacks.last_checkpoint import way_back
from regvq.training.interruption import NonFiniteError
from regvq.training.sharding import joined

_INPUT, _LOSS, _GRADIENT = range(3)
"""Within a batch what comes first in the computation is named, although the gradient is recorded first."""


class NonFiniteGuard(StepGuard):
    """Looks at the data, at every loss term and at every gradient.

    What it finds ends the training with the name, the batch, and the checkpoint to go back to.

    Args:
        every_n_steps: batches between two looks; 0 is each on the CPU and every 50th elsewhere.
    """

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        # With a gradient scaler infinite gradients are part of the method: it skips such steps.
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        found = [(name, p.grad) for name, p in pl_module.named_parameters() if p.grad is not None]
        norms = joined(torch.stack(torch._foreach_norm([gradient for _, gradient in found])))
        self.record(trainer, _GRADIENT, [f"the gradient of {name}" for name, _ in found], norms)

    def observe(self, trainer: Trainer, training: ModelTraining, batch: Any) -> None:
        """See ``StepGuard``."""
        given = {
            name: value.abs().amax()
            for name, value in batch.items()
            if isinstance(value, Tensor) and value.is_floating_point()
        }
        if given:
            names, values = values_of(given)
            self.record(trainer, _INPUT, [f"the data's {name!r}" for name in names], values)
        names, values = values_of(training.terms)
        self.record(trainer, _LOSS, [f"the loss term {name!r}" for name in names], values)

    def judge(self, trainer: Trainer, seen: list[Seen]) -> None:
        """Raises ``NonFiniteError`` where something recorded is NaN or infinite."""
        if torch.cat([one.values for one in seen]).isfinite().all():
            return
        for one in sorted(seen, key=lambda one: (one.batch, one.order)):
            bad = (~one.values.isfinite()).nonzero().flatten().tolist()
            if bad:
                raise NonFiniteError(
                    f"{one.names[bad[0]]} is {float(one.values[bad[0]])} at training batch {one.batch}; "
                    f"{way_back(trainer)}; lower the learning rate, clip the gradients, or look at "
                    "the data"
                )
