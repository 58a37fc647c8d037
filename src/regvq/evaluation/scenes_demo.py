"""The demo's second half: a tokenizer of scenes, and both generators on its tokens."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from regvq.data import Sample
from regvq.data.scenes import ScenesData
from regvq.evaluation.adherence import Adherence, adherence, held_out_scenes
from regvq.generators import UNKNOWN, Generator
from regvq.generators.batches import sample_in_batches
from regvq.tokenizers import ImageTokenizer, write_cache
from regvq.training.generator_cli import train_generator
from regvq.training.precision import fast_cpu_precision
from regvq.training.tokenizer_cli import train_tokenizer
from regvq.types import SamplingOptions

KINDS = {"autoregressive": "autoregressive", "diffusion": "discrete diffusion"}
"""Generators by their configuration's name, and what readers see."""

TOKENIZER_CONFIGS = (
    "backbone/tiny",
    "objective/l1",
    "tokenizer/regvq",
    "data/scenes",
    "trainer/cpu",
)
GENERATOR_CONFIGS = ("condition/label-map-4x", "data/tokens", "trainer/generator-cpu")

OPTIONS = SamplingOptions(top_k=1, steps=25)
"""How the demo samples: the likeliest token, for training is short; diffusion takes every fourth time."""

_SHOWN = 8


@dataclass(frozen=True)
class ScenesBudget:
    """What the second half of the demo may take.

    Attributes:
        size: side of a scene in pixels.
        tokenizer_steps: training steps of the tokenizer.
        autoregressive_steps: training steps of the autoregressive generator.
        diffusion_steps: training steps of the diffusion generator.
        batch_size: scenes a step, of the tokenizer and of each generator.
        cached: training scenes that are encoded.
        scenes: held-out scenes that adherence is measured on.
        overrides: further arguments of ``regvq fit-tokenizer``.
        generator_overrides: further arguments of ``regvq fit-generator``.
    """

    size: int = 32
    tokenizer_steps: int = 800
    autoregressive_steps: int = 800
    diffusion_steps: int = 700
    batch_size: int = 16
    cached: int = 4096
    scenes: int = 128
    overrides: tuple[str, ...] = ()
    generator_overrides: tuple[str, ...] = ()

    def generator_steps(self, kind: str) -> int:
        """Training steps of one generator, by its name in ``KINDS``."""
        return {"autoregressive": self.autoregressive_steps, "diffusion": self.diffusion_steps}[kind]


@dataclass(frozen=True)
class GeneratorResult:
    """One generator of the demo.

    Attributes:
        kind: its configuration's name, one of ``KINDS``.
        seconds: wall time of its training.
        parameters: of the network.
        adherence: how well samples follow held-out label maps.
    """

    kind: str
    seconds: float
    parameters: int
    adherence: Adherence

    def line(self) -> str:
        """As it is printed."""
        figures = self.adherence
        return (
            f"{KINDS[self.kind]}: {figures.figure} {figures.value:.3f} on {figures.images} held-out label "
            f"maps (ceiling {figures.ceiling:.3f}), trained in {self.seconds:.0f} s"
        )

    def row(self) -> dict[str, Any]:
        """As it stands in ``results.json``."""
        return {
            "kind": self.kind,
            "condition": self.adherence.condition,
            "figure": self.adherence.figure,
            "value": self.adherence.value,
            "ceiling": self.adherence.ceiling,
            "images": self.adherence.images,
            "seconds": round(self.seconds, 1),
            "parameters": self.parameters,
        }


@dataclass(frozen=True)
class Inpainting:
    """Scenes of which a part was drawn anew.

    Attributes:
        originals: ``[K, 3, H, W]`` in [-1, 1].
        masked: the same with the part in grey.
        drawn: what the generator made of it.
    """

    originals: Tensor
    masked: Tensor
    drawn: Tensor


@dataclass(frozen=True)
class ScenesResult:
    """The second half of the demo.

    Attributes:
        generators: one result a kind.
        models: the tokenizer and the generators by name.
        scenes: the held-out scenes that samples are shown for.
        inpainting: by the diffusion generator.
    """

    generators: list[GeneratorResult]
    models: dict[str, ImageTokenizer | Generator]
    scenes: list[Sample]
    inpainting: Inpainting


