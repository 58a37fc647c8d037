"""The demo's first half: four quantizers, one budget, one seed, one backbone, on photographs."""

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from regvq.data import Photos
from regvq.evaluation.codebook_pictures import code_map, patch_grid, usage_grid
from regvq.evaluation.codebook_report import report_codebook
from regvq.evaluation.names import display_name
from regvq.evaluation.results import History, TokenizerResult
from regvq.evaluation.sampled_tokens import decode_sampled, sampled_tokens
from regvq.evaluation.tokenizer import evaluate_tokenizer
from regvq.figures import png
from regvq.nets import FeatureNet
from regvq.tokenizers import ImageTokenizer
from regvq.training.precision import fast_cpu_precision
from regvq.training.tokenizer_cli import train_tokenizer

STEPS = 1000
BATCH_SIZE = 16
QUANTIZERS = ("vq", "ema-vq", "gumbel", "regvq")
CONFIGS = ("backbone/tiny", "objective/l1", "data/photos", "trainer/cpu")
"""What all four share; ``tokenizer/<quantizer>`` comes on top."""

OVERRIDES: dict[str, tuple[str, ...]] = {
    "gumbel": ("--model.quantizer.init_args.temperature.init_args.steps={steps}",),
}
"""Arguments of one quantizer; ``{steps}`` is the budget, which annealing has to end with."""

_SHOWN = 12


@dataclass(frozen=True)
class Budget:
    """What every tokenizer of the demo gets, and what all are measured on.

    Attributes:
        steps: training steps of each.
        batch_size: crops a step.
        seed: of weights, crops, masks and noise.
        size: side of a crop in pixels.
        crops: validation crops that the table is measured on.
        watched: validation crops that the curves of training are measured on, at most ``crops``.
        overrides: further arguments of ``regvq fit-tokenizer``, the same for each.
    """

    steps: int = STEPS
    batch_size: int = BATCH_SIZE
    seed: int = 0
    size: int = 32
    crops: int = 1024
    watched: int = 256
    overrides: tuple[str, ...] = ()

    def arguments(self, quantizer: str) -> list[str]:
        """Arguments of ``regvq fit-tokenizer`` for one quantizer."""
        own = [text.format(steps=self.steps) for text in OVERRIDES.get(quantizer, ())]
        return [
            f"--seed_everything={self.seed}",
            f"--data.batch_size={self.batch_size}",
            f"--data.dataset.init_args.size={self.size}",
            f"--data.dataset.init_args.val_length={min(self.crops, self.watched)}",
            f"--trainer.max_steps={self.steps}",
            f"--trainer.val_check_interval={max(1, self.steps // 5)}",
            f"--trainer.precision={fast_cpu_precision()}",
            "--model.ema_decay=0.99",  # docs/recipe.md: worth a little to each
            *own,
            *self.overrides,
        ]


@dataclass(frozen=True)
class PhotosResult:
    """The first half of the demo.

    Attributes:
        results: one a tokenizer, in the order of ``QUANTIZERS``.
        tokenizers: the trained ones by their short names.
        shown: ``[K, 3, H, W]`` in [-1, 1], what the results' reconstructions are of.
        facts: what all share, for people to read.
    """

    results: list[TokenizerResult]
    tokenizers: dict[str, ImageTokenizer]
    shown: Tensor
    facts: dict[str, str]


