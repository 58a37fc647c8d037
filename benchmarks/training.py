"""Images and tokens a second of training steps, and where a step of stage 1 spends its time.

    .venv/bin/python benchmarks/training.py [--quick] [--json PATH] [--device cuda]

The contestants are what ``regvq fit-tokenizer`` and ``regvq fit-generator`` build from shipped
configurations: the same model eager and compiled (``model.compile``), in float32 and under bfloat16's
autocast (``trainer.precision``), with channels first and last (``model.channels_last``). They take turns;
a turn is a ``Trainer.fit`` of a few steps with the callbacks that decide what a step does (seeds, the look
for NaN), without files. The clock runs from the end of the first steps, in which compilation and the
loader's start fall, to the end of the last: data, forward, backward, clipping and optimizer are in it. The
figure is the median over turns.

Parts: see ``cut_step.py``. On a GPU the waiting makes the cut step slower than the uncut one; the shares
are of the cut one.

With ``--quick`` stage 1 has its pixel loss alone, so that less is compiled, and only the eager step is cut.
torch keeps what it compiled on disk: the first run takes longer. The exit status is 1 where a bar is
missed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from safetensors.torch import save_file
from torchvision import models

from cut_step import PARTS, parts_of_a_step
from measuring import Bar, finish, machine, spread, take_turns, wait
from regvq.data.scenes import ScenesData
from regvq.nets import IdentityBackbone
from regvq.quantizers import VectorQuantizer
from regvq.tokenizers import ImageTokenizer, write_cache
from regvq.training import ModelTraining
from regvq.training.callbacks import NonFiniteGuard, StepSeeds
from regvq.training.cli_arguments import resolve
from regvq.training.generator_cli import GeneratorCLI
from regvq.training.run import DEFAULTS, quiet
from regvq.training.tokenizer_cli import TokenizerCLI

Row = dict[str, Any]

FP32, BF16 = "32-true", "bf16-mixed"
BOUND = {"cpu": 1.5, "cuda": 2.5}
"""Least gain of a compiled step under bfloat16 over an eager one in float32."""


@dataclass(frozen=True)
class Way:
    """How a model is trained.

    Attributes:
        compiled: the key ``model.compile``.
        precision: the key ``trainer.precision``.
        channels_last: the key ``model.channels_last``; only stage 1 has it.
    """

    compiled: bool
    precision: str
    channels_last: bool = False

    def __str__(self) -> str:
        words = ["compiled" if self.compiled else "eager", "fp32" if self.precision == FP32 else "bf16"]
        return ", ".join([*words, *(["channels last"] if self.channels_last else [])])


EAGER = Way(False, FP32)
FAST = {"tokenizer": Way(True, BF16, True), "generator": Way(True, BF16)}
"""What the bars judge, by stage."""


@dataclass(frozen=True)
class Setting:
    """What is trained on a kind of device.

    Attributes:
        tokenizer: configurations and arguments of stage 1, without the objective.
        objective: arguments that give it one with an adversary from the first step on.
        generators: the same of stage 2, by name, without tokenizer and tokens.
        batch: sequences a step of stage 2.
        warm: steps of a turn before its clock runs.
        timed: steps under the clock.
        rounds: turns.
        vgg: whether stage 1 needs VGG-19: random weights are as fast as trained ones.
    """

    tokenizer: tuple[str, ...]
    objective: tuple[str, ...]
    generators: dict[str, tuple[str, ...]]
    batch: int
    warm: int
    timed: int
    rounds: int
    vgg: bool = False


PIXELS = ("--config", "objective/l1")
"""The objective that compiles soonest."""
_START = "--model.objective.init_args.adversarial.init_args.start=0"
_CLASSES = ("--config", "condition/class-label", "--config")
SETTINGS = {
    "cpu": Setting(
        tokenizer=(
            *("--config", "backbone/tiny", "--config", "tokenizer/regvq", "--config", "data/photos"),
            *("--config", "trainer/cpu"),
        ),
        objective=("--config", "objective/offline", _START),
        generators={
            name: ("--config", f"generator/{name}", *_CLASSES, "trainer/generator-cpu")
            for name in ("autoregressive-tiny", "diffusion-tiny")
        },
        batch=8,
        warm=2,
        timed=4,
        rounds=7,
    ),
    "cuda": Setting(
        tokenizer=(
            *("--config", "backbone/paper-256", "--config", "tokenizer/regvq", "--config", "data/scenes"),
            *("--config", "trainer/gpu", "--data.batch_size=16", "--data.workers=12"),
            "--data.dataset.init_args.size=256",
        ),
        objective=("--config", "objective/paper", _START),
        generators={
            name: ("--config", f"generator/{name}", *_CLASSES, "trainer/generator-gpu")
            for name in ("autoregressive-256", "diffusion-256")
        },
        batch=32,
        warm=10,
        timed=20,
        rounds=5,
        vgg=True,
    ),
}


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
            precision=self.precision,  # type: ignore[arg-type]  # a str where Lightning lists the words
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


def arguments_of(way: Way, stage: str) -> list[str]:
    """A way as arguments of the stage's command line."""
    arguments = [f"--model.compile={str(way.compiled).lower()}", f"--trainer.precision={way.precision}"]
    if stage == "tokenizer":
        arguments.append(f"--model.channels_last={str(way.channels_last).lower()}")
    return arguments


