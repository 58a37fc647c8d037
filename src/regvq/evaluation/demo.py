"""The demo: four quantizers, one budget, one seed, one backbone, and a report of how they compare."""

import csv
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from regvq.data import Photos
from regvq.errors import RegvqError
from regvq.evaluation.codebook_pictures import code_map, patch_grid, usage_grid
from regvq.evaluation.codebook_report import report_codebook
from regvq.evaluation.figures import png
from regvq.evaluation.names import display_name
from regvq.evaluation.plots import reconstruction_grid
from regvq.evaluation.report import html_report
from regvq.evaluation.results import History, TokenizerResult, text_table, to_json
from regvq.evaluation.sampled_tokens import decode_sampled, sampled_tokens
from regvq.evaluation.tokenizer import evaluate_tokenizer
from regvq.files import write_bytes
from regvq.nets import FeatureNet, OfflineFeatures
from regvq.tokenizers import ImageTokenizer
from regvq.training.tokenizer_cli import train_tokenizer

STEPS = 1000
BATCH_SIZE = 8
QUANTIZERS = ("vq", "ema-vq", "gumbel", "regvq")
CONFIGS = ("backbone/tiny", "objective/l1", "data/photos", "trainer/cpu")
"""What all four share; ``tokenizer/<quantizer>`` comes on top."""

OVERRIDES: dict[str, tuple[str, ...]] = {
    "gumbel": ("--model.quantizer.init_args.temperature.init_args.steps={steps}",),
}
"""Arguments of one quantizer; ``{steps}`` is the budget, which annealing has to end with."""

_SHOWN = 12
_MARKER = ".regvq-demo"


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
            *own,
            *self.overrides,
        ]


def run_demo(
    output: Path,
    *,
    budget: Budget = Budget(),
    features: FeatureNet | None = None,
    configs: Sequence[str] = CONFIGS,
) -> list[TokenizerResult]:
    """Trains VQ, EMA-VQ, Gumbel and Reg-VQ on photographs and writes how they compare.

    Into ``output``: ``report.html``, ``results.json``, ``reconstructions.png``,
    ``tokenizers/<quantizer>/`` and, with logs and checkpoints, ``training/<quantizer>/``. Only what an
    earlier demo wrote is replaced, and all but ``training`` only once everything new is complete.

    Args:
        output: a folder.
        budget: the same for all four.
        features: of the Fréchet distance; ``OfflineFeatures`` if none are given.
        configs: configurations that all four share, by path or short name.

    Raises:
        RegvqError: ``output`` holds a foreign folder ``training`` or ``tokenizers``, or cannot be written,
            or a training failed.
        TrainingInterrupted: Ctrl-C.
    """
    console = Console(highlight=False)
    features = features or OfflineFeatures()
    _prepare(output)
    dataset = Photos("val", budget.size, budget.crops)
    images = torch.stack([dataset[index]["image"] for index in range(len(dataset))])
    results = []
    trained: dict[str, ImageTokenizer] = {}
    for place, quantizer in enumerate(QUANTIZERS, 1):
        name = display_name(quantizer)
        console.rule(f"{place} of {len(QUANTIZERS)}: {name}", align="left")
        run = output / "training" / quantizer
        start = time.perf_counter()
        tokenizer = train_tokenizer([*configs, f"tokenizer/{quantizer}"], run, budget.arguments(quantizer))
        seconds = time.perf_counter() - start
        trained[quantizer] = tokenizer
        with console.status(
            f"{name}: measuring {len(images)} validation crops, then with sampled tokens …"
        ):
            if not console.is_terminal:
                console.print(f"measuring {len(images)} validation crops, then with sampled tokens")
            results.append(measure(quantizer, tokenizer, images, features, seconds, read_history(run)))
        console.print(_headline(results[-1]))
    facts = _facts(budget, results[-1], tokenizer, len(images))
    page = html_report(
        "Four quantizers, one budget",
        "VQ, EMA-VQ, Gumbel and regularized vector quantization, trained on crops of ten photographs from "
        "the same seed, with the same network and the same number of steps, and measured on parts of the "
        "photographs that none of them was trained on.",
        facts,
        results,
        images[:_SHOWN],
    )
    names = [(display_name(result.quantizer), result.reconstructions) for result in results]
    write_bytes(output / "reconstructions.png", png(reconstruction_grid(images[:_SHOWN], names)))
    for quantizer, tokenizer in trained.items():
        tokenizer.save_pretrained(output / "tokenizers" / quantizer)
    write_bytes(output / "report.html", page.encode())
    write_bytes(output / "results.json", to_json(results, dict(facts)))
    console.print(f"\nreport: {output / 'report.html'}\n")
    console.print(text_table(results), markup=False, soft_wrap=True)
    return results


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


def _prepare(output: Path) -> None:
    """Makes ``output/training`` empty, if what is there is the demo's own or nothing."""
    folder = output / "training"
    marker = folder / _MARKER
    for taken in (folder, output / "tokenizers"):
        if taken.exists() and not marker.is_file():
            raise RegvqError(f"{taken} exists and is not the demo's: give another --output")
    if folder.exists():
        shutil.rmtree(folder)
    write_bytes(marker, b"The demo replaces this folder when it runs again.\n")


def _headline(result: TokenizerResult) -> str:
    figures = result.figures
    return (
        f"{display_name(result.quantizer)}: PSNR {figures.psnr:.2f} dB, {100 * figures.usage:.1f} % of the "
        f"codes used, perplexity {figures.perplexity:.0f}, trained in {result.seconds:.0f} s"
    )


def _facts(
    budget: Budget, result: TokenizerResult, tokenizer: ImageTokenizer, images: int
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
        "features": result.sampled.features,
    }