def run_photos(
    output: Path, budget: Budget, features: FeatureNet, configs: Sequence[str], console: Console
) -> PhotosResult:
    """Trains VQ, EMA-VQ, Gumbel and Reg-VQ on photographs with one budget and measures them.

    Args:
        output: an empty folder for the trainings.
        budget: the same for all four.
        features: of the Fréchet distance.
        configs: configurations that all four share, by path or short name.
        console: says what happens.
    """
    dataset = Photos("val", budget.size, budget.crops)
    images = torch.stack([dataset[index]["image"] for index in range(len(dataset))])
    results = []
    tokenizers: dict[str, ImageTokenizer] = {}
    for place, quantizer in enumerate(QUANTIZERS, 1):
        name = display_name(quantizer)
        console.rule(f"photographs, {place} of {len(QUANTIZERS)}: {name}", align="left")
        run = output / quantizer
        start = time.perf_counter()
        tokenizer = train_tokenizer([*configs, f"tokenizer/{quantizer}"], run, budget.arguments(quantizer))
        seconds = time.perf_counter() - start
        tokenizers[quantizer] = tokenizer
        with console.status(
            f"{name}: measuring {len(images)} validation crops, then with sampled tokens …"
        ):
            if not console.is_terminal:
                console.print(f"measuring {len(images)} validation crops, then with sampled tokens")
            results.append(measure(quantizer, tokenizer, images, features, seconds, read_history(run)))
        console.print(_headline(results[-1]))
    facts = _facts(budget, results[-1], tokenizer, len(images), features)
    return PhotosResult(results, tokenizers, images[:_SHOWN], facts)


def measure(
    quantizer: str,
    tokenizer: ImageTokenizer,
    images: Tensor,
    features: FeatureNet,
    seconds: float,
    history: History,
) -> TokenizerResult:
    """Everything that the report says of one trained tokenizer.

    Args:
        quantizer: its short name.
        tokenizer: in any mode.
        images: ``[B, 3, H, W]`` in [-1, 1], at least two; the first few are shown.
        features: of the Fréchet distance.
        seconds: how long its training took.
        history: what its training logged.
    """
    figures = evaluate_tokenizer(tokenizer, images.split(128))
    codebook = report_codebook(tokenizer.quantizer.codebook, figures.counts)
    sampled = sampled_tokens(tokenizer, images, features)
    temperature = sampled.at(0.8).temperature
    shown = images[:_SHOWN]
    return TokenizerResult(
        quantizer=quantizer,
        figures=figures,
        sampled=sampled,
        codebook=codebook,
        seconds=seconds,
        parameters=sum(parameter.numel() for parameter in tokenizer.parameters()),
        history=history,
        reconstructions=tokenizer.reconstruct(shown),
        sampled_reconstructions=None
        if temperature is None
        else decode_sampled(tokenizer, shown, temperature),
        pictures={
            "usage": png(usage_grid(codebook)),
            "patches": png(patch_grid(codebook, tokenizer)),
            "map": png(code_map(codebook)),
        },
    )


def read_history(run: Path) -> History:
    """What a training logged into ``run/logs``: values by name, each with its step."""
    history: History = {}
    for path in sorted((run / "logs").glob("version_*/metrics.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                for name, text in line.items():
                    if text and name not in ("step", "epoch"):
                        history.setdefault(name, []).append((int(line["step"]), float(text)))
    return history


def _headline(result: TokenizerResult) -> str:
    figures = result.figures
    return (
        f"{display_name(result.quantizer)}: PSNR {figures.psnr:.2f} dB, {100 * figures.usage:.1f} % of the "
        f"codes used, perplexity {figures.perplexity:.0f}, trained in {result.seconds:.0f} s"
    )


def _facts(
    budget: Budget, result: TokenizerResult, tokenizer: ImageTokenizer, images: int, features: FeatureNet
) -> dict[str, str]:
    grid = budget.size // tokenizer.downsampling
    backbone = sum(parameter.numel() for parameter in tokenizer.backbone.parameters())
    return {
        "budget": f"{budget.steps} steps of {budget.batch_size} crops",
        "seed": str(budget.seed),
        "backbone": f"{type(tokenizer.backbone).__name__}, {backbone / 1e6:.2f} M parameters",
        "codes": str(tokenizer.codebook_size),
        "crops": f"{budget.size} px as {grid}×{grid} tokens",
        "validation": f"{images} crops, {result.figures.tokens:,} tokens",
        "features": f"{features.name}, weights {features.weights_hash()}",
    }