def run_scenes(output: Path, budget: ScenesBudget, seed: int, console: Console) -> ScenesResult:
    """Trains a tokenizer on scenes, then both generators on its tokens, and measures them.

    Args:
        output: an empty folder for the trainings and the cached tokens.
        budget: what each training may take.
        seed: of all weights and batches.
        console: says what happens.
    """
    console.rule("scenes: the tokenizer", align="left")
    tokenizer = train_tokenizer(
        TOKENIZER_CONFIGS,
        output / "tokenizer",
        [
            f"--seed_everything={seed}",
            f"--data.batch_size={budget.batch_size}",
            f"--trainer.precision={fast_cpu_precision()}",
            f"--data.dataset.init_args.size={budget.size}",
            "--data.dataset.init_args.val_length=128",
            f"--trainer.max_steps={budget.tokenizer_steps}",
            f"--trainer.val_check_interval={max(1, budget.tokenizer_steps // 4)}",
            *budget.overrides,
        ],
    )
    data = ScenesData(size=budget.size, train_length=budget.cached, val_length=256)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        write_cache(
            output / "tokens",
            tokenizer,
            data,
            seed=seed,
            shard_size=1024,
            track=lambda shards, count: iter(bar.track(shards, total=count, description="encoding scenes")),
        )
    scenes = held_out_scenes(budget.scenes, budget.size)
    results = []
    models: dict[str, ImageTokenizer | Generator] = {"tokenizer": tokenizer}
    for kind, name in KINDS.items():
        console.rule(f"scenes: the {name} generator", align="left")
        steps = budget.generator_steps(kind)
        start = time.perf_counter()
        generator = train_generator(
            [f"generator/{kind}-tiny", *GENERATOR_CONFIGS],
            output / kind,
            [
                f"--seed_everything={seed}",
                f"--model.tokenizer={output / 'tokenizer' / 'tokenizer'}",
                "--model.samples=false",
                "--model.ema_decay=0.98",  # the average of a run this short
                f"--trainer.precision={fast_cpu_precision()}",
                f"--data.dataset.init_args.folder={output / 'tokens'}",
                f"--data.batch_size={budget.batch_size}",
                f"--trainer.max_steps={steps}",
                f"--trainer.val_check_interval={max(1, steps // 4)}",
                *budget.generator_overrides,
            ],
        )
        seconds = time.perf_counter() - start
        models[kind] = generator
        results.append(_measure(kind, generator, tokenizer, scenes, seconds, console))
        console.print(results[-1].line())
    # The last one trained is the diffusion generator, which may fill any gap.
    return ScenesResult(results, models, scenes[:_SHOWN], inpaint(generator, tokenizer, scenes[:_SHOWN]))


def inpaint(generator: Generator, tokenizer: ImageTokenizer, scenes: list[Sample]) -> Inpainting:
    """Draws the middle third of the columns of ``scenes`` anew, under their own label maps."""
    originals = torch.stack([scene["image"] for scene in scenes])
    codes = tokenizer.encode(originals)
    columns = generator.source.grid[1]
    known = codes.clone()
    known[:, :, columns // 3 : columns - columns // 3] = UNKNOWN
    ids = generator.condition.ids(torch.stack([scene["label_map"] for scene in scenes]))
    drawn = sample_in_batches(generator, ids, OPTIONS, len(scenes), known, finish=tokenizer.decode)
    gap = (known == UNKNOWN).repeat_interleave(tokenizer.downsampling, 1)
    gap = gap.repeat_interleave(tokenizer.downsampling, 2)[:, None]
    return Inpainting(originals, torch.where(gap, 0.0, originals), drawn)


def _measure(
    kind: str,
    generator: Generator,
    tokenizer: ImageTokenizer,
    scenes: list[Sample],
    seconds: float,
    console: Console,
) -> GeneratorResult:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sampling held-out label maps", total=len(scenes))
        figures = adherence(
            generator,
            tokenizer,
            scenes,
            OPTIONS,
            keep=_SHOWN,
            report=lambda done: bar.update(task, completed=done),
        )
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    return GeneratorResult(kind, seconds, parameters, figures)
