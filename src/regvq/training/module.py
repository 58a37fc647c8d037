"""Stage 1 as a LightningModule: a tokenizer, its objective, and one optimizer for both sides."""

import json
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from regvq.configurable import describe
from regvq.errors import RegvqError
from regvq.losses import Objective
from regvq.metrics import PSNR, CodebookUsage
from regvq.quantizers.step_counter import StepCounter
from regvq.tokenizers import ImageTokenizer
from regvq.training.averaging import AveragedTokenizer
from regvq.training.learning_rate import ConstantRate, LearningRateSchedule
from regvq.types import LossOutput, QuantizerOutput

IDENTITY = "regvq_tokenizer"
"""The checkpoint's key that says which tokenizer it belongs to."""


class TokenizerTraining(LightningModule):
    """Trains an image tokenizer on batches ``{"image": [B, 3, H, W] in [-1, 1]}``.

    The objective's total holds the generator's and the discriminator's side, isolated from each
    other. So Lightning's automatic optimization does everything: accumulation, precision and
    ``global_step``, which counts optimizer steps.

    Logs ``train/loss``, ``train/<term>`` and ``train/<statistic>``; over the whole validation set
    ``val/psnr`` (dB), ``val/l1``, ``val/usage`` in [0, 1] and ``val/perplexity`` in [1, N].

    Args:
        tokenizer: what is trained.
        objective: what is minimised; L1 and the quantizer's own losses if none is given.
        learning_rate: of the tokenizer.
        discriminator_learning_rate: of the discriminator; the tokenizer's if none is given.
        betas: Adam's.
        weight_decay: decoupled, on both.
        schedule: a factor on both learning rates over the run; constant if none is given.
        ema_decay: of the averaged weights, which are validated and saved; ``None`` for none.
    """

    def __init__(
        self,
        tokenizer: ImageTokenizer,
        objective: Objective | None = None,
        learning_rate: float = 1e-3,
        discriminator_learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
        schedule: LearningRateSchedule | None = None,
        ema_decay: float | None = None,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise RegvqError(f"learning_rate must be positive, not {learning_rate}")
        self.tokenizer = tokenizer
        self.objective = objective or Objective()
        self.learning_rate = learning_rate
        self.discriminator_learning_rate = discriminator_learning_rate or learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.schedule = schedule or ConstantRate()
        self.averaged = None if ema_decay is None else AveragedTokenizer(tokenizer, ema_decay)
        self.batches = StepCounter()
        """Training batches seen; with accumulation more than optimizer steps."""
        self.terms: dict[str, Tensor] = {}
        """The last batch's loss terms, detached."""
        self.psnr = PSNR()
        self.l1 = MeanMetric()
        self.codebook_usage = CodebookUsage(tokenizer.codebook_size)

    @property
    def best_tokenizer(self) -> ImageTokenizer:
        """The tokenizer to validate and to save: the averaged one if there is one."""
        return self.tokenizer if self.averaged is None else self.averaged.tokenizer

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        images = batch["image"]
        output = self.tokenizer(images)
        last_layer = self.tokenizer.backbone.last_layer
        loss = self.objective(images, output, self.global_step, last_layer)
        self.batches.value += 1
        self.terms = {name: value.detach() for name, value in loss.terms.items()}
        self._log_training(loss, output.quantizer, len(images))
        total: Tensor = loss.total
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Returns the images and their reconstructions, both [B, 3, H, W] in [-1, 1]."""
        images = batch["image"]
        codes = self.best_tokenizer.encode(images)
        reconstruction = self.best_tokenizer.decode(codes)
        self.psnr.update(reconstruction, images)
        self.l1.update((reconstruction.float() - images).abs().mean(), len(images))
        self.codebook_usage.update(codes)
        return {"image": images, "reconstruction": reconstruction}

    def on_validation_epoch_end(self) -> None:
        used = self.codebook_usage.compute()
        values = {"psnr": self.psnr.compute(), "l1": self.l1.compute()}
        values |= {"usage": used["usage"], "perplexity": used["perplexity"]}
        self._log("val", values)
        for metric in (self.psnr, self.l1, self.codebook_usage):
            metric.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        groups = [{"params": list(self.tokenizer.parameters()), "lr": self.learning_rate}]
        discriminator = self.objective.discriminator_parameters()
        if discriminator:
            groups.append({"params": discriminator, "lr": self.discriminator_learning_rate})
        # On a CPU the plain loop over parameters takes a tenth of a small model's step; the fused form
        # does not. On a GPU it would do its own unscaling under fp16, which forbids clipping.
        fused = self.device.type == "cpu"
        optimizer = AdamW(groups, betas=self.betas, weight_decay=self.weight_decay, fused=fused)
        total = self.trainer.estimated_stepping_batches
        scheduler = LambdaLR(optimizer, lambda step: self.schedule(step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips each side by itself: the discriminator's norm does not shrink the tokenizer's step."""
        if not gradient_clip_val:
            return
        for group in optimizer.param_groups:
            if gradient_clip_algorithm == "value":
                torch.nn.utils.clip_grad_value_(group["params"], gradient_clip_val)
            else:
                torch.nn.utils.clip_grad_norm_(group["params"], gradient_clip_val)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            self.averaged.update(self.tokenizer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[IDENTITY] = json.dumps(describe(self.tokenizer), sort_keys=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint that this training cannot continue.

        Raises:
            RegvqError: it is of something else, or of another tokenizer or objective.
        """
        if IDENTITY not in checkpoint:
            raise RegvqError("the checkpoint is not one of a tokenizer's training: give one that was")
        if checkpoint[IDENTITY] != json.dumps(describe(self.tokenizer), sort_keys=True):
            raise RegvqError(
                "the checkpoint is of a tokenizer with another configuration: resume with the "
                "configuration it was trained with, or train into another folder"
            )
        mine, theirs = _shapes(self.state_dict()), _shapes(checkpoint["state_dict"])
        if mine != theirs:
            name = sorted(item for item, _ in mine.items() ^ theirs.items())[0]
            raise RegvqError(
                f"the checkpoint does not fit this objective or averaging ({name} differs): resume "
                "with the configuration it was trained with"
            )

    def _log_training(self, loss: LossOutput, quantizer: QuantizerOutput, batch_size: int) -> None:
        self._log("train", {"loss": loss.total.detach()}, batch_size=batch_size, prog_bar=True)
        self._log("train", {**self.terms, **loss.stats, **quantizer.stats}, batch_size=batch_size)

    def _log(self, stage: str, values: dict[str, Tensor], **options: Any) -> None:
        """The one place where log keys are formed: ``<stage>/<name>``."""
        self.log_dict({f"{stage}/{name}": value.float() for name, value in values.items()}, **options)


def _shapes(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
