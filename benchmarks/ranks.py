"""Images per second of both trainings with one process and with two under torchrun, one thread each.

    .venv/bin/python benchmarks/ranks.py [--quick] [--json PATH]

The batch of a process is the same in both, so that two processes train on twice as many images a step; the
efficiency is their rate over twice that of one. Images and codes lie in memory: what is measured is the
training step with all that it shares. One process and two take turns, each started anew; of every start the
median step counts after the first few, and of the starts the median. The machine needs two free cores.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset

from measuring import finish, machine
from regvq import ranks
from regvq.conditions import NoCondition
from regvq.data import GivenData, ImageDataModule
from regvq.generators import AutoregressiveGenerator, TokenSource
from regvq.nets import VQGANBackbone
from regvq.quantizers import RegularizedVectorQuantizer
from regvq.tokenizers import ImageTokenizer
from regvq.training import GeneratorTraining, ModelTraining, TokenizerTraining, fit

SIDE, CODES = 64, 1024
BATCH = {"tokenizer": 16, "generator": 32}
"""Of one process, by what is trained."""
WARM = 3
"""Steps of a start that do not count."""

Row = dict[str, Any]


class InMemory(Dataset[dict[str, Tensor]]):
    """Images or codes that nobody has to make."""

    def __init__(self, name: str, values: Tensor) -> None:
        self.name = name
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {self.name: self.values[index]}


class Clock(Callback):
    """Seconds from the end of a step to the end of the next."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ends.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Of the steps that count."""
        ends = self.ends[WARM:]
        return [after - before for before, after in itertools.pairwise(ends)]


def training_of(stage: str) -> tuple[ModelTraining, ImageDataModule]:
    """The network of ``backbone/tiny`` or ``generator/autoregressive-tiny``, and four batches for it."""
    torch.manual_seed(0)
    backbone = VQGANBackbone((16, 32, 64), 1, 64, norm_groups=4, attention=False, shortcut=True)
    tokenizer = ImageTokenizer(backbone, RegularizedVectorQuantizer(CODES, 64))
    length = 4 * BATCH[stage]
    if stage == "tokenizer":
        data = InMemory("image", torch.rand(length, 3, SIDE, SIDE) * 2 - 1)
        return TokenizerTraining(tokenizer), ImageDataModule(GivenData(data, data), BATCH[stage])
    grid = (SIDE // tokenizer.downsampling,) * 2
    source = TokenSource(CODES, grid, tokenizer.fingerprint())
    generator = AutoregressiveGenerator(NoCondition(), source, dim=256, layers=2, heads=4, hidden=512)
    data = InMemory("codes", torch.randint(CODES, (length, *grid)))
    return GeneratorTraining(generator, tokenizer), ImageDataModule(GivenData(data, data), BATCH[stage])


def work(stage: str, steps: int, folder: Path) -> list[float]:
    """Trains in this process, with the others that torchrun has started; seconds of every step."""
    clock = Clock()
    training, data = training_of(stage)
    processes = ranks.launched()
    fit(
        training,
        data,
        folder / "run",
        callbacks=[clock],
        accelerator="cpu",
        max_steps=WARM + 1 + steps,
        limit_val_batches=0,
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
    )
    return clock.seconds()


def started(stage: str, steps: int, processes: int) -> float:
    """Images per second of a training in processes of its own."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                *(sys.executable, *(launcher if processes > 1 else [])),
                *(__file__, "--worker", stage, str(steps), folder),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
            check=True,
        )
        seconds = json.loads((Path(folder) / "seconds.json").read_text())
    return processes * BATCH[stage] / statistics.median(seconds)


def row(stage: str, rates: dict[int, list[float]]) -> Row:
    """What is reported of a stage.

    Args:
        stage: what is trained.
        rates: images per second of every start, by the number of processes.
    """
    one, two = (statistics.median(rates[processes]) for processes in (1, 2))
    return {
        "stage": stage,
        "batch": BATCH[stage],
        "one": one,
        "two": two,
        "efficiency": two / (2 * one),
        "rates": rates,
    }


def show(one: Row) -> str:
    """A line of the table."""
    rates = f"{one['one']:>14.1f}{one['two']:>14.1f}{one['efficiency']:>12.1%}"
    return f"{one['stage']:<12}{one['batch']:>8}{rates}"


def main() -> int:
    """Reads the arguments, measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one start of few steps: under 45 s on two cores. Left out: stage 2",
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)  # what a process that is started does
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.worker:
        stage, steps, folder = arguments.worker
        seconds = work(stage, int(steps), Path(folder))
        if ranks.rank() == 0:
            (Path(folder) / "seconds.json").write_text(json.dumps(seconds))
        return 0
    starts, steps = (1, 5) if arguments.quick else (5, 40)
    facts = machine()
    print(f"median of {starts} start(s) of {steps} steps, one thread a process")
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'training':<12}{'batch':>8}{'1 process/s':>14}{'2 processes/s':>14}{'efficiency':>12}")
    rows = []
    for stage in ["tokenizer"] if arguments.quick else BATCH:
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(starts):
            for processes, found in rates.items():
                found.append(started(stage, steps, processes))
        rows.append(row(stage, rates))
        print(show(rows[-1]), flush=True)
    return finish(arguments.json, [], machine=facts, steps=steps, rows=rows)


if __name__ == "__main__":
    sys.exit(main())
