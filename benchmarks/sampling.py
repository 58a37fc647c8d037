"""Tokens a second of sampling: the cache, transformers' own loop, diffusion by its steps, and the memory.

    .venv/bin/python benchmarks/sampling.py [--quick] [--json PATH] [--device cuda]

One autoregressive network draws 256 tokens for each image four ways: with this package's cached loop, the
same compiled (on a GPU as CUDA graphs), without a cache (every step reads the whole prefix again), and with
transformers' ``generate`` as it comes.
One diffusion network of the same size draws as many by its whole chain, by a tenth of it, and in parallel.
The contestants take turns, so that a machine that slows down slows all of them; the figure is the median,
and the latency is that of a whole batch.

The floor of autoregression is the time to read, once a step, all weights that a step uses and the filled
part of the cache, at the bandwidth that this run measures of a large matrix-vector product. A network that
fits a processor's cache can be faster than that, and a small one is far from it: there the steps of the
program cost more than the memory. The exit status is 1 where a bar is missed.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from measuring import Bar, bandwidth, finish, machine, spread, take_turns, usable_device
from regvq.conditions import NoCondition
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, TokenSource
from regvq.generators.sampling import pick, probabilities
from regvq.types import SamplingOptions

Row = dict[str, Any]

GRID, CODES = (16, 16), 1024
LENGTH = GRID[0] * GRID[1]
BATCHES, BATCH = (1, 16, 64), 16
"""Images at once, and how many where the bars of a CPU are judged."""
SIZES = {
    "cpu": {"dim": 128, "layers": 6, "heads": 4, "hidden": 320},
    "cuda": {"dim": 1024, "layers": 24, "heads": 16, "hidden": 2816},
}
CACHED, COMPILED = "AR, cached", "AR, cached, compiled"
UNCACHED, STOCK = "AR, no cache", "AR, generate()"
CHAIN, STRIDED, PARALLEL = "diffusion, T = 100", "diffusion, 10 strided steps", "diffusion, parallel in 12"
BARS = {
    "cpu": (
        ("cached over uncached", CACHED, UNCACHED, BATCH, 4.0),
        ("cached over generate()", CACHED, STOCK, BATCH, 1.0),
        ("parallel in 12 over T = 100", PARALLEL, CHAIN, BATCH, 5.0),
    ),
    "cuda": (("compiled over generate()", COMPILED, STOCK, 1, 3.0),),
}
"""Title, the faster, the slower, images at once, and the least gain."""
FLOOR = 2.0
"""On a GPU the most that one image's compiled sampling may take, in floors."""


class CodesOnly(LogitsProcessor):
    """Forbids all ids but those of codes, as the cached loop does by not computing them."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, CODES:] = -torch.inf
        return scores


def uncached(generator: AutoregressiveGenerator, batch: int) -> torch.Tensor:
    """The same draws with the whole prefix read again for each token."""
    condition = generator.condition.null(batch).to(generator.device)
    codes = condition.new_empty(batch, 0)
    options = SamplingOptions()
    for _ in range(generator.length):
        padded = torch.cat([codes, codes.new_zeros(batch, 1)], dim=1)
        logits = generator.logits(padded, condition)[:, -1]
        drawn = pick(probabilities(logits, options), torch.rand(batch, device=generator.device))
        codes = torch.cat([codes, drawn[:, None]], dim=1)
    return codes


def stock(generator: AutoregressiveGenerator, batch: int) -> torch.Tensor:
    """What transformers' ``generate`` makes of the same network."""
    start = generator.prefix(generator.condition.null(batch).to(generator.device))
    count = generator.length
    config = GenerationConfig(max_new_tokens=count, min_new_tokens=count, do_sample=True, top_k=0)
    processors = LogitsProcessorList([CodesOnly()])
    drawn: torch.Tensor = generator.network.generate(
        start, attention_mask=torch.ones_like(start), generation_config=config, logits_processor=processors
    )
    return drawn[:, start.shape[1] :]


def generators(device: str, **size: int) -> tuple[AutoregressiveGenerator, DiscreteDiffusionGenerator]:
    """Two networks of one size."""
    torch.manual_seed(0)
    source = TokenSource(CODES, GRID, "")
    return (
        AutoregressiveGenerator(NoCondition(), source, **size).eval().to(device),
        DiscreteDiffusionGenerator(NoCondition(), source, **size).eval().to(device),
    )


