"""The trials behind docs/recipe.md: settings of every quantizer under the demo's budget.

    .venv/bin/python benchmarks/recipe.py [TRIAL ...] [--seeds 0 1 2] [--jobs 2] [--quick] [--json PATH]

Every trial is the demo's own training with a few arguments changed, measured as the demo measures it,
Fréchet distances included, but on one thread. A trial that has been run is not run again: its row lies in
``--output``. Rows are the mean over the seeds, behind ``+-`` the standard deviation.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from regvq.data import Photos
from regvq.evaluation import evaluate_tokenizer, sampled_tokens
from regvq.evaluation.comparison.jobs import run_missing, write_json
from regvq.evaluation.photos_demo import CONFIGS, Budget
from regvq.nets import OfflineFeatures
from regvq.training.tokenizer_cli import train_tokenizer
from seeds import seeds_table

QUANTIZER = "--model.quantizer.init_args"


SHIPPED = ("vq", "ema-vq", "gumbel", "regvq", "paper")
"""Trials of the quantizers as they are shipped."""


def part(name: str, **arguments: Any) -> dict[str, Any]:
    """A quantizer's injected part as a configuration writes it."""
    return {"class_path": f"regvq.quantizers.{name}", "init_args": arguments}


def regvq(
    mask_ratio: Any, sampling_temperature: Any, prior_weight: Any, **arguments: Any
) -> tuple[str, dict[str, Any]]:
    """Reg-VQ with its mask, the temperature that masked places are sampled at, and its prior."""
    names = {"mask_ratio": mask_ratio, "sampling_temperature": sampling_temperature}
    return LOSS_PRIOR, {**names, "prior_weight": prior_weight, **arguments}


def ramp(kind: str, start: float, end: float, steps: int, delay: int = 0) -> dict[str, Any]:
    """A schedule as a configuration writes it."""
    arguments = {"start": start, "end": end, "steps": steps, "delay": delay}
    return {"class_path": f"regvq.schedules.{kind}", "init_args": arguments}


LOSS_PRIOR = "regvq-prior-loss"
"""The configuration of the trials from before the prior became a bias."""

COMMITMENT_QUARTER = {"straight_through": part("IdentityStraightThrough", commitment=0.25)}
COMMITMENT_4 = {"straight_through": part("IdentityStraightThrough", commitment=4.0)}
RISING = ramp("Linear", 0.0, 1.0, steps=100, delay=100)

