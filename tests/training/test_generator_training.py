"""Stage 2 on the tokens of stage 1: a tiny tokenizer, then a tiny generator of each kind."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger

import regvq
from regvq.conditions import ClassLabel
from regvq.data import ImageDataModule
from regvq.data.scenes import ScenesData
from regvq.errors import RegvqError
from regvq.generators import (
    AutoregressiveGenerator,
    DiscreteDiffusionGenerator,
    Generator,
    TokenSource,
)
from regvq.model_folder import fingerprint
from regvq.tokenizers import ImageTokenizer, write_cache
from regvq.training import GeneratorTraining, TrainingInterrupted, fit
from regvq.training.generator_cli import generator_cli, train_generator
from regvq.training.muon import MuonOptions
from regvq.training.tokenizer_cli import train_tokenizer
from tests.training.test_run import At, press_ctrl_c

SCENES = """
data:
  dataset:
    class_path: regvq.data.scenes.ScenesData
    init_args: {size: 16, train_length: 24, val_length: 8}
  batch_size: 4
  val_batch_size: 4
trainer: {max_steps: 4, val_check_interval: 2}
"""
TOKENIZER = """
model:
  backbone: {class_path: regvq.nets.IdentityBackbone, init_args: {downsampling: 4}}
  quantizer: {init_args: {codebook_size: 16, dim: 8}}
"""
GENERATOR = """
model:
  generator: {init_args: {dim: 16, layers: 1, heads: 2, hidden: 32}}
  ema_decay: 0.5
  schedule: {init_args: {warmup: 1}}
"""
GENERATORS = {"autoregressive": AutoregressiveGenerator, "diffusion": DiscreteDiffusionGenerator}


@pytest.fixture(scope="module")
def stage_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with configurations and a trained tokenizer."""
    folder = tmp_path_factory.mktemp("stage-one")
    for name, text in (("scenes", SCENES), ("tokenizer", TOKENIZER), ("generator", GENERATOR)):
        (folder / f"{name}.yaml").write_text(text)
    files = ["backbone/tiny", "tokenizer/regvq", "data/scenes", "trainer/cpu"]
    own = [str(folder / f"{name}.yaml") for name in ("tokenizer", "scenes")]
    train_tokenizer([*files, *own], folder / "run")
    return folder


def files_of(folder: Path, kind: str, condition: str, data: str = "data/scenes") -> list[str]:
    shipped = [f"generator/{kind}-tiny", f"condition/{condition}", data, "trainer/generator-cpu"]
    return [*shipped, str(folder / "scenes.yaml"), str(folder / "generator.yaml")]


@pytest.mark.parametrize("condition", ["none", "class-label", "label-map", "label-map-4x", "caption"])
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_tokenizer_then_a_generator(kind: str, condition: str, stage_one: Path, tmp_path: Path) -> None:
    tokenizer = stage_one / "run" / "tokenizer"
    generator = train_generator(
        files_of(stage_one, kind, condition), tmp_path / "run", [f"--model.tokenizer={tokenizer}"]
    )
    assert type(generator) is GENERATORS[kind]
    saved = regvq.load_generator(tmp_path / "run" / "generator")
    codes = saved.sample(None, 2)
    assert torch.equal(codes, generator.sample(None, 2))
    assert regvq.load_tokenizer(tokenizer).decode(codes).shape == (2, 3, 16, 16)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert "data" not in config["model"]
    again = generator_cli([f"--output={tmp_path / 'run'}", "--resume", "--trainer.max_steps=6"])
    assert fingerprint(again) != fingerprint(saved)


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_cache_trains_like_the_images_it_was_made_of(kind: str, stage_one: Path, tmp_path: Path) -> None:
    tokenizer = stage_one / "run" / "tokenizer"
    data = ScenesData(size=16, train_length=24, val_length=8)
    write_cache(tmp_path / "cache", regvq.load_tokenizer(tokenizer), data, shard_size=10)
    given = [f"--model.tokenizer={tokenizer}"]
    direct = train_generator(files_of(stage_one, kind, "class-label"), tmp_path / "direct", given)
    cached = yaml.safe_load((stage_one / "scenes.yaml").read_text())
    cached["data"]["dataset"] = {
        "class_path": "regvq.tokenizers.TokenCacheData",
        "init_args": {"folder": str(tmp_path / "cache")},
    }
    (tmp_path / "cached.yaml").write_text(yaml.safe_dump(cached))
    files = files_of(stage_one, kind, "class-label")
    files[files.index(str(stage_one / "scenes.yaml"))] = str(tmp_path / "cached.yaml")
    again = train_generator(
        [part.replace("data/scenes", "data/tokens") for part in files], tmp_path / "cached", given
    )
    assert torch.equal(again.sample(None, 2), direct.sample(None, 2))


