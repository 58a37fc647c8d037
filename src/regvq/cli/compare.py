"""Train a grid of tokenizers with one budget, measure them alike, and write table, plot and JSON.

COMPARISON is a YAML file, or one that is shipped: its rows (quantizers or settings) times its seeds, and
if it says so times the values of one swept argument, and a generator on the tokens of each. Arguments
behind it are those of every tokenizer's training, e.g. --trainer.max_steps=200, with "generator." in
front of every generator's, e.g. --generator.trainer.max_steps=200, and --config data/folder changes the
data of all. Every training is kept in --output as it comes: a run that was cut short goes on where it
stopped, one that fails does not lose the others, one whose codebook collapses is measured all the same,
and changed settings are trained anew.

Example:
  regvq compare comparison/main --output runs/main --jobs 2
  regvq compare comparison/ablation --output runs/mine --config data/folder --data.dataset.init_args.root me
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regvq.cli import images as image_arguments
from regvq.cli.features import add_feature_arguments
from regvq.cli.terminal import notice, progress
from regvq.errors import RegvqError

if TYPE_CHECKING:
    from regvq.evaluation.comparison import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("comparison", metavar="COMPARISON", help="YAML file or a name: comparison/main")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the trainings and the report"
    )
    parser.add_argument(
        "--jobs",
        type=image_arguments.positive,
        default=1,
        metavar="N",
        help="trainings at once; they share the cores (default: 1)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", metavar="S", help="instead of the file's")
    parser.add_argument(
        "--count",
        type=image_arguments.positive,
        metavar="N",
        help="validation images that are measured, instead of the file's count",
    )
    add_feature_arguments(parser)
    parser.set_defaults(rest=[])


def run(args: argparse.Namespace) -> None:
    """Trains, measures, writes.

    Raises:
        RegvqError: the file is no comparison, an argument is none, or trainings failed.
    """
    from regvq.evaluation.comparison import read_comparison, save_report

    comparison = read_comparison(args.comparison, *_configs_and_arguments(args.rest))
    rows, failures = _run(args, comparison)
    if rows:
        paths = save_report(comparison, rows, failures, args.output, args.command_line)
        print(paths[0].read_text(encoding="utf-8"))
        print(f"written: {', '.join(map(str, paths))}")
    if failures:
        raise RegvqError(
            f"{len(failures)} training(s) failed, first: {failures[0]}; the others are kept, and the same "
            "command tries these again"
        )


def _run(args: argparse.Namespace, comparison: "Comparison") -> tuple[list[dict[str, Any]], list[str]]:
    from dataclasses import replace

    import torch

    from regvq.evaluation.comparison import run_cell
    from regvq.evaluation.comparison.jobs import run_missing
    from regvq.evaluation.comparison.plan import cell_file, run_key

    if args.seeds:
        comparison = replace(comparison, seeds=tuple(dict.fromkeys(args.seeds)))
    if args.count:
        comparison = replace(comparison, count=args.count)
    # As many as this process may use, by its cores and by OMP_NUM_THREADS.
    threads = max(1, torch.get_num_threads() // args.jobs)
    cache = args.cache.expanduser()
    wanted = {
        cell_file(args.output, cell): (
            run_cell,
            (cell, args.output / "runs" / run_key(cell), cache, threads),
        )
        for cell in comparison.cells(args.features)
    }
    there = sum(path.is_file() for path in wanted)
    if there:
        notice(f"{there} of {len(wanted)} trainings are there already")
    failures: list[str] = []
    with progress("training", len(wanted)) as report:
        report(there)

        def show(row: dict[str, Any]) -> None:
            report(sum(path.is_file() for path in wanted))

        def failed(path: Path, error: BaseException) -> None:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            failures.append(f"{path.stem}: {reason}")

        rows = run_missing(wanted, args.jobs, show, failed)
    return rows, failures


def _configs_and_arguments(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """What ``--config`` names, and the other ``--key=value`` and ``--key value`` as YAML reads them.

    Raises:
        RegvqError: a word is neither.
    """
    import yaml

    configs: list[str] = []
    arguments: dict[str, Any] = {}
    remaining = iter(words)
    for word in remaining:
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            value = next(remaining, "--")
        if not word.startswith("--") or not key or value.startswith("--"):
            raise RegvqError(f"{word} is no argument of a training: write --key=value")
        if key == "config":
            configs.append(value)
            continue
        try:
            arguments[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            arguments[key] = value
    return configs, arguments
