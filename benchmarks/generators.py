"""Both generators under all conditions on scenes: what samples show of what was asked for.

    .venv/bin/python benchmarks/generators.py [RUN ...] [--minutes 40] [--jobs 2] [--quick] [--json PATH]

A run is ``KIND/CONDITION``, e.g. ``diffusion/caption``. First a Reg-VQ tokenizer is trained on scenes and
their tokens are cached, once; then each run trains from the shipped configurations until its time is up,
and is measured on held-out scenes, whose combinations of colour, object and place training never showed, as
the scenes' oracle reads them. The ceiling is the oracle on the tokenizer's reconstructions. What has been
run is kept in ``--output`` and not run again. The exit status is 1 where a bar is missed.
"""

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

import regvq
from regvq.data.scenes import ScenesData
from regvq.evaluation.adherence import adherence, held_out_scenes
from regvq.files import write_bytes
from regvq.tokenizers import write_cache
from regvq.training.generator_cli import train_generator
from regvq.training.precision import fast_cpu_precision
from regvq.training.tokenizer_cli import train_tokenizer
from regvq.types import SamplingOptions

KINDS = ("autoregressive", "diffusion")
CONDITIONS = {"label-map-4x": 0.80, "caption": 0.90, "class-label": 0.95}
"""Conditions, and the least that samples must reach under them."""

TOKENIZER = ("backbone/tiny", "objective/l1", "tokenizer/regvq", "data/scenes", "trainer/cpu")
SIZE = 32


def make_tokens(folder: Path, steps: int, scenes: int) -> None:
    """Trains the tokenizer and caches the tokens, where they are not there yet."""
    if not (folder / "tokenizer" / "tokenizer").is_dir():
        train_tokenizer(
            TOKENIZER,
            folder / "tokenizer",
            [
                "--data.batch_size=16",
                f"--data.dataset.init_args.size={SIZE}",
                f"--trainer.precision={fast_cpu_precision()}",
                f"--trainer.max_steps={steps}",
                f"--trainer.val_check_interval={steps}",
            ],
        )
    tokenizer = regvq.load_tokenizer(folder / "tokenizer" / "tokenizer")
    write_cache(folder / "tokens", tokenizer, ScenesData(SIZE, scenes, 256), shard_size=1024)


def run(name: str, folder: Path, steps: int, minutes: float, scenes: int, threads: int) -> dict[str, Any]:
    """Trains and measures one generator: its row."""
    torch.set_num_threads(threads)
    kind, condition = name.split("/")
    output = folder / f"{kind}-{condition}-{steps}"
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
            f"--trainer.max_time=00:00:{int(minutes):02d}:{int(minutes % 1 * 60):02d}",
            f"--trainer.val_check_interval={max(1, steps // 10)}",
            f"--trainer.precision={fast_cpu_precision()}",
        ],
    )
    seconds = time.perf_counter() - start
    tokenizer = regvq.load_tokenizer(folder / "tokenizer" / "tokenizer")
    figures = adherence(
        generator, tokenizer, held_out_scenes(scenes, SIZE), SamplingOptions(top_p=0.9, steps=50)
    )
    return {
        "run": name,
        "steps": steps,
        "seconds": seconds,
        "threads": threads,
        "figure": figures.figure,
        "value": figures.value,
        "ceiling": figures.ceiling,
        "images": figures.images,
        "bound": CONDITIONS[condition],
        "passed": figures.value >= CONDITIONS[condition],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'run':<32}{'figure':<20}{'value':>8}{'ceiling':>9}{'bar':>7}{'minutes':>9}"]
    for row in rows:
        lines.append(
            f"{row['run']:<32}{row['figure']:<20}{row['value']:>8.3f}{row['ceiling']:>9.3f}"
            f"{row['bound']:>7.2f}{row['seconds'] / 60:>9.1f}  {'pass' if row['passed'] else 'MISS'}"
        )
    return "\n".join(lines)


def main() -> int:
    """Reads the arguments, runs what has not been run, prints the table."""
    names = [f"{kind}/{condition}" for condition in CONDITIONS for kind in KINDS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of: {', '.join(names)}")
    parser.add_argument("--minutes", type=float, default=40, help="most a training may take")
    parser.add_argument("--steps", type=int, default=3000, help="most a training may take")
    parser.add_argument(
        "--jobs", type=int, default=2, help="trainings at once, one thread each; 1: two threads"
    )
    parser.add_argument("--quick", action="store_true", help="two steps each: shows that all run")
    parser.add_argument("--output", type=Path, default=Path("runs/generators"))
    parser.add_argument("--json", type=Path, help="write all rows asked for here as well")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.runs) - set(names))
    if unknown:
        parser.error(f"no run {', '.join(unknown)}: choose of {', '.join(names)}")
    steps, scenes = (2, 8) if arguments.quick else (arguments.steps, 256)
    folder = arguments.output / ("quick" if arguments.quick else "full")
    make_tokens(folder, *(2, 64) if arguments.quick else (1500, 16384))
    paths = {name: folder / f"{name.replace('/', '-')}-{steps}.json" for name in arguments.runs or names}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=spawn) as pool:
        futures = {
            pool.submit(
                run, name, folder, steps, arguments.minutes, scenes, max(1, 2 // arguments.jobs)
            ): path
            for name, path in paths.items()
            if not path.is_file()
        }
        for future in as_completed(futures):
            row = future.result()
            write_bytes(futures[future], json.dumps(row, indent=2).encode() + b"\n")
            print(table([row]), flush=True)
    rows = [json.loads(path.read_text()) for path in paths.values()]
    print(f"\n{table(rows)}")
    if arguments.json:
        write_bytes(arguments.json, json.dumps(rows, indent=2).encode() + b"\n")
    return 0 if all(row["passed"] for row in rows) or arguments.quick else 1


if __name__ == "__main__":
    sys.exit(main())