TRIALS: dict[str, tuple[str, dict[str, Any]]] = {
    # As they are shipped.
    "vq": ("vq", {}),
    "ema-vq": ("ema-vq", {}),
    "gumbel": ("gumbel", {}),
    "regvq": ("regvq", {}),
    "paper": ("regvq-paper", {"dim": 64}),
    # Baselines at other settings.
    "vq, commitment 2": ("vq", {"commitment": 2.0}),
    "vq, commitment 4": ("vq", {"commitment": 4.0}),
    "ema-vq, commitment 4": ("ema-vq", {"commitment": 4.0}),
    "gumbel, linear head": ("gumbel", {"init": "normal", "head": part("LinearHead", scale=5.0)}),
    "gumbel, linear head, data": ("gumbel", {"head": part("LinearHead", scale=5.0)}),
    "gumbel, cosine head": ("gumbel", {"init": "normal", "head": part("CosineHead", scale=30.0)}),
    "gumbel, cosine head, data": ("gumbel", {"head": part("CosineHead", scale=30.0)}),
    "gumbel, KL 0": ("gumbel", {"kl_weight": 0.0}),
    "gumbel, KL 0.0005": ("gumbel", {"kl_weight": 0.0005}),
    "gumbel, KL 0.05": ("gumbel", {"kl_weight": 0.05}),
    "regvq, commitment 0.2": (
        "regvq",
        {"straight_through": part("BalancedStraightThrough", commitment=0.2)},
    ),
    "regvq, commitment 0.75": (
        "regvq",
        {"straight_through": part("BalancedStraightThrough", commitment=0.75)},
    ),
    "regvq, commitment loss of 8": (
        "regvq",
        {"straight_through": part("IdentityStraightThrough", commitment=8.0)},
    ),
    "regvq, prior as a loss": (LOSS_PRIOR, {}),
    # Each part of Reg-VQ with the prior as a loss taken away or changed.
    "regvq, no mask": (LOSS_PRIOR, {"mask_ratio": 0.0}),
    "regvq, no prior": (LOSS_PRIOR, {"prior_weight": 0.0}),
    "regvq, sampled at 1": (LOSS_PRIOR, {"sampling_temperature": 1.0}),
    "regvq, commitment 0.25": (LOSS_PRIOR, COMMITMENT_QUARTER),
    "regvq, rotation": (LOSS_PRIOR, {"straight_through": part("RotationStraightThrough", commitment=8.0)}),
    "regvq, softmax": (LOSS_PRIOR, {"straight_through": part("SoftmaxStraightThrough")}),
    "regvq, cosine head": (LOSS_PRIOR, {"head": part("CosineHead", scale=30.0)}),
    "regvq, gradient codebook": (LOSS_PRIOR, {"codebook": part("GradientCodebook", init="data")}),
    "regvq, sampled at 1, prior 0.001, commitment 0.25": regvq(
        0.4, 1.0, 0.001, posterior_momentum=0.0, **COMMITMENT_QUARTER
    ),
    # The mask: how many places sample, and how far.
    "regvq, mask 0 to 1 at 40, prior 0.001": regvq(RISING, 40.0, 0.001, **COMMITMENT_4),
    "regvq, mask 0 to 1 at 40, prior 0.01": regvq(RISING, 40.0, 0.01, **COMMITMENT_4),
    "regvq, mask 0 to 1 at 20, prior 0.01": regvq(RISING, 20.0, 0.01, **COMMITMENT_4),
    "regvq, mask 0 to 1 at 20, prior 0.03": regvq(RISING, 20.0, 0.03, **COMMITMENT_4),
    "regvq, mask 0.4 at 20, prior 0.01": regvq(0.4, 20.0, 0.01, **COMMITMENT_4),
    "regvq, mask 0.4 at 40, prior 0.01": regvq(0.4, 40.0, 0.01, **COMMITMENT_4),
    # The prior.
    "regvq, mask 0.4 at 40, prior 0.1": regvq(0.4, 40.0, 0.1, **COMMITMENT_4),
    "regvq, mask 0.4 at 40, prior 0.3": regvq(0.4, 40.0, 0.3, **COMMITMENT_4),
    "regvq, prior 0.03": regvq(0.4, 40.0, 0.03),
    "regvq, prior 0.2": regvq(0.4, 40.0, 0.2),
    "regvq, momentum 0.97": regvq(0.4, 40.0, 0.1, posterior_momentum=0.97),
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
    return seeds_table(rows, "trial", FIGURES)


def main() -> None:
    """Reads the arguments, runs what has not been run, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"of: {', '.join(TRIALS)}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="trials at once, one thread each")
    parser.add_argument("--steps", type=int, default=Budget.steps)
    parser.add_argument("--batch-size", type=int, default=Budget.batch_size)
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"five steps of {', '.join(SHIPPED)} where no trial is named: under 45 s on two cores",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/recipe"), help="where rows are kept")
    parser.add_argument("--json", type=Path, help="write all rows asked for here as well")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.trials) - set(TRIALS))
    if unknown:
        parser.error(f"no trial {', '.join(unknown)}: choose of {', '.join(TRIALS)}")
    steps, crops = (5, 64) if arguments.quick else (arguments.steps, Budget.crops)
    common = Budget(steps=steps, batch_size=arguments.batch_size, crops=crops)
    folder = arguments.output / f"{steps}x{arguments.batch_size}"
    wanted = {
        folder / f"{name.replace(' ', '_')}-{seed}.json": (run_trial, (name, replace(common, seed=seed)))
        for name in arguments.trials or (SHIPPED if arguments.quick else TRIALS)
        for seed in arguments.seeds
    }
    rows = run_missing(wanted, arguments.jobs, lambda row: print(table([row]), flush=True))
    print(f"\n{steps} steps of {arguments.batch_size} crops\n{table(rows)}")
    if arguments.json:
        write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
