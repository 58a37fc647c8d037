"""Images and tokens a second of training steps, their peak of memory, and where a step spends its time.

    .venv/bin/python benchmarks/training.py [--quick] [--json PATH] [--device cuda]

The contestants are what ``regvq fit-tokenizer`` and ``regvq fit-generator`` build from shipped
configurations: the same model eager and compiled (``model.compile``), in float32 and under bfloat16's
autocast (``trainer.precision``), with channels first and last (``model.channels_last``). They take turns,
a quarter of an hour on two cores and as long again to compile where that was not done before;
a turn is a ``Trainer.fit`` of a few steps with the callbacks that decide what a step does (seeds, the look
for NaN), without files. The clock runs from the end of the first steps, in which compilation and the
loader's start fall, to the end of the last: data, forward, backward, clipping and optimizer are in it. The
figure is the median over turns.

Parts: see ``step_parts.py`` and ``cut_step.py``. On a GPU the waiting makes the cut step slower than the
uncut one; the shares are of the cut one.

The peak of memory is that of one turn more: on a GPU what torch has allocated; on a CPU the weights,
buffers and averages, and the pages that a turn takes beyond what the process had before it.

Each step is held against ``regvq.evaluation.cost``: its time against FLOPs over the assumed share of the
speed of one large product in that precision, its peak against the memory. Both are judged by a factor in
either direction, see ``cost_check.py``. That tells how far to trust the model; it is no bar.

With ``--quick`` networks and images are the smallest that have every part, stage 1 is not compiled, one
model of each stage takes part, and no bar is judged: it shows that the benchmark runs. torch keeps what it
compiled on disk: the first run takes longer. The exit status is 1 where a bar is missed.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch._dynamo.config
import torch._inductor.config

from cost_check import show_checks
from measuring import Bar, finish, machine, product_rate, spread, take_turns, usable_device
from regvq.training.run import quiet
from step_cost import cost_of_step
from step_parts import parts_of_a_step
from training_contestants import Contestant, generator_contestant, tokenizer_contestant
from training_settings import SETTINGS, quickened
from training_ways import BF16, EAGER, FAST, FP32, Way, ways

Row = dict[str, Any]

BOUND = {"cpu": 1.5, "cuda": 2.5}
"""Least gain of a compiled step under bfloat16 over an eager one in float32."""


def measure(contestants: dict[Way, Contestant], name: str, unit: str, rounds: int) -> list[Row]:
    """A row for every way of training one model.

    Args:
        contestants: by way.
        name: of the model.
        unit: ``images`` or ``tokens``.
        rounds: turns that count; one before them does not.
    """
    take_turns({str(way): one.turn for way, one in contestants.items()}, rounds)
    rows = []
    for way, one in contestants.items():
        times, training = one.seconds[1:], one.training
        cost, count = cost_of_step(training, one.data), one.data.batch_size
        if unit == "tokens":
            count *= training.model.length
        middle = statistics.median(times)
        rows.append(
            {
                "model": name,
                "way": str(way),
                "unit": unit,
                "precision": one.precision,
                "batch_size": one.data.batch_size,
                "flops": cost.flops * one.data.batch_size,
                "expected_bytes": cost.memory(one.data.batch_size, training.averaged is not None),
                "peak_bytes": one.peak_bytes(),
                "milliseconds": 1e3 * middle,
                "spread": 1e3 * spread(times),
                "per_second": count / middle,
                "first_milliseconds": 1e3 * one.seconds[0],
            }
        )
    return rows


def bars(rows: Sequence[Row], device: str) -> list[Bar]:
    """What is asked of the rows: compiled bfloat16 against eager float32 of the same model."""
    speed = {(row["model"], row["way"]): row["per_second"] for row in rows}
    found = []
    for name, unit in dict.fromkeys((row["model"], row["unit"]) for row in rows):
        fast = FAST[device]["tokenizer" if unit == "images" else "generator"]
        gain = speed[name, str(fast)] / speed[name, str(EAGER)]
        found.append(Bar(f"{name}: {fast} over {EAGER}", gain, BOUND[device], at_most=False))
    return found


def show(rows: Sequence[Row]) -> None:
    """A table of one model."""
    base = next(row["per_second"] for row in rows if row["way"] == str(EAGER))
    for row in rows:
        peak = "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.1f}"
        print(
            f"{row['model']:<22}{row['way']:<32}{row['milliseconds']:>10.1f}{row['spread']:>8.1f}"
            f"{row['per_second']:>12.0f}{row['per_second'] / base:>9.2f}{peak:>10}",
            flush=True,
        )


def parts_of(contestants: dict[Way, Contestant], fast: Way, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each part of a step, for the ways that the bars compare."""
    judged = (EAGER, fast)
    return {str(way): parts_of_a_step(one, rounds) for way, one in contestants.items() if way in judged}


def show_parts(model: str, parts: dict[str, dict[str, float]]) -> None:
    """Shares of a step of one model, a column each."""
    names = list(next(iter(parts.values())))
    print(f"{f'{model}: part of a step, %':<54}" + "".join(f"{name:>14}" for name in names))
    for way, seconds in parts.items():
        total = sum(seconds.values())
        print(f"{way:<54}" + "".join(f"{100 * seconds[name] / total:>14.1f}" for name in names))


def main() -> int:
    """Reads the arguments, measures, prints the tables and the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smallest networks, few turns: under 45 s on two cores. Left out: stage 1 compiled, the "
        "second model of each stage, the bars",
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--device", type=usable_device, choices=sorted(SETTINGS), default="cpu")
    arguments = parser.parse_args()
    device, quick = arguments.device, arguments.quick
    setting, facts = quickened(SETTINGS[device]) if quick else SETTINGS[device], machine(device)
    rounds = setting.rounds
    # All ways are kept in one process, each with its compiled code.
    torch._dynamo.config.recompile_limit = 64
    if quick:
        # Takes the processor's word for what it can do: to try it out takes as long as a few kernels.
        torch._inductor.config.cpp.vec_isa_ok = True
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'model':<22}{'way':<32}{'ms a step':>10}{'+-':>8}{'per second':>12}{'gain':>9}{'peak MB':>10}")
    rows: list[Row] = []
    ceilings = dict.fromkeys((FP32, BF16), 0.0)
    with tempfile.TemporaryDirectory() as place, quiet():
        folder, parts = Path(place), {}
        stages = {
            "tokenizer": ("images", setting.tokenizers, tokenizer_contestant),
            "generator": ("tokens", setting.generators, generator_contestant),
        }
        for stage, (unit, models, contestant) in stages.items():
            for name in models:
                contestants = {
                    way: contestant(name, way, setting, device, folder) for way in ways(stage, quick)
                }
                measured = measure(contestants, name, unit, rounds)
                show(measured)
                rows += measured
                parts[name] = parts_of(contestants, FAST[device][stage], 2 * rounds)
                # The highest of several: a busy neighbour may halve one.
                for precision, dtype in ((FP32, torch.float32), (BF16, torch.bfloat16)):
                    ceilings[precision] = max(ceilings[precision], product_rate(dtype, device, rounds))
    for model, measured_parts in parts.items():
        show_parts(model, measured_parts)
    judged = [] if quick else bars(rows, device)
    show_checks({"rows": rows, "ceilings": ceilings})
    return finish(arguments.json, judged, machine=facts, rows=rows, parts=parts, ceilings=ceilings)


if __name__ == "__main__":
    sys.exit(main())