def tiny_training(stage_one: Path, kind: str, **arguments: Any) -> GeneratorTraining:
    torch.manual_seed(0)
    tokenizer = ImageTokenizer.from_pretrained(stage_one / "run" / "tokenizer")
    source = TokenSource(16, (4, 4), tokenizer.fingerprint())
    condition = ClassLabel(["meadow", "farm", "desert", "outpost", "snowfield", "cabin"])
    generator = GENERATORS[kind](condition, source, dim=16, layers=1, heads=2, hidden=32)
    return GeneratorTraining(generator, tokenizer, **arguments)


def scenes() -> ImageDataModule:
    return ImageDataModule(
        ScenesData(size=16, train_length=20, val_length=8), batch_size=4, val_batch_size=4
    )


@pytest.mark.parametrize("before", [None, MuonOptions()], ids=["AdamW", "Muon"])
def test_another_optimizer_cannot_go_on(
    before: MuonOptions | None, stage_one: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    options |= {"max_steps": 2}
    fit(tiny_training(stage_one, "autoregressive", muon=before), scenes(), tmp_path, **options)
    other = tiny_training(stage_one, "autoregressive", muon=None if before else MuonOptions())
    with pytest.raises(RegvqError, match=f"trained {'with' if before else 'without'} muon: resume"):
        fit(other, scenes(), tmp_path, resume=True, **options | {"max_steps": 4})


@pytest.mark.parametrize("muon", [None, MuonOptions(0.01)], ids=["AdamW", "Muon"])
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_resumed_run_repeats_the_uninterrupted_one_bit_for_bit(
    kind: str,
    muon: MuonOptions | None,
    stage_one: Path,
    tmp_path: Path,
    options: dict[str, Any],
    recorder: Any,
) -> None:
    options |= {"max_steps": 8, "val_check_interval": 3, "gradient_clip_val": 0.5}
    whole, pieces = recorder(), recorder()
    fit(
        tiny_training(stage_one, kind, ema_decay=0.9, muon=muon),
        scenes(),
        tmp_path / "whole",
        callbacks=[whole],
        **options,
    )
    assert len(whole.train) == 8
    with pytest.raises(TrainingInterrupted, match="regvq fit-generator --output"):
        fit(
            tiny_training(stage_one, kind, ema_decay=0.9, muon=muon),
            scenes(),
            tmp_path / "pieces",
            callbacks=[pieces, At(4, press_ctrl_c)],
            **options,
        )
    last = tiny_training(stage_one, kind, ema_decay=0.9, muon=muon)
    fit(last, scenes(), tmp_path / "pieces", resume=True, callbacks=[pieces], **options)
    assert pieces.train == whole.train
    assert pieces.val == whole.val


def test_the_tokenizer_is_neither_trained_nor_in_the_checkpoint(
    stage_one: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    training = tiny_training(stage_one, "autoregressive")
    before = training.tokenizer.fingerprint()
    fit(training, scenes(), tmp_path / "run", **options)
    assert training.tokenizer.fingerprint() == before
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert {name.split(".")[0] for name in state} <= {"model", "averaged", "batches", "bits"}


def test_tensorboard_gets_samples(
    stage_one: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}

    class Board(TensorBoardLogger):
        @property
        def experiment(self) -> Any:
            return self

        def add_image(self, name: str, value: torch.Tensor, step: int) -> None:
            drawn[name] = value.shape

        def log_metrics(self, *args: Any, **kwargs: Any) -> None: ...

        def save(self) -> None: ...

        def finalize(self, status: str) -> None: ...

    options["logger"] = Board(str(tmp_path))
    fit(tiny_training(stage_one, "diffusion"), scenes(), tmp_path / "run", **options)
    # Two rows of the four images of a validation batch, 16 px each with 2 px between them.
    assert drawn == {"val/samples": (3, 38, 74)}


def test_tokens_of_another_tokenizer_are_refused(stage_one: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    from regvq.nets import IdentityBackbone
    from regvq.quantizers import VectorQuantizer

    stranger = ImageTokenizer(IdentityBackbone(4), VectorQuantizer(16, 8)).eval()
    write_cache(tmp_path / "cache", stranger, ScenesData(size=16, train_length=4, val_length=2))
    tokenizer = stage_one / "run" / "tokenizer"
    with pytest.raises(RegvqError, match="cached tokens were made by another tokenizer"):
        train_generator(
            ["generator/diffusion-tiny", "condition/none", "data/tokens", "trainer/generator-cpu"],
            tmp_path / "run",
            [f"--model.tokenizer={tokenizer}", f"--data.dataset.init_args.folder={tmp_path / 'cache'}"],
        )
    generator: Generator = tiny_training(stage_one, "diffusion").model
    with pytest.raises(RegvqError, match="is not the one that the generator was trained with"):
        generator.require(stranger)
