"""A training small enough to be run many times: 16 px noise, 4x4 tokens, 16 codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset

from regvq.data import GivenData, ImageDataModule
from regvq.losses import AdversarialLoss, Objective
from regvq.nets import IdentityBackbone, PatchDiscriminator
from regvq.quantizers import Quantizer, RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import ModelTraining, TokenizerTraining


class Noise(Dataset[dict[str, Tensor]]):
    """Smooth noise images, a function of the index."""

    def __init__(self, length: int) -> None:
        generator = torch.Generator().manual_seed(length)
        coarse = torch.rand(length, 3, 4, 4, generator=generator) * 2 - 1
        self.images = torch.nn.functional.interpolate(coarse, size=16, mode="bilinear")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": self.images[index]}


class Recorder(Callback):
    """Keeps every training value of every batch, and every validation."""

    def __init__(self) -> None:
        self.train: list[dict[str, float]] = []
        self.val: list[dict[str, float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, ModelTraining)
        self.train.append({f"train/{name}": float(value) for name, value in pl_module.values.items()})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = trainer.callback_metrics
        self.val.append({name: float(value) for name, value in metrics.items() if name.startswith("val/")})


def tiny_data(batch_size: int = 4) -> ImageDataModule:
    """Five batches an epoch of training; eight validation images."""
    return ImageDataModule(GivenData(Noise(20), Noise(8)), batch_size=batch_size, val_batch_size=4)


def tiny_training(
    quantizer: Quantizer | None = None, adversarial: bool = False, **arguments: Any
) -> TokenizerTraining:
    """The same weights at every call."""
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(4), quantizer or RegularizedVectorQuantizer(16, 8))
    adversary = AdversarialLoss(PatchDiscriminator(8, 1), start=3) if adversarial else None
    return TokenizerTraining(tokenizer, Objective(adversarial=adversary), **arguments)


OPTIONS: dict[str, Any] = {
    "accelerator": "cpu",
    "max_steps": 4,
    "check_val_every_n_epoch": None,
    "val_check_interval": 2,
    "logger": False,
}


@pytest.fixture
def data() -> ImageDataModule:
    return tiny_data()


@pytest.fixture
def make_data() -> Callable[..., ImageDataModule]:
    return tiny_data


@pytest.fixture
def make_training() -> Callable[..., TokenizerTraining]:
    return tiny_training


@pytest.fixture
def options() -> dict[str, Any]:
    return dict(OPTIONS)


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "run"
