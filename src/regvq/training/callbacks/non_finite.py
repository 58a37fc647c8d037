"""Stops a training that has become NaN, before anything of it is saved."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from regvq.training.base import ModelTraining
from regvq.training.interruption import NonFiniteError


class NonFiniteGuard(Callback):
    """Looks at every loss term and every gradient.

    What it finds ends the training with the term's name, the step, and the checkpoint to go back to.
    A look waits for the device, so on a GPU the steps are recorded and looked at together; before
    anything is validated or saved they are looked at in any case.

    Args:
        last: the checkpoint to name, if it has been written.
        every_n_steps: batches between two looks; 0 is each on the CPU and every 50th elsewhere.
    """

    def __init__(self, last: Path | None = None, every_n_steps: int = 0) -> None:
        self.last = last
        self.every_n_steps = every_n_steps
        self._steps: list[int] = []
        self._names: list[list[str]] = []
        self._values: list[Tensor] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        # With a gradient scaler infinite gradients are part of the method: it skips such steps.
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        found = [(name, p.grad) for name, p in pl_module.named_parameters() if p.grad is not None]
        norms = torch.stack(torch._foreach_norm([gradient for _, gradient in found]))
        self._record(trainer, [f"the gradient of {name}" for name, _ in found], norms)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ModelTraining)
        terms = pl_module.terms
        values = torch.stack([value.float() for value in terms.values()])
        self._record(trainer, [f"the loss term {name!r}" for name in terms], values)
        every = self.every_n_steps or (1 if pl_module.device.type == "cpu" else 50)
        if pl_module.batches.value % every == 0:
            self.look()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.look()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.look()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.look()

    def look(self) -> None:
        """Raises ``NonFiniteError`` where something recorded is NaN or infinite."""
        steps, names, values = self._steps, self._names, self._values
        self._steps, self._names, self._values = [], [], []
        if not values or torch.cat(values).isfinite().all():
            return
        # Within a step the loss comes first, although its gradient was recorded before it.
        order = sorted(range(len(steps)), key=lambda i: (steps[i], "gradient" in names[i][0]))
        for index in order:
            bad = (~values[index].isfinite()).nonzero().flatten().tolist()
            if bad:
                self._stop(steps[index], names[index][bad[0]], float(values[index][bad[0]]))

    def _record(self, trainer: Trainer, names: list[str], values: Tensor) -> None:
        # After the optimizer step global_step has moved on; both belong to the batch just trained.
        self._steps.append(trainer.fit_loop.total_batch_idx)
        self._names.append(names)
        self._values.append(values.detach())

    def _stop(self, step: int, name: str, value: float) -> None:
        back = "no checkpoint has been written yet"
        if self.last is not None and self.last.is_file():
            back = f"the checkpoint to go back to is {self.last}"
        raise NonFiniteError(
            f"{name} is {value} at training batch {step}; {back}; lower the learning rate, clip the "
            "gradients, or look at the data"
        )
