"""One way of training a model, built by its command line and run by its trainer, for ``training.py``."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from torchvision import models

from measuring import extra_memory, wait
from regvq.data.scenes import ScenesData
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer, write_cache
from regvq.training import ModelTraining
from regvq.training.callbacks import NonFiniteGuard, StepSeeds
from regvq.training.cli_arguments import resolve
from regvq.training.generator_cli import GeneratorCLI
from regvq.training.run import DEFAULTS
from regvq.training.tokenizer_cli import TokenizerCLI
from training_settings import Setting
from training_ways import Way, arguments_of


class Clock(Callback):
    """Seconds a step, over the steps after the first ``warm`` ones of a fit."""

    def __init__(self, warm: int, device: str) -> None:
        self.warm, self.device = warm, device
        self.steps, self.begin, self.end = 0, 0.0, 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.steps += 1
        if self.steps == self.warm:
            wait(self.device)
            self.begin = time.perf_counter()
        elif self.steps == trainer.max_steps:
            wait(self.device)
            self.end = time.perf_counter()


class Contestant:
    """One way of training a model that a command line describes.

    Args:
        cli: the command line of its stage, built.
        setting: how long a turn is.
        device: where it trains.
    """

    def __init__(self, cli: TokenizerCLI | GeneratorCLI, setting: Setting, device: str) -> None:
        self.training: ModelTraining = cli.model
        self.data = cli.datamodule
        self.setting, self.device = setting, device
        self.precision = str(cli.config.trainer.precision)
        self.clip = cli.config.trainer.gradient_clip_val
        self.seconds: list[float] = []

    def turn(self) -> None:
        """A few steps; what one took is added to ``seconds``."""
        clock = Clock(self.setting.warm, self.device)
        trainer = Trainer(
            **DEFAULTS,
            accelerator="gpu" if self.device == "cuda" else "cpu",
            devices=1,
            precision=self.precision,
            gradient_clip_val=self.clip,
            max_steps=self.setting.warm + self.setting.timed,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            callbacks=[NonFiniteGuard(), StepSeeds(), clock],
        )
        trainer.fit(self.training, self.data)
        self.seconds.append((clock.end - clock.begin) / self.setting.timed)

    def peak_bytes(self) -> float | None:
        """Most memory that a turn holds, all of the training's; ``None`` where nobody counts it.

        On a GPU nothing of it lies there between two turns; on a CPU the weights do.
        """
        owned = [*self.training.parameters(), *self.training.buffers()]
        there = sum(value.nbytes for value in owned if value.device.type == self.device)
        extra = extra_memory(self.turn, self.device)
        return None if extra is None else there + extra


def tokenizer_contestant(name: str, way: Way, setting: Setting, device: str, folder: Path) -> Contestant:
    """Stage 1, with an adversary from the first step on."""
    arguments = [*setting.tokenizers[name], *setting.objective, *arguments_of(way, "tokenizer")]
    if setting.vgg:
        weights = folder / "vgg19.safetensors"
        if not weights.is_file():
            save_file(models.vgg19().state_dict(), weights)
        for term in ("perceptual", "contrastive"):
            place = f"model.objective.init_args.{term}.init_args.features.init_args.weights"
            arguments.append(f"--{place}={weights}")
    return Contestant(TokenizerCLI(resolve([*arguments, f"--output={folder / 'run'}"])), setting, device)


def generator_contestant(name: str, way: Way, setting: Setting, device: str, folder: Path) -> Contestant:
    """Stage 2, on cached tokens of 16 x 16."""
    tokenizer, tokens = folder / "tokenizer", folder / "tokens"
    if not tokens.is_dir():
        torch.manual_seed(0)
        made = ImageTokenizer(IdentityBackbone(2), VectorQuantizer(1024, 4)).eval()
        made.save_pretrained(tokenizer)
        write_cache(tokens, made, ScenesData(32, 4 * setting.batch, 8))
    arguments = [
        *("--config", "data/tokens", f"--data.dataset.init_args.folder={tokens}"),
        *setting.generators[name],
        *arguments_of(way, "generator"),
        f"--data.batch_size={setting.batch}",
        f"--model.tokenizer={tokenizer}",
        "--model.samples=false",
        f"--output={folder / 'run'}",
    ]
    return Contestant(GeneratorCLI(resolve(arguments, "generator")), setting, device)
