"""Small trainings, for one process with the joined batch and for several that split the model up.

As a program, under torchrun: trains them all, split up, into a folder, and goes on with some of them. Some
are trained under DDP, too.
"""

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch._dynamo.utils import counters
from torch.distributed.fsdp import FSDPModule

from regvq import ranks
from regvq.conditions import NoCondition
from regvq.data import ImageDataModule
from regvq.data.scenes import ScenesData
from regvq.errors import RegvqError
from regvq.generators import AutoregressiveGenerator, Generator, TokenSource
from regvq.losses import AdversarialLoss, ContrastiveLoss, Objective, PerceptualLoss
from regvq.nets import IdentityBackbone, OfflineFeatures, PatchDiscriminator, VQGANBackbone
from regvq.quantizers import Quantizer, RegularizedVectorQuantizer, VectorQuantizer
from regvq.quantizers.peers import PeerDiVeQ, PeerLFQ, PeerVQ
from regvq.tokenizers import ImageTokenizer
from regvq.training import GeneratorTraining, ModelTraining, MuonOptions, TokenizerTraining, fit
from regvq.training.run_folder import RunFolder
from regvq.training.sharding import joined, own_part
from tests.support.placed_chance import PlacedChance
from tests.support.placed_mask import PlacedMask

STEPS, SAVED = 5, 3
"""Steps of a training, and those that its last checkpoint but one has."""
OPTIONS: dict[str, Any] = {
    "accelerator": "cpu",
    "max_steps": STEPS,
    "val_check_interval": SAVED,
    "check_val_every_n_epoch": None,
    "log_every_n_steps": 1,
    "gradient_clip_val": 1.0,
}


def _regvq() -> Quantizer:
    # No place is sampled: each rank has its own chance, which one process cannot repeat.
    return RegularizedVectorQuantizer(32, 8, mask_ratio=0.0)


def _of_features() -> Objective:
    """The paper's contrastive loss beside the perceptual one; of 16 px it chooses no locations by lot."""
    return Objective(
        perceptual=PerceptualLoss(OfflineFeatures()), contrastive=ContrastiveLoss(OfflineFeatures())
    )


def _of_an_adversary() -> Objective:
    critic = PatchDiscriminator(8, 1)
    # Where all scores lie between -1 and 1, the last bias has a gradient of zero, and Adam would make steps
    # of its roundings.
    torch.nn.init.ones_(list(critic.parameters())[-1])
    return Objective(adversarial=AdversarialLoss(critic, start=1))


def _tokenizer(
    quantizer: Callable[[], Quantizer], objective: Callable[[], Objective], compile: bool
) -> ModelTraining:
    torch.manual_seed(0)
    backbone = VQGANBackbone((8, 16), 1, 8, norm_groups=4, shortcut=True)
    tokenizer = ImageTokenizer(backbone, quantizer())
    return TokenizerTraining(tokenizer, objective(), ema_decay=0.9, compile=compile)


def _generator(kind: type[Generator], muon: MuonOptions | None, compile: bool) -> ModelTraining:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(32, 8, init="normal"))
    source = TokenSource(32, (4, 4), tokenizer.fingerprint())
    options: dict[str, int] = {"dim": 16, "layers": 2, "heads": 2, "hidden": 32}
    generator = kind(NoCondition(), source, **options)
    return GeneratorTraining(
        generator, tokenizer, learning_rate=1e-2, ema_decay=0.9, muon=muon, compile=compile
    )


