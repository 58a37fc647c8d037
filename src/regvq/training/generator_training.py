"""Stage 2 as a LightningModule: a generator learns the codes of a frozen tokenizer."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric
from torchvision.utils import make_grid

from regvq.errors import RegvqError
from regvq.generators import Generator
from regvq.nets import TransformerBlock
from regvq.tokenizers import ImageTokenizer
from regvq.training.base import ModelTraining
from regvq.training.compilation import CompiledParts
from regvq.training.learning_rate import LearningRateSchedule
from regvq.training.muon import MuonAdamW, MuonOptions, split_matrices
from regvq.types import SamplingOptions

SHOWN_IMAGES = 8
"""How many conditions of the first validation batch TensorBoard shows samples of."""


class GeneratorTraining(ModelTraining):
    """Trains a generator on batches that hold codes, or images that are encoded on the fly.

    Logs ``train/loss``, ``train/<term>``, ``train/bits_per_token``, and over the whole validation set
    ``val/bits_per_token``, the same for the same weights.

    Args:
        generator: what is trained.
        tokenizer: frozen; neither trained nor kept in checkpoints.
        learning_rate: of the generator.
        betas: Adam's.
        weight_decay: decoupled.
        schedule: a factor on the learning rate over the run; constant if none is given.
        ema_decay: of the averaged weights, which are validated and saved; ``None`` for none.
        samples: whether TensorBoard gets samples at every validation.
        muon: trains the matrices inside the transformer's blocks, which then learn in far fewer steps
            (docs/results.md); AdamW trains all where none is given.
        compile: whether training steps run the transformer's blocks through ``torch.compile``: the first
            step takes longer, the others less (docs/performance.md).

    Raises:
        RegvqError: the tokenizer is not the generator's.
    """

    stage: ClassVar[str] = "generator"
    monitor: ClassVar[str] = "val/bits_per_token"
    mode: ClassVar[Literal["max", "min"]] = "min"
    shown: ClassVar[dict[str, tuple[str, str]]] = {
        "train/loss": ("loss", "{:.4f}"),
        "train/bits_per_token": ("bits/token", "{:.3f}"),
        "val/bits_per_token": ("val bits/token", "{:.3f}"),
    }
    model: Generator

    def __init__(
        self,
        generator: Generator,
        tokenizer: ImageTokenizer,
        learning_rate: float = 3e-4,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.01,
        schedule: LearningRateSchedule | None = None,
        ema_decay: float | None = None,
        samples: bool = True,
        muon: MuonOptions | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__(generator, learning_rate, betas, weight_decay, schedule, ema_decay)
        generator.require(tokenizer)
        # Inside a tuple it is no submodule: it is not trained, and stays out of every checkpoint.
        self._frozen = (tokenizer.requires_grad_(False).eval(),)
        self.samples = samples
        self.muon = muon
        if compile:
            self.compiled = CompiledParts(generator)
        self.bits = MeanMetric()
        self._shown: tuple[Tensor, Tensor] | None = None

    @property
    def tokenizer(self) -> ImageTokenizer:
        """The frozen tokenizer, on the device of the generator."""
        return self._frozen[0]

    def on_fit_start(self) -> None:
        self.tokenizer.to(self.device)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Adds the condition's ids ``[B, P]``: they are checked, for which a GPU would be waited for."""
        ids = self.model.condition.of(batch)
        # Like what the loader has pinned, so that the copy to a GPU goes beside its work.
        pinned = self.device.type == "cuda" and ids.device.type == "cpu"
        return {**batch, "condition": ids.pin_memory() if pinned else ids}

    def batch_images(self, batch: dict[str, Any]) -> int:
        return len(batch["codes"] if "codes" in batch else batch["image"])

    def codes(self, batch: dict[str, Any]) -> Tensor:
        """The codes ``[B, h, w]`` of a batch: as they are in it, or those of its images."""
        if "codes" in batch:
            cached: Tensor = batch["codes"]
            return cached
        # In half precision some latents would meet another code than they do in a cache.
        with torch.autocast(self.device.type, enabled=False):
            return self.tokenizer.encode(batch["image"])

    def make_optimizer(self, fused: bool) -> Optimizer:
        if self.muon is None:
            return super().make_optimizer(fused)
        return MuonAdamW(
            *split_matrices(self.model, TransformerBlock),
            self.muon,
            learning_rate=self.learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
            fused=fused,
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Also refuses a checkpoint whose optimizer was another one.

        Raises:
            RegvqError: one of the two has Muon.
        """
        super().on_load_checkpoint(checkpoint)
        had_muon = any("parts" in state for state in checkpoint["optimizer_states"])
        if had_muon != (self.muon is not None):
            raise RegvqError(
                f"the checkpoint was trained {'with' if had_muon else 'without'} muon: resume with the "
                "configuration it was trained with, or train into another folder"
            )

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        codes = self.codes(batch)
        with self.as_compiled():
            loss = self.model.loss(codes, batch["condition"])
        return self.finish_batch(loss)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        codes, ids = self.codes(batch), batch["condition"]
        # Diffusion draws times and noise: the same at every validation.
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(batch_idx)
            loss = self.best_model.loss(codes, ids)
        self.bits.update(loss.stats["bits_per_token"], len(codes))
        if batch_idx == 0:
            self._shown = codes[:SHOWN_IMAGES], ids[:SHOWN_IMAGES]

    def on_validation_epoch_end(self) -> None:
        self.log_values("val", {"bits_per_token": self.bits.compute()})
        self.bits.reset()

    def pictures(self) -> dict[str, Tensor]:
        """Validation images as the tokenizer sees them above samples under their conditions."""
        if self._shown is None or not self.samples:
            return {}
        codes, ids = self._shown
        sampled = self.best_model.sample(ids, len(ids), SamplingOptions())
        images = self.tokenizer.decode(torch.cat([codes, sampled])).cpu()
        return {"samples": make_grid(images, nrow=len(ids), normalize=True, value_range=(-1, 1))}
