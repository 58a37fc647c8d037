"""Compiled and channels-last training: the same losses, the same files, the same resuming."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch._inductor.config
from lightning.pytorch import Callback, LightningModule, Trainer

import regvq
from regvq.conditions import ClassLabel
from regvq.data import GivenData, ImageDataModule
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, Generator, TokenSource
from regvq.losses import AdversarialLoss, ContrastiveLoss, Objective, PerceptualLoss
from regvq.nets import IdentityBackbone, OfflineFeatures, PatchDiscriminator, VQGANBackbone
from regvq.nets.compiling import lacking
from regvq.quantizers import RegularizedVectorQuantizer, VectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import (
    GeneratorTraining,
    ModelTraining,
    TokenizerTraining,
    TrainingInterrupted,
    fit,
)
from regvq.training.callbacks import DivergenceGuard, NonFiniteGuard, Progress
from tests.support.waits import Waits
from tests.training.test_run import At, press_ctrl_c

TOLERANCE = 1e-4
"""How far a loss may lie from the eager run's, relatively: only roundings differ."""


def stage_one(**arguments: Any) -> TokenizerTraining:
    torch.manual_seed(0)
    features = OfflineFeatures()
    objective = Objective(
        perceptual=PerceptualLoss(features, 0.5),
        contrastive=ContrastiveLoss(features, weight=0.1),
        adversarial=AdversarialLoss(PatchDiscriminator(8, 1), start=1),
    )
    backbone = VQGANBackbone([8, 8], 1, 8, 4, attention=False, shortcut=True)
    tokenizer = ImageTokenizer(backbone, RegularizedVectorQuantizer(16, 8))
    return TokenizerTraining(tokenizer, objective, ema_decay=0.9, **arguments)


KINDS: dict[str, type[Generator]] = {
    "autoregressive": AutoregressiveGenerator,
    "diffusion": DiscreteDiffusionGenerator,
}


def stage_two(kind: str, **arguments: Any) -> GeneratorTraining:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 8))
    source = TokenSource(16, (4, 4), tokenizer.fingerprint())
    generator = KINDS[kind](ClassLabel(["a", "b"]), source, dim=16, layers=2, heads=2, hidden=32)
    return GeneratorTraining(generator, tokenizer, **arguments)


def tokens() -> ImageDataModule:
    generator = torch.Generator().manual_seed(0)
    items = [
        {"codes": torch.randint(16, (4, 4), generator=generator), "class_label": index % 2}
        for index in range(20)
    ]
    return ImageDataModule(GivenData(items, items[:8]), batch_size=4, val_batch_size=4)


def names(module: torch.nn.Module) -> list[str]:
    return sorted(module.state_dict())


def test_a_compiled_tokenizer_trains_like_the_eager_one(
    make_data: Any, tmp_path: Path, options: dict[str, Any], recorder: Any
) -> None:
    eager, compiled = recorder(), recorder()
    first = stage_one()
    fit(first, make_data(), tmp_path / "eager", callbacks=[eager], **options)
    run = tmp_path / "compiled"
    stopped = [compiled, At(2, press_ctrl_c)]
    with pytest.raises(TrainingInterrupted, match="step 2; continue with"):
        fit(stage_one(compile=True), make_data(), run, callbacks=stopped, **options)
    last = stage_one(compile=True)
    returned = fit(last, make_data(), run, resume=True, callbacks=[compiled], **options)
    for one, other in zip(eager.train, compiled.train, strict=True):
        assert other == pytest.approx(one, rel=TOLERANCE, abs=1e-6)
    # Nothing of it is left in what is saved, or in what is returned.
    saved = regvq.load_tokenizer(run / "tokenizer")
    assert names(saved) == names(regvq.load_tokenizer(tmp_path / "eager" / "tokenizer"))
    assert saved.fingerprint() == returned.fingerprint()
    checkpoints = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (tmp_path / "eager", run)
    ]
    assert checkpoints[0].keys() == checkpoints[1].keys()
    assert not [module for module in last.modules() if "forward" in vars(module)]


