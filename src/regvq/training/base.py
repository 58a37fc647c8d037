"""What the trainings of both stages share: model, optimizer, averaged weights, a checkpoint's identity."""

import json
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from regvq import ranks
from regvq.configurable import describe
from regvq.errors import RegvqError
from regvq.quantizers.collectives import sum_over_ranks
from regvq.quantizers.step_counter import StepCounter
from regvq.training.averaging import AveragedModel
from regvq.training.compilation import CompiledParts
from regvq.training.learning_rate import ConstantRate, LearningRateSchedule
from regvq.types import LossOutput


class Savable(Protocol):
    """A model that is one folder on disk."""

    def save_pretrained(self, path: str | Path) -> None:
        """Writes the folder."""


class ModelTraining(LightningModule, ABC):
    """Trains one model with Lightning's automatic optimization.

    ``global_step`` counts optimizer steps. Subclasses write ``training_step``, which runs its networks in
    ``as_compiled`` and ends with ``finish_batch``, and what validates.

    Every batch's figures are in ``values``; Lightning's loggers and ``callback_metrics`` have them every
    ``trainer.log_every_n_steps`` steps.

    Args:
        model: what is trained and saved.
        learning_rate: of the model.
        betas: Adam's.
        weight_decay: decoupled.
        schedule: a factor on every learning rate over the run; constant if none is given.
        ema_decay: of the averaged weights, which are validated and saved; ``None`` for none.
    """

    stage: ClassVar[str]
    """What the model is, one word; its folder inside a run is called so."""
    monitor: ClassVar[str]
    """The logged value that says which weights are the best."""
    mode: ClassVar[Literal["max", "min"]]
    """Whether more or less of it is better."""
    shown: ClassVar[dict[str, tuple[str, str]]]
    """Logged values that the progress shows, with their names and formats."""
    balanced: ClassVar[frozenset[str]] = frozenset()
    """Loss terms that are weighted by their gradients: their size is no sign of anything."""

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        betas: tuple[float, float],
        weight_decay: float,
        schedule: LearningRateSchedule | None,
        ema_decay: float | None,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise RegvqError(f"learning_rate must be positive, not {learning_rate}")
        if not all(0 <= beta < 1 for beta in betas):
            raise RegvqError(f"betas must be in [0, 1), not {list(betas)}")
        if not weight_decay >= 0:
            raise RegvqError(f"weight_decay must not be negative, not {weight_decay}")
        self.model = model
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.schedule = schedule or ConstantRate()
        self.averaged = None if ema_decay is None else AveragedModel(model, ema_decay)
        self.batches = StepCounter()
        """Training batches seen; with accumulation more than optimizer steps."""
        self.compiled: CompiledParts | None = None
        """The networks as training steps run them, where they are to be compiled."""
        self.terms: dict[str, Tensor] = {}
        """The last batch's loss terms, detached."""
        self.values: dict[str, Tensor] = {}
        """What is logged of the last batch, without its ``train/``: the loss, its terms, statistics."""

    @property
    def best_model(self) -> Any:
        """The model to validate and to save: the averaged one if there is one."""
        return self.model if self.averaged is None else self.averaged.model

    @abstractmethod
    def batch_images(self, batch: dict[str, Any]) -> int:
        """Number of images in a batch."""

    def pictures(self) -> dict[str, Tensor]:
        """What this validation can show, by name: ``[3, H, W]`` in [0, 1]; asked only if looked at."""
        return {}

    def histograms(self) -> dict[str, Tensor]:
        """Values whose distribution over this validation can be shown, by name, ``[M]``."""
        return {}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimizer trains; each group is clipped by itself."""
        return [{"params": list(self.model.parameters()), "lr": self.learning_rate}]

    def make_optimizer(self, fused: bool) -> Optimizer:
        """What trains the parameters.

        Args:
            fused: which implementation of AdamW.
        """
        return AdamW(self.parameter_groups(), betas=self.betas, weight_decay=self.weight_decay, fused=fused)

    def as_compiled(self) -> AbstractContextManager[None]:
        """Inside of it the networks run compiled, where that is asked for."""
        return nullcontext() if self.compiled is None else self.compiled.active()

    def finish_batch(self, loss: LossOutput, stats: dict[str, Tensor] | None = None) -> Tensor:
        """Takes note of a batch, its loss and statistics; returns what is minimised."""
        self.batches.value += 1
        self.terms = {name: value.detach() for name, value in loss.terms.items()}
        self.values = {"loss": loss.total.detach(), **self.terms, **loss.stats, **(stats or {})}
        return loss.total

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Logs the step where it is written; over several ranks the mean.

        Lightning takes a third of a millisecond and more for every value that it is told, which adds up to
        a twentieth or a tenth of a small model's step.
        """
        trainer: Any = self.trainer  # it has the attributes, its type does not say so
        every = trainer.log_every_n_steps
        due = every > 0 and self.global_step % every == 0
        values = self.values
        if due and ranks.world_size() > 1:
            means = sum_over_ranks(torch.stack([value.float() for value in values.values()]))
            values = dict(zip(values, means / ranks.world_size(), strict=True))
        if due or trainer.should_stop:  # which makes Lightning write this step, too
            self.log_values("train", values)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # On a CPU the plain loop over parameters takes a tenth of a small model's step; the fused form
        # does not. On a GPU it would do its own unscaling under fp16, which forbids clipping.
        optimizer = self.make_optimizer(fused=self.device.type == "cpu")
        total = self.trainer.estimated_stepping_batches
        scheduler = LambdaLR(optimizer, lambda step: self.schedule(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips each group by itself: a discriminator's norm does not shrink the tokenizer's step."""
        if not gradient_clip_val:
            return
        for group in optimizer.param_groups:
            if gradient_clip_algorithm == "value":
                torch.nn.utils.clip_grad_value_(group["params"], gradient_clip_val)
            else:
                torch.nn.utils.clip_grad_norm_(group["params"], gradient_clip_val)

    def begin_step(self, step: int) -> None:
        """See that optimizer step ``step`` begins, before its batches come; nothing to do here."""

    def on_train_start(self) -> None:
        self.begin_step(self.global_step)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.begin_step(self.global_step + 1)  # Lightning counts the step when this returns
        if self.averaged is not None:
            self.averaged.update(self.model)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[self._identity_key] = self._identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint that this training cannot continue.

        Raises:
            RegvqError: it is of something else, or of another model or objective.
        """
        if self._identity_key not in checkpoint:
            raise RegvqError(f"the checkpoint is not one of a {self.stage}'s training: give one that was")
        if checkpoint[self._identity_key] != self._identity():
            raise RegvqError(
                f"the checkpoint is of a {self.stage} with another configuration: resume with the "
                "configuration it was trained with, or train into another folder"
            )
        mine, theirs = _shapes(self.state_dict()), _shapes(checkpoint["state_dict"])
        if mine != theirs:
            name = sorted(item for item, _ in mine.items() ^ theirs.items())[0]
            raise RegvqError(
                f"the checkpoint does not fit this objective or averaging ({name} differs): resume "
                "with the configuration it was trained with"
            )

    def log_values(self, part: str, values: dict[str, Tensor]) -> None:
        """The one place where log keys are formed: ``<part>/<name>``."""
        self.log_dict({f"{part}/{name}": value.float() for name, value in values.items()})

    @property
    def _identity_key(self) -> str:
        return f"regvq_{self.stage}"

    def _identity(self) -> str:
        return json.dumps(describe(self.model), sort_keys=True)


def _shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
