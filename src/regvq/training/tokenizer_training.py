"""Stage 1 as a LightningModule: a tokenizer, its objective, and one optimizer for both sides."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric
from torchvision.utils import make_grid

from regvq.losses import Objective
from regvq.metrics import PSNR, CodebookUsage
from regvq.tokenizers import ImageTokenizer
from regvq.training.base import ModelTraining
from regvq.training.compilation import CompiledParts
from regvq.training.learning_rate import LearningRateSchedule

SHOWN_IMAGES = 8
"""How many images of the first validation batch TensorBoard shows."""


class TokenizerTraining(ModelTraining):
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
        compile: whether training steps run encoder, decoder, feature nets and discriminator through
            ``torch.compile``: the first step takes a minute or more, the others less (docs/performance.md).
        channels_last: whether images and convolutions are laid out with the channels last.
    """

    stage: ClassVar[str] = "tokenizer"
    monitor: ClassVar[str] = "val/psnr"
    mode: ClassVar[Literal["max", "min"]] = "max"
    shown: ClassVar[dict[str, tuple[str, str]]] = {
        "train/loss": ("loss", "{:.4f}"),
        "train/reconstruction": ("reconstruction", "{:.4f}"),
        "train/usage": ("usage", "{:.1%}"),
        "train/perplexity": ("perplexity", "{:.0f}"),
        "val/psnr": ("val PSNR", "{:.2f} dB"),
        "val/usage": ("val usage", "{:.1%}"),
    }
    balanced: ClassVar[frozenset[str]] = frozenset({"adversarial"})
    model: ImageTokenizer

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
        compile: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__(tokenizer, learning_rate, betas, weight_decay, schedule, ema_decay)
        self.objective = objective or Objective()
        self.discriminator_learning_rate = discriminator_learning_rate or learning_rate
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.layout)
        if compile:
            last = tokenizer.backbone.last_layer
            self.compiled = CompiledParts(tokenizer, self.objective, eager=(last,))
        self.shown_images = torch.empty(0)
        self.psnr = PSNR()
        self.l1 = MeanMetric()
        self.codebook_usage = CodebookUsage(tokenizer.codebook_size)

    def batch_images(self, batch: dict[str, Any]) -> int:
        return len(batch["image"])

    def pictures(self) -> dict[str, Tensor]:
        """Originals above their reconstructions."""
        if not len(self.shown_images):
            return {}
        row = len(self.shown_images) // 2
        return {
            "reconstructions": make_grid(self.shown_images, nrow=row, normalize=True, value_range=(-1, 1))
        }

    def histograms(self) -> dict[str, Tensor]:
        """Every token by the rank of its code, the most used code first: a bar is a share of the tokens."""
        counts = self.codebook_usage.compute()["counts"].flatten().sort(descending=True).values.cpu()
        return {"code_usage": torch.arange(len(counts)).repeat_interleave(counts)}

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = super().parameter_groups()
        discriminator = self.objective.discriminator_parameters()
        if discriminator:
            groups.append({"params": discriminator, "lr": self.discriminator_learning_rate})
        return groups

    def begin_step(self, step: int) -> None:
        """Hand the quantizer the step: its schedules count optimizer steps, as all others do."""
        self.model.quantizer.set_step(step)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        images = batch["image"].contiguous(memory_format=self.layout)
        last_layer = self.model.backbone.last_layer
        with self.as_compiled():
            output = self.model(images)
            loss = self.objective(images, output, self.global_step, last_layer)
        return self.finish_batch(loss, output.quantizer.stats)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Before the adversary's start the optimizer passes the discriminator over.

        On several ranks it has gradients of zero, with which its weights would decay and Adam's averages
        age; on one it has none.
        """
        adversary = self.objective.adversarial
        if adversary is not None and self.global_step < adversary.start:
            for parameter in self.objective.discriminator_parameters():
                parameter.grad = None

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        images = batch["image"]
        codes = self.best_model.encode(images)
        reconstruction = self.best_model.decode(codes)
        self.psnr.update(reconstruction, images)
        self.l1.update((reconstruction.float() - images).abs().mean(), len(images))
        self.codebook_usage.update(codes)
        if batch_idx == 0:
            pair = [part[:SHOWN_IMAGES].float().cpu() for part in (images, reconstruction)]
            self.shown_images = torch.cat(pair)

    def on_validation_epoch_end(self) -> None:
        used = self.codebook_usage.compute()
        values = {"psnr": self.psnr.compute(), "l1": self.l1.compute()}
        values |= {"usage": used["usage"], "perplexity": used["perplexity"]}
        self.log_values("val", values)
        for metric in (self.psnr, self.l1, self.codebook_usage):
            metric.reset()