def test_channels_may_be_last(
    make_training: Any, make_data: Any, tmp_path: Path, options: dict[str, Any], recorder: Any
) -> None:
    """Of the discriminator: a compiled kernel takes two seconds, and it has the fewest."""
    records = []
    for name in ("eager", "compiled"):
        records.append(recorder())
        training = make_training(adversarial=True, compile=name == "compiled", channels_last=True)
        fit(training, make_data(), tmp_path / name, callbacks=[records[-1]], **options)
        weight = next(training.objective.adversarial.discriminator.parameters())
        assert weight.is_contiguous(memory_format=torch.channels_last)
    for one, other in zip(records[0].train, records[1].train, strict=True):
        assert other == pytest.approx(one, rel=TOLERANCE, abs=1e-6)
    assert "train/discriminator" in records[1].train[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_generator_trains_like_the_eager_one(
    kind: str, tmp_path: Path, options: dict[str, Any], recorder: Any
) -> None:
    eager, compiled = recorder(), recorder()
    fit(stage_two(kind), tokens(), tmp_path / "eager", callbacks=[eager], **options)
    training = stage_two(kind, compile=True)
    fit(training, tokens(), tmp_path / "compiled", callbacks=[compiled], **options)
    for one, other in zip(eager.train, compiled.train, strict=True):
        assert other == pytest.approx(one, rel=TOLERANCE, abs=1e-6)
    saved = regvq.load_generator(tmp_path / "compiled" / "generator")
    assert names(saved) == names(regvq.load_generator(tmp_path / "eager" / "generator"))
    assert torch.equal(saved.sample(None, 2), training.best_model.sample(None, 2))


def test_what_is_compiled() -> None:
    training = stage_one(compile=True)
    backbone, objective = training.model.backbone, training.objective
    assert isinstance(backbone, VQGANBackbone)
    assert objective.adversarial is not None
    assert objective.contrastive is not None
    with training.as_compiled():
        inside = {module for module in training.modules() if "forward" in vars(module)}
    # The last layer only to be left out.
    assert inside == {
        backbone.encoder,
        backbone.decoder,
        backbone.decoder.conv_out,
        objective.adversarial.discriminator,
        objective.perceptual,
        objective.contrastive.layer_loss,
    }


class Watched(Callback):
    """Looks at all that happens from the start of a step to its end."""

    def __init__(self) -> None:
        self.found: list[list[str]] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.waits = Waits()
        self.waits.__enter__()

    def stop(self, *_: Any) -> None:
        """Keeps what was seen."""
        self.waits.__exit__(None, None, None)
        self.found.append(self.waits.found)


def looks_of_a_step(
    training: ModelTraining, data: ImageDataModule, folder: Path, options: dict[str, Any]
) -> list[str]:
    """Of a whole training step: both passes, clipping, optimizer, averages, callbacks.

    The guards look as rarely as they do on a GPU.
    """
    watched = Watched()
    # Lightning calls the module's own hook after those of the callbacks.
    training.on_train_batch_end = watched.stop
    guards = [NonFiniteGuard(every_n_steps=50), DivergenceGuard(every_n_steps=50)]
    given = {**options, "check_val_every_n_epoch": 1, "val_check_interval": None, "limit_val_batches": 0}
    given["gradient_clip_val"] = 1.0
    with patch.object(Progress, "_show"):  # every ten seconds it reads figures, and who knows in which step
        fit(training, data, folder, callbacks=[watched, *guards], **given)
    assert len(watched.found) == options["max_steps"]
    return watched.found[-2]  # the end of the last one belongs to the end of the training


def test_ids_of_conditions_are_pinned_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    training, pinned = stage_two("autoregressive"), []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda ids: pinned.append(ids) or ids)
    batch = {"codes": torch.zeros(2, 4, 4, dtype=torch.int64), "class_label": torch.tensor([0, 1])}
    assert not training.on_before_batch_transfer(batch, 0)["condition"].equal(torch.zeros(2, 1))
    assert not pinned
    monkeypatch.setattr(GeneratorTraining, "device", torch.device("cuda"), raising=False)
    ids = training.on_before_batch_transfer(batch, 0)["condition"]
    assert [one is ids for one in pinned] == [True]


def test_a_step_of_a_tokenizer_looks_at_nothing_but_the_seed_of_the_noise(
    make_data: Any, output: Path, options: dict[str, Any]
) -> None:
    # That number is drawn on the host, and so is the number of the pass. On a CPU, which need not wait, a
    # third look tells whether all tokens are finite.
    assert looks_of_a_step(stage_one(), make_data(), output, options) == ["_local_scalar_dense"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_a_generator_looks_at_nothing(kind: str, output: Path, options: dict[str, Any]) -> None:
    assert looks_of_a_step(stage_two(kind), tokens(), output, options) == []


class Strict(Callback):
    """Makes whatever waits for the GPU an error, from the third step on: the first ones start things."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step >= 2:
            torch.cuda.set_sync_debug_mode("error")

    def stop(self, *_: Any) -> None:
        """Between two steps it may wait."""
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU to wait for")
@pytest.mark.parametrize("kind", ["tokenizer", *KINDS])
def test_no_step_waits_for_the_gpu(
    kind: str, make_data: Any, output: Path, options: dict[str, Any]
) -> None:
    training: ModelTraining = stage_one() if kind == "tokenizer" else stage_two(kind)
    strict = Strict()
    training.on_train_batch_end = strict.stop
    guards = [NonFiniteGuard(every_n_steps=50), DivergenceGuard(every_n_steps=50)]
    given = {**options, "accelerator": "gpu", "gradient_clip_val": 1.0, "limit_val_batches": 0}
    given |= {"check_val_every_n_epoch": 1, "val_check_interval": None}
    data = make_data() if kind == "tokenizer" else tokens()
    try:
        with patch.object(Progress, "_show"):
            fit(training, data, output, callbacks=[strict, *guards], **given)
    finally:
        strict.stop()
    assert training.batches.value == given["max_steps"]


def test_without_a_compiler_training_goes_on_and_says_so_once(
    tmp_path: Path, options: dict[str, Any], recorder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    eager, uncompiled = recorder(), recorder()
    fit(stage_two("autoregressive"), tokens(), tmp_path / "eager", callbacks=[eager], **options)
    with torch._inductor.config.patch({"cpp.cxx": (None, str(tmp_path / "g++"))}):
        training = stage_two("autoregressive", compile=True)
        fit(training, tokens(), tmp_path / "uncompiled", callbacks=[uncompiled], **options)
    assert uncompiled.train == eager.train
    assert capsys.readouterr().err.count("no C++ compiler is found") == 1


def test_a_gpu_s_code_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert lacking("cuda") == "Triton is not installed"
