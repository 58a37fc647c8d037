"""The trials behind docs/recipe.md: settings of every quantizer under the demo's budget.

    .venv/bin/python benchmarks/recipe.py [TRIAL ...] [--seeds 0 1 2] [--jobs 2] [--quick] [--json PATH]

Every trial is the demo's own training with a few arguments changed, measured as the demo measures it,
Fréchet distances included, but on one thread. A trial that has been run is not run again: its row lies in
``--output``. Rows are the mean over the seeds, behind ``+-`` the standard deviation.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from regvq.data import Photos
from regvq.evaluation import evaluate_tokenizer, sampled_tokens
from regvq.evaluation.photos_demo import CONFIGS, Budget
from regvq.files import write_bytes
from regvq.nets import OfflineFeatures
from regvq.training.tokenizer_cli import train_tokenizer

QUANTIZER = "--model.quantizer.init_args"


def part(name: str, **arguments: Any) -> dict[str, Any]:
    """A quantizer's injected part as a configuration writes it."""
    return {"class_path": f"regvq.quantizers.{name}", "init_args": arguments}


def regvq(weight: Any, momentum: float = 0.9, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """Reg-VQ with its prior's weight, a number or a schedule, and running posterior."""
    return "regvq", {"prior_weight": weight, "posterior_momentum": momentum, **arguments}


def linear(start: float, end: float, steps: int, delay: int = 0) -> dict[str, Any]:
    """A linear schedule as a configuration writes it."""
    arguments = {"start": start, "end": end, "steps": steps, "delay": delay}
    return {"class_path": "regvq.schedules.Linear", "init_args": arguments}


def ema_codebook(restart: float) -> dict[str, Any]:
    """A codebook of running means that restarts codes below this share of the mean count."""
    return part("EMACodebook", restart=restart)


def committed(weight: float) -> dict[str, Any]:
    """The identity straight-through with this commitment."""
    return part("IdentityStraightThrough", commitment=weight)


TRIALS: dict[str, tuple[str, dict[str, Any]]] = {
    # As they are shipped.
    "vq": ("vq", {}),
    "ema-vq": ("ema-vq", {}),
    "gumbel": ("gumbel", {}),
    "regvq": ("regvq", {}),
    "paper": ("regvq-paper", {"dim": 64}),
    # Baselines at other settings.
    "vq, uniform start": ("vq", {"init": "uniform"}),
    "vq, commitment 1": ("vq", {"commitment": 1.0}),
    "ema-vq, decay 0.95": ("ema-vq", {"decay": 0.95}),
    "ema-vq, restart 0.3": ("ema-vq", {"restart": 0.3}),
    "ema-vq, commitment 0.1": ("ema-vq", {"commitment": 0.1}),
    "ema-vq, commitment 0.5": ("ema-vq", {"commitment": 0.5}),
    "gumbel, no kl": ("gumbel", {"kl_weight": 0.0, "head": part("LinearHead")}),
    "gumbel, linear head, scale 1": ("gumbel", {"head": part("LinearHead")}),
    "gumbel, cosine head, scale 30": ("gumbel", {"head": part("CosineHead", scale=30.0)}),
    # The prior: its weight, and over how many batches its posterior runs.
    "regvq, prior 0": regvq(0.0, 0.0),
    "regvq, prior 0.001, one batch": regvq(0.001, 0.0),
    "regvq, prior 0.002": regvq(0.002),
    "regvq, prior 0 to 0.004, from step 400": regvq(linear(0.0, 0.004, steps=400, delay=400)),
    "regvq, decay 0.95": regvq(0.003, codebook=part("EMACodebook", decay=0.95)),
    "regvq, prior 0.002, decay 0.95": regvq(0.002, codebook=part("EMACodebook", decay=0.95)),
    "regvq, prior 0.01": regvq(0.01),
    "regvq, prior 0.003, momentum 0.99": regvq(0.003, 0.99),
    "regvq, prior 0.003 to 0": regvq(linear(0.003, 0.0, steps=1000)),
    # The mask: how many places, and how far the samples go.
    "regvq, no mask": regvq(0.003, mask_ratio=0.0),
    "regvq, sampled at 2": regvq(0.001, sampling_temperature=2.0),
    "regvq, sampled at 3": regvq(0.001, 0.0, sampling_temperature=3.0),
    "regvq, sampled at 6": regvq(0.003, 0.0, sampling_temperature=6.0),
    "regvq, sampled at 4, prior at 1": regvq(0.003, sampling_temperature=4.0, temperature=0.25),
    # Codebook and straight-through.
    "regvq, restart 0.3": regvq(0.003, codebook=ema_codebook(0.3)),
    "regvq, commitment 0.1": regvq(0.003, straight_through=committed(0.1)),
    "regvq, commitment 0.5": regvq(0.003, straight_through=committed(0.5)),
    "regvq, rotation": regvq(0.003, straight_through=part("RotationStraightThrough")),
    "regvq, cosine head": regvq(0.03, 0.0, head=part("CosineHead", scale=30.0)),
}
"""Name of a trial: the configuration it starts from, and the quantizer's arguments that differ."""

FIGURES = (
    ("psnr", "PSNR", 2),
    ("psnr_sampled_40", "at 40 %", 2),
    ("psnr_sampled_80", "at 80 %", 2),
    ("frechet", "Frechet", 3),
    ("frechet_sampled_80", "at 80 %", 3),
    ("usage", "usage", 3),
    ("perplexity", "perplexity", 0),
    ("changed_at_1", "T=1 share", 2),
)


def arguments_of(name: str) -> tuple[str, ...]:
    """The trial's own arguments of ``regvq fit-tokenizer``."""
    return tuple(
        f"{QUANTIZER}.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in TRIALS[name][1].items()
    )


def run_trial(name: str, budget: Budget) -> dict[str, Any]:
    """Trains and measures one tokenizer: its row."""
    torch.set_num_threads(1)
    quantizer = TRIALS[name][0]
    dataset = Photos("val", budget.size, budget.crops)
    images = torch.stack([dataset[index]["image"] for index in range(len(dataset))])
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*budget.arguments(quantizer), *arguments_of(name)]
        tokenizer = train_tokenizer([*CONFIGS, f"tokenizer/{quantizer}"], Path(folder) / "run", overrides)
    figures = evaluate_tokenizer(tokenizer, images.split(128))
    sampled = sampled_tokens(tokenizer, images, OfflineFeatures())
    return {
        "trial": name,
        "seed": budget.seed,
        "psnr": figures.psnr,
        "ssim": figures.ssim,
        "usage": figures.usage,
        "perplexity": figures.perplexity,
        "psnr_sampled_40": sampled.at(0.4).psnr,
        "psnr_sampled_80": sampled.at(0.8).psnr,
        "frechet": sampled.at(0.0).frechet,
        "frechet_sampled_40": sampled.at(0.4).frechet,
        "frechet_sampled_80": sampled.at(0.8).frechet,
        "psnr_at_1": sampled.at_one.psnr,
        "changed_at_1": sampled.at_one.measured_share,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The trials as aligned text, in the order in which they were asked for."""
    names = list(dict.fromkeys(row["trial"] for row in rows))
    width = max(len(name) for name in names)
    lines = [f"{'trial':<{width}}{'seeds':>6}" + "".join(f"{title:>17}" for _, title, _ in FIGURES)]
    for name in names:
        own = [row for row in rows if row["trial"] == name]
        cells = []
        for key, _, places in FIGURES:
            values = [row[key] for row in own if row[key] is not None]
            text = "-" if not values else f"{statistics.fmean(values):.{places}f}"
            spread = f" +-{statistics.stdev(values):.{places}f}" if len(values) > 1 else ""
            cells.append(f"{text + spread:>17}")
        lines.append(f"{name:<{width}}{len(own):>6}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    """Reads the arguments, runs what has not been run, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of: {', '.join(TRIALS)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="trials at once, one thread each")
    parser.add_argument("--steps", type=int, default=Budget.steps)
    parser.add_argument("--batch-size", type=int, default=Budget.batch_size)
    parser.add_argument("--quick", action="store_true", help="a few steps: shows that all trials run")
    parser.add_argument("--output", type=Path, default=Path("runs/recipe"), help="where rows are kept")
    parser.add_argument("--json", type=Path, help="write all rows asked for here as well")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.trials) - set(TRIALS))
    if unknown:
        parser.error(f"no trial {', '.join(unknown)}: choose of {', '.join(TRIALS)}")
    steps, crops = (5, 64) if arguments.quick else (arguments.steps, Budget.crops)
    wanted = {
        (name, seed): arguments.output
        / f"{steps}x{arguments.batch_size}"
        / f"{name.replace(' ', '_')}-{seed}.json"
        for name in arguments.trials or TRIALS
        for seed in arguments.seeds
    }
    missing = [key for key, path in wanted.items() if not path.is_file()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        common = Budget(steps=steps, batch_size=arguments.batch_size, crops=crops)
        futures = {
            pool.submit(run_trial, name, replace(common, seed=seed)): (name, seed) for name, seed in missing
        }
        for future in as_completed(futures):
            row = future.result()
            write_bytes(wanted[futures[future]], json.dumps(row, indent=2).encode() + b"\n")
            print(table([row]), flush=True)
    rows = [json.loads(path.read_text()) for path in wanted.values()]
    print(f"\n{steps} steps of {arguments.batch_size} crops\n{table(rows)}")
    if arguments.json:
        write_bytes(arguments.json, json.dumps(rows, indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