def tokenizer_contestant(
    way: Way, setting: Setting, device: str, folder: Path, objective: Sequence[str] = ()
) -> Contestant:
    """Stage 1, with the setting's objective if no other is given."""
    arguments = [*setting.tokenizer, *(objective or setting.objective), *arguments_of(way, "tokenizer")]
    if setting.vgg and not objective:
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
        *setting.generators[name],
        *arguments_of(way, "generator"),
        *("--config", "data/tokens", f"--data.dataset.init_args.folder={tokens}"),
        f"--data.batch_size={setting.batch}",
        f"--model.tokenizer={tokenizer}",
        "--model.samples=false",
        f"--output={folder / 'run'}",
    ]
    return Contestant(GeneratorCLI(resolve(arguments, "generator")), setting, device)


def ways(stage: str, quick: bool) -> list[Way]:
    """Those of a stage that take part."""
    if quick:
        return [EAGER, FAST[stage]]
    layouts = (False, True) if stage == "tokenizer" else (False,)
    return [
        Way(compiled, precision, last)
        for compiled in (False, True)
        for precision in (FP32, BF16)
        for last in layouts
    ]


def measure(contestants: dict[Way, Contestant], name: str, unit: str, rounds: int) -> list[Row]:
    """A row for every way of training one model.

    Args:
        contestants: by way.
        name: of the model.
        unit: ``images`` or ``tokens``.
        rounds: turns that count; one before them does not.
    """
    take_turns({str(way): one.turn for way, one in contestants.items()}, rounds)
    rows = []
    for way, one in contestants.items():
        times, training = one.seconds[1:], one.training
        count = one.data.batch_size
        if unit == "tokens":
            count *= training.model.length
        middle = statistics.median(times)
        rows.append(
            {
                "model": name,
                "way": str(way),
                "unit": unit,
                "batch_size": one.data.batch_size,
                "milliseconds": 1e3 * middle,
                "spread": 1e3 * spread(times),
                "per_second": count / middle,
                "first_milliseconds": 1e3 * one.seconds[0],
            }
        )
    return rows


def bars(rows: Sequence[Row], device: str) -> list[Bar]:
    """What is asked of the rows: compiled bfloat16 against eager float32 of the same model."""
    speed = {(row["model"], row["way"]): row["per_second"] for row in rows}
    found = []
    for name, unit in dict.fromkeys((row["model"], row["unit"]) for row in rows):
        fast = FAST["tokenizer" if unit == "images" else "generator"]
        gain = speed[name, str(fast)] / speed[name, str(EAGER)]
        found.append(Bar(f"{name}: {fast} over {EAGER}", gain, BOUND[device], at_most=False))
    return found


def show(rows: Sequence[Row]) -> None:
    """A table of one model."""
    base = next(row["per_second"] for row in rows if row["way"] == str(EAGER))
    for row in rows:
        print(
            f"{row['model']:<22}{row['way']:<32}{row['milliseconds']:>10.1f}{row['spread']:>8.1f}"
            f"{row['per_second']:>12.0f}{row['per_second'] / base:>9.2f}",
            flush=True,
        )


def show_parts(parts: dict[str, dict[str, float]]) -> None:
    """Shares of a step, a column each."""
    print(f"{'part of a step, %':<32}" + "".join(f"{part:>14}" for part in PARTS))
    for way, seconds in parts.items():
        total = sum(seconds.values())
        print(f"{way:<32}" + "".join(f"{100 * seconds[part] / total:>14.1f}" for part in PARTS))


def main() -> int:
    """Reads the arguments, measures, prints the tables and the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few ways and turns: under 45 s on two cores, once torch has compiled",
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--device", choices=sorted(SETTINGS), default="cpu")
    arguments = parser.parse_args()
    device, quick = arguments.device, arguments.quick
    setting, facts = SETTINGS[device], machine(device)
    if quick:
        setting = replace(setting, warm=1, timed=2, rounds=2)
    rounds = setting.rounds
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'model':<22}{'way':<32}{'ms a step':>10}{'+-':>8}{'per second':>12}{'gain':>9}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place, quiet():
        folder = Path(place)
        objective = PIXELS if quick else ()
        first = {
            way: tokenizer_contestant(way, setting, device, folder, objective)
            for way in ways("tokenizer", quick)
        }
        rows += measure(first, "tokenizer", "images", rounds)
        show(rows)
        cut = {EAGER: tokenizer_contestant(EAGER, setting, device, folder)} if quick else first
        parts = {
            str(way): parts_of_a_step(
                cut[way].training, cut[way].data, device, cut[way].precision, cut[way].clip, 2 * rounds
            )
            for way in (EAGER, FAST["tokenizer"])
            if way in cut
        }
        del first
        for name in list(setting.generators)[: 1 if quick else None]:
            second = {
                way: generator_contestant(name, way, setting, device, folder)
                for way in ways("generator", quick)
            }
            measured = measure(second, name, "tokens", rounds)
            show(measured)
            rows += measured
    show_parts(parts)
    return finish(arguments.json, bars(rows, device), machine=facts, rows=rows, parts=parts)


if __name__ == "__main__":
    sys.exit(main())
