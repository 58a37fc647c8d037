"""What the stochastic mask does to generation: the trainings behind docs/results.md.

    .venv/bin/python benchmarks/stochastic_mask.py [--seeds 0 1 2] [--jobs 2] [--quick] [--json PATH]

EMA-VQ, Reg-VQ without its mask and Reg-VQ with it: each a tokenizer of scenes trained with the same
budget, and on its tokens the same small autoregressive generator under label maps. Each training runs on
one thread. A pair that has been trained is not trained again: its row lies in ``--output``. Figures are the
mean over the seeds, behind ``+-`` the standard deviation.
"""

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from regvq.data.scenes import ScenesData
from regvq.evaluation import evaluate_tokenizer, sampled_tokens
from regvq.evaluation.adherence import adherence, held_out_scenes
from regvq.evaluation.comparison.jobs import Row, run_missing, write_json
from regvq.evaluation.photos_demo import read_history
from regvq.metrics import FrechetDistance
from regvq.nets import OfflineFeatures
from regvq.tokenizers import write_cache
from regvq.training.generator_cli import train_generator
from regvq.training.precision import fast_cpu_precision
from regvq.training.tokenizer_cli import train_tokenizer
from regvq.types import SamplingOptions
from seeds import seeds_table

SIZE = 32
GENERATOR = (
    "generator/autoregressive-tiny",
    "condition/label-map-4x",
    "data/tokens",
    "trainer/generator-cpu",
)
TOKENIZERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "EMA-VQ": ("ema-vq", ()),
    "Reg-VQ, mask 0": ("regvq", ("--model.quantizer.init_args.mask_ratio=0",)),
    "Reg-VQ, mask 0.4": ("regvq", ("--model.quantizer.init_args.mask_ratio=0.4",)),
}
"""Name of a tokenizer: its configuration, and what is set beside it."""

OPTIONS = SamplingOptions(top_p=0.9)

FIGURES = (
    ("psnr", "PSNR", 2),
    ("psnr_sampled_40", "at 40 %", 2),
    ("perplexity", "perplexity", 0),
    ("reconstruction_frechet", "Frechet, rec.", 4),
    ("bits_per_token", "bits/token", 2),
    ("ceiling", "ceiling IoU", 3),
    ("mean_iou", "mean IoU", 3),
    ("frechet", "Frechet, gen.", 4),
)


@dataclass(frozen=True)
class Budget:
    """What each pair may take, the same for all.

    Attributes:
        tokenizer_steps: training steps of 16 scenes.
        generator_steps: training steps of 16 scenes.
        cached: training scenes that are encoded.
        scenes: held-out scenes that are measured.
    """

    tokenizer_steps: int = 600
    generator_steps: int = 500
    cached: int = 8192
    scenes: int = 512


def run_pair(name: str, seed: int, budget: Budget) -> Row:
    """Trains a tokenizer and a generator on its tokens: their figures."""
    torch.set_num_threads(1)
    config, overrides = TOKENIZERS[name]
    common = [f"--seed_everything={seed}", f"--trainer.precision={fast_cpu_precision()}"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        start = time.perf_counter()
        tokenizer = train_tokenizer(
            ["backbone/tiny", "objective/l1", f"tokenizer/{config}", "data/scenes", "trainer/cpu"],
            folder / "tokenizer",
            [
                *common,
                f"--data.dataset.init_args.size={SIZE}",
                "--data.batch_size=16",
                f"--trainer.max_steps={budget.tokenizer_steps}",
                f"--trainer.val_check_interval={budget.tokenizer_steps}",
                *overrides,
            ],
        )
        tokenizer_seconds = time.perf_counter() - start
        write_cache(folder / "tokens", tokenizer, ScenesData(SIZE, budget.cached, 512), seed=seed)
        start = time.perf_counter()
        generator = train_generator(
            GENERATOR,
            folder / "generator",
            [
                *common,
                f"--model.tokenizer={folder / 'tokenizer' / 'tokenizer'}",
                "--model.samples=false",
                f"--data.dataset.init_args.folder={folder / 'tokens'}",
                "--data.batch_size=16",
                f"--trainer.max_steps={budget.generator_steps}",
                f"--trainer.val_check_interval={budget.generator_steps}",
            ],
        )
        generator_seconds = time.perf_counter() - start
        bits = read_history(folder / "generator")["val/bits_per_token"][-1][1]
    scenes = held_out_scenes(budget.scenes, SIZE)
    originals = torch.stack([scene["image"] for scene in scenes])
    figures = evaluate_tokenizer(tokenizer, originals.split(128))
    sampled = sampled_tokens(tokenizer, originals, OfflineFeatures())
    adhered = adherence(generator, tokenizer, scenes, OPTIONS, batch_size=128, keep=len(scenes))
    return {
        "tokenizer": name,
        "seed": seed,
        "psnr": figures.psnr,
        "psnr_sampled_40": sampled.at(0.4).psnr,
        "usage": figures.usage,
        "perplexity": figures.perplexity,
        "reconstruction_frechet": sampled.at(0.0).frechet,
        "bits_per_token": bits,
        "ceiling": adhered.ceiling,
        "mean_iou": adhered.value,
        "frechet": frechet(originals, adhered.samples),
        "features": sampled.features,
        "tokenizer_seconds": tokenizer_seconds,
        "generator_seconds": generator_seconds,
    }


def frechet(originals: Tensor, samples: Tensor) -> float:
    """The Fréchet distance of ``OfflineFeatures`` between two sets of images."""
    metric = FrechetDistance(OfflineFeatures())
    for images, original in ((originals, True), (samples, False)):
        for part in images.split(128):
            metric.update(part, original=original)
    return float(metric.compute())


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    return seeds_table(rows, "tokenizer", FIGURES)


def main() -> None:
    """Reads the arguments, runs what has not been run, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", help="default: 0 1 2")
    parser.add_argument("--jobs", type=int, default=2, help="pairs at once, one thread each")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="five steps and few scenes, one seed unless seeds are named: under 45 s on two cores",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/stochastic-mask"))
    parser.add_argument("--json", type=Path, help="write all rows here as well")
    arguments = parser.parse_args()
    budget = Budget(5, 5, 256, 64) if arguments.quick else Budget()
    folder = arguments.output / f"{budget.tokenizer_steps}-{budget.generator_steps}"
    wanted = {
        folder / f"{name.replace(' ', '_')}-{seed}.json": (run_pair, (name, seed, budget))
        for seed in arguments.seeds or ([0] if arguments.quick else [0, 1, 2])
        for name in TOKENIZERS
    }
    rows = run_missing(wanted, arguments.jobs, lambda row: print(table([row]), flush=True))
    print(f"\n{budget}\n{table(rows)}")
    if arguments.json:
        write_json(arguments.json, {"budget": asdict(budget), "rows": rows})


if __name__ == "__main__":
    main()
