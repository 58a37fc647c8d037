"""Both generators under all conditions on scenes: what samples show of what was asked for.

    .venv/bin/python benchmarks/generators.py [RUN ...] [--jobs 2] [--quick] [--json PATH]

A run is ``KIND/CONDITION``, e.g. ``diffusion/caption``. First a Reg-VQ tokenizer is trained on scenes and
their tokens are cached, once; then each run trains from the shipped configurations for the steps of
``RUNS``, and is measured on held-out scenes, whose combinations of colour, object and place training never
showed, as the scenes' oracle reads them. The ceiling is the oracle on the tokenizer's reconstructions. What
has been run is kept in ``--output`` and not run again; other options of sampling are measured without
another training. The exit status is 1 where a bar is missed, or a training took longer than it may.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

import regvq
from regvq.data.scenes import ScenesData
from regvq.evaluation.adherence import adherence, held_out_scenes
from regvq.evaluation.comparison.jobs import Row, run_missing, write_json
from regvq.files import write_bytes
from regvq.generators import Generator
from regvq.tokenizers import write_cache
from regvq.training.generator_cli import train_generator
from regvq.training.precision import fast_cpu_precision
from regvq.training.tokenizer_cli import train_tokenizer
from regvq.types import SamplingOptions

MINUTES = 40
"""Most that a training may take on two cores; one of two jobs has but one of them."""

BARS = {"label-map-4x": 0.80, "caption": 0.90, "class-label": 0.95}
"""Conditions, and the least that samples must reach under them."""


@dataclass(frozen=True)
class Run:
    """How one generator is trained and sampled.

    Attributes:
        steps: training steps of 16 scenes.
        options: of sampling.
    """

    steps: int
    options: SamplingOptions


RUNS = {
    "autoregressive/label-map-4x": Run(1000, SamplingOptions(top_k=1)),
    "diffusion/label-map-4x": Run(1500, SamplingOptions(top_k=1, parallel=True)),
    "autoregressive/caption": Run(4000, SamplingOptions(top_p=0.9, guidance=4.0)),
    "diffusion/caption": Run(4000, SamplingOptions(top_p=0.9, guidance=2.0, parallel=True)),
    "autoregressive/class-label": Run(2000, SamplingOptions(top_p=0.9, guidance=4.0)),
    "diffusion/class-label": Run(4500, SamplingOptions(top_p=0.9, guidance=2.0, steps=50)),
}
SIZE, CODES = 48, 256
"""Of the scenes in pixels, and of the codebook: few codes, so that a small generator spends itself on what
is in a picture and not on its grain."""
TOKENIZER = ("backbone/tiny", "objective/l1", "tokenizer/regvq", "data/scenes", "trainer/cpu")


def make_tokens(folder: Path, steps: int, scenes: int) -> None:
    """Trains the tokenizer and caches the tokens, where they are not there yet."""
    if not (folder / "tokens").is_dir():  # the tokenizer's own folder is there from its first validation on
        shutil.rmtree(folder / "tokenizer", ignore_errors=True)  # of a training that was cut short
        train_tokenizer(
            TOKENIZER,
            folder / "tokenizer",
            [
                "--data.batch_size=8",
                f"--model.quantizer.init_args.codebook_size={CODES}",
                f"--data.dataset.init_args.size={SIZE}",
                "--data.dataset.init_args.val_length=128",
                f"--trainer.precision={fast_cpu_precision()}",
                f"--trainer.max_steps={steps}",
                f"--trainer.val_check_interval={max(1, steps // 5)}",
            ],
        )
    tokenizer = regvq.load_tokenizer(folder / "tokenizer" / "tokenizer")
    write_cache(folder / "tokens", tokenizer, ScenesData(SIZE, scenes, 256), shard_size=1024)


def trained(name: str, folder: Path, steps: int) -> tuple[Generator, float]:
    """A generator and the seconds that its training took, which is done where it has not been done."""
    kind, condition = name.split("/")
    output = folder / f"{kind}-{condition}-{steps}"
    clock = output / "seconds.json"
    if clock.is_file():
        return regvq.load_generator(output / "generator"), float(json.loads(clock.read_text()))
    shutil.rmtree(output, ignore_errors=True)
    start = time.perf_counter()
    generator = train_generator(
        [f"generator/{kind}-tiny", f"condition/{condition}", "data/tokens", "trainer/generator-cpu"],
        output,
        [
            f"--model.tokenizer={folder / 'tokenizer' / 'tokenizer'}",
            "--model.samples=false",
            f"--data.dataset.init_args.folder={folder / 'tokens'}",
            "--data.batch_size=16",
            f"--trainer.max_steps={steps}",
            f"--trainer.val_check_interval={max(1, steps // 5)}",
            f"--trainer.precision={fast_cpu_precision()}",
        ],
    )
    seconds = time.perf_counter() - start
    write_bytes(clock, json.dumps(seconds).encode())
    return generator, seconds


def run(name: str, folder: Path, steps: int, scenes: int, threads: int) -> Row:
    """Trains and measures one generator."""
    torch.set_num_threads(threads)
    condition = name.partition("/")[2]
    generator, seconds = trained(name, folder, steps)
    tokenizer = regvq.load_tokenizer(folder / "tokenizer" / "tokenizer")
    figures = adherence(generator, tokenizer, held_out_scenes(scenes, SIZE), RUNS[name].options)
    return {
        "run": name,
        "steps": steps,
        "options": asdict(RUNS[name].options),
        "seconds": seconds,
        "threads": threads,
        "figure": figures.figure,
        "value": figures.value,
        "ceiling": figures.ceiling,
        "images": figures.images,
        "bar": BARS[condition],
        "passed": figures.value >= BARS[condition] and seconds <= 60 * MINUTES,
    }


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'run':<32}{'figure':<20}{'value':>8}{'ceiling':>9}{'bar':>7}{'minutes':>9}"]
    for row in rows:
        verdict = "pass" if row["passed"] else "MISS"
        if row["seconds"] > 60 * MINUTES:
            verdict += f", over {MINUTES} minutes"
        lines.append(
            f"{row['run']:<32}{row['figure']:<20}{row['value']:>8.3f}{row['ceiling']:>9.3f}"
            f"{row['bar']:>7.2f}{row['seconds'] / 60:>9.1f}  {verdict}"
        )
    return "\n".join(lines)


def main() -> int:
    """Reads the arguments, runs what has not been run, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of: {', '.join(RUNS)}")
    parser.add_argument(
        "--jobs", type=int, default=2, help="trainings at once, one thread each; 1: two threads"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two steps each and few scenes: under 45 s on two cores"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/generators"))
    parser.add_argument("--json", type=Path, help="write all rows asked for here as well")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.runs) - set(RUNS))
    if unknown:
        parser.error(f"no run {', '.join(unknown)}: choose of {', '.join(RUNS)}")
    quick, threads = arguments.quick, max(1, 2 // arguments.jobs)
    folder = arguments.output / ("quick" if quick else "full")
    make_tokens(folder, *(2, 64) if quick else (2000, 16384))
    wanted = {}
    for name in arguments.runs or RUNS:
        steps, scenes = (2, 8) if quick else (RUNS[name].steps, 256)
        options = hashlib.sha256(repr(RUNS[name].options).encode()).hexdigest()[:8]
        path = folder / f"{name.replace('/', '-')}-{steps}-{options}.json"
        wanted[path] = (run, (name, folder, steps, scenes, threads))
    rows = run_missing(wanted, arguments.jobs, lambda row: print(table([row]), flush=True))
    print(f"\n{table(rows)}")
    if arguments.json:
        write_json(arguments.json, rows)
    return 0 if all(row["passed"] for row in rows) or quick else 1


if __name__ == "__main__":
    sys.exit(main())
