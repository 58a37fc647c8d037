"""Train four tokenizers on real photographs with one budget and report how they compare.

Writes report.html, results.json and one folder a tokenizer. Takes minutes on two processor cores, and
downloads nothing: the photographs come with the extra "demo" (pip install "regvq[demo]").

Example:
  regvq demo --output runs/demo
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/demo"),
        metavar="DIR",
        help="folder for the report and the tokenizers (default: runs/demo)",
    )


def run(args: argparse.Namespace) -> None:
    """Runs the demo."""
    from regvq.cli.terminal import working

    with working("starting"):
        from regvq.evaluation.demo import run_demo
        from regvq.training import TrainingInterrupted

    try:
        run_demo(args.output)
    except TrainingInterrupted:
        raise KeyboardInterrupt(
            "the demo was interrupted; what an earlier one wrote still stands; run it again to start anew"
        ) from None