TRAININGS: dict[str, Callable[[bool], ModelTraining]] = {
    "regvq": partial(_tokenizer, _regvq, Objective),
    "adversary": partial(_tokenizer, _regvq, _of_an_adversary),
    "gradient-codebook": partial(_tokenizer, lambda: VectorQuantizer(32, 8, init="data"), Objective),
    "peer-vq": partial(
        _tokenizer, lambda: PeerVQ(32, 8, kmeans_init=False, dead_code_threshold=0.0), Objective
    ),
    "peer-lfq": partial(_tokenizer, lambda: PeerLFQ(32, 8), Objective),
    "contrastive": partial(_tokenizer, lambda: PlacedMask(32, 8), _of_features),
    "adamw": partial(_generator, AutoregressiveGenerator, None),
    "muon": partial(_generator, AutoregressiveGenerator, MuonOptions()),
    "diffusion": partial(_generator, PlacedChance, None),
}
DRAWN: dict[str, Callable[[], Quantizer]] = {
    "peer-vq-drawn": lambda: PeerVQ(32, 8, decay=0.5, dead_code_threshold=1.0),
    # All codes that some step did not use are replaced by copies, two steps after the start.
    "peer-diveq": lambda: PeerDiVeQ(32, 8, replacement_iters=2, discard_threshold=1.0),
}
"""Quantizers that draw in training, which one process cannot repeat."""
UNDER_DDP = {
    "ddp-peer-vq": ("peer-vq", False),
    "ddp-peer-lfq": ("peer-lfq", False),
    "ddp-adversary": ("adversary", False),
    "ddp-contrastive": ("contrastive", False),
    "ddp-compiled-adversary": ("adversary", True),
    "ddp-compiled-adamw": ("adamw", True),
}
"""Trainings that are not split up as well: which one, and whether it is compiled."""


def train(
    name: str, output: Path, batch_size: int, compile: bool = False, **options: Any
) -> tuple[ModelTraining, Any]:
    """One of the trainings, and the model that it returns."""
    training = TRAININGS[name](compile)
    # Nine images: dealt out to two ranks in fours, one of them would have a batch more.
    data = ImageDataModule(ScenesData(16, 64, 9), batch_size, val_batch_size=4)
    return training, fit(training, data, output, **{**OPTIONS, **options})


class BrokenGradient(Callback):
    """Spoils a single gradient in the part that the last rank holds."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_rank == trainer.world_size - 1:
            last = list(pl_module.model.parameters())[-1]
            own_part(last.grad).fill_(torch.nan)


def _split_up(folder: Path) -> None:
    shared = {"batch_size": 4, "devices": 2, "strategy": "sharded"}
    facts: dict[str, Any] = {}
    for name in TRAININGS:
        training, model = train(name, folder / name, **shared)
        model.save_pretrained(folder / f"{name}-{ranks.rank()}")
        training.state_dict()  # before it all that a validation has gathered is let go
        facts[name] = {
            "own": sum(own_part(value.detach()).numel() for value in training.parameters()),
            "all": sum(value.numel() for value in training.parameters()),
            "split": [one for one, module in training.named_modules() if isinstance(module, FSDPModule)],
        }
    for name, quantizer in DRAWN.items():
        for strategy in ("sharded", "ddp"):
            training = _tokenizer(quantizer, Objective, False)
            data = ImageDataModule(ScenesData(16, 64, 9), 4, val_batch_size=4)
            # So slow that copies stay as near to each other as they were made.
            training.learning_rate = 1e-7
            options = {**OPTIONS, "devices": 2, "strategy": strategy}
            model = fit(training, data, folder / f"{strategy}-{name}", **options)
            model.save_pretrained(folder / f"{strategy}-{name}-{ranks.rank()}")
            codebook = next(
                joined(value.detach())
                for key, value in (*training.named_parameters(), *training.named_buffers())
                if key in ("model.quantizer.peer.codebook", "model.quantizer.peer._codebook.embed")
            )
            facts[f"{strategy}-{name}"] = codebook.reshape(32, 8).tolist()
    for run, (name, compiled) in UNDER_DDP.items():
        graphs = counters["stats"]["unique_graphs"]
        train(name, folder / run, compile=compiled, **{**shared, "strategy": "ddp"})
        facts[run] = {"graphs": counters["stats"]["unique_graphs"] - graphs}
    for name, strategy in (("adversary", "sharded"), ("muon", "sharded"), ("muon", "ddp")):
        again = folder / f"{name}-again-{strategy}"
        if ranks.rank() == 0:
            shutil.copytree(folder / name, again)
            RunFolder(again).last.unlink()
        ranks.wait_for_all()
        train(name, again, **{**shared, "strategy": strategy}, resume=True)
    try:
        train("adamw", folder / "broken", **shared, callbacks=[BrokenGradient()])
    except RegvqError as error:
        facts["broken"] = str(error)
    (folder / f"facts-{ranks.rank()}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    _split_up(Path(sys.argv[1]))