def contestants(
    ar: AutoregressiveGenerator, diffusion: DiscreteDiffusionGenerator, batch: int, quick: bool
) -> dict[str, Callable[[], torch.Tensor]]:
    """What takes turns with ``batch`` images at once; if ``quick`` little more than what bars need."""
    tenth, parallel = SamplingOptions(steps=10), SamplingOptions(parallel=True)

    def compiled() -> torch.Tensor:
        ar.compiled = True
        try:
            return ar.sample(None, batch)
        finally:
            ar.compiled = False

    runs = {
        CACHED: lambda: ar.sample(None, batch),
        COMPILED: compiled,
        STOCK: lambda: stock(ar, batch),
        UNCACHED: lambda: uncached(ar, batch),
        CHAIN: lambda: diffusion.sample(None, batch),
        STRIDED: lambda: diffusion.sample(None, batch, tenth),
        PARALLEL: lambda: diffusion.sample(None, batch, parallel),
    }
    if quick:
        kept = set(runs) - {COMPILED, STRIDED} if batch == BATCH else {CACHED, STOCK}
    else:
        kept = set(runs) - ({UNCACHED} if batch != BATCH else set())
    return {name: run for name, run in runs.items() if name in kept}


def bytes_read(generator: AutoregressiveGenerator, batch: int) -> int:
    """What the steps of a sample must read: weights once a step, keys and values of all places before."""
    network = generator.network
    weights = sum(
        value.numel() for value in [*network.model.layers.parameters(), network.model.norm.weight]
    )
    weights += (
        generator.vocabulary.codebook_size * network.config.hidden_size
    )  # of the head the codes' rows
    places = sum(generator.condition.length + 1 + place for place in range(generator.length))
    cache = places * batch * 2 * network.config.hidden_size * len(network.model.layers)
    return network.model.norm.weight.element_size() * (generator.length * weights + cache)


@torch.no_grad()
def measure(
    ar: AutoregressiveGenerator,
    diffusion: DiscreteDiffusionGenerator,
    batch: int,
    rounds: int,
    device: str,
    quick: bool,
) -> list[Row]:
    """A row for every contestant at one number of images."""

    def checked(draw: Callable[[], torch.Tensor]) -> None:
        codes = draw()
        assert codes.numel() == batch * LENGTH
        assert int(codes.max()) < CODES

    runs = contestants(ar, diffusion, batch, quick)
    turns = {name: lambda draw=draw: checked(draw) for name, draw in runs.items()}
    seconds = take_turns(turns, rounds, device, warm=0 if quick else 1)
    floor = bytes_read(ar, batch) / bandwidth(device, 5)
    rows: list[Row] = []
    for name, times in seconds.items():
        middle = statistics.median(times)
        rows.append(
            {
                "contestant": name,
                "batch_size": batch,
                "seconds": middle,
                "spread": spread(times) if len(times) > 1 else None,
                "per_second": batch * LENGTH / middle,
                "floors": middle / floor if name in (CACHED, COMPILED, STOCK) else None,
            }
        )
    return rows


def bars(rows: list[Row], device: str) -> list[Bar]:
    """What is asked of the rows."""
    found = {(row["contestant"], row["batch_size"]): row for row in rows}
    judged = []
    for title, fast, slow, batch, least in BARS[device]:
        if (fast, batch) in found:
            gain = found[slow, batch]["seconds"] / found[fast, batch]["seconds"]
            judged.append(Bar(f"{title}, {batch} at once", gain, least, at_most=False))
    if device == "cuda" and (COMPILED, 1) in found:
        floors = found[COMPILED, 1]["floors"]
        judged.append(Bar("compiled over the memory's floor, 1 at once", floors, FLOOR))
    return judged


def show(rows: list[Row]) -> None:
    """A table of one number of images."""
    for row in rows:
        floors = "-" if row["floors"] is None else f"{row['floors']:.1f}"
        print(
            f"{row['contestant']:<30}{row['batch_size']:>8}{row['seconds']:>10.2f}"
            f"{row['per_second']:>12.0f}{floors:>8}",
            flush=True,
        )


def main() -> int:
    """Reads the arguments, measures, prints the table and the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one round, half of the layers: under 45 s on two cores. Left out: the compiled network, "
        "strided diffusion; with 1 and 64 images at once also what has no cache, and all diffusion",
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--device", type=usable_device, choices=sorted(SIZES), default="cpu")
    arguments = parser.parse_args()
    device, quick = arguments.device, arguments.quick
    rounds = 1 if quick else 5
    facts = machine(device)
    print(f"images of {GRID[0]} x {GRID[1]} tokens, median of {rounds} rounds")
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'contestant':<30}{'at once':>8}{'seconds':>10}{'tokens/s':>12}{'floors':>8}")
    size = SIZES[device]
    if quick:
        size = {**size, "layers": size["layers"] // 2}
    ar, diffusion = generators(device, **size)
    rows: list[Row] = []
    for batch in BATCHES:
        measured = measure(ar, diffusion, batch, rounds, device, quick)
        show(measured)
        rows += measured
    return finish(arguments.json, bars(rows, device), size=size, machine=facts, rows=rows)


if __name__ == "__main__":
    sys.exit(main())
