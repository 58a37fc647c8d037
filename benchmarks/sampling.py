"""Tokens per second of sampling: the cache, transformers' own loop, and diffusion by its steps.

    .venv/bin/python benchmarks/sampling.py [--quick] [--json PATH]

One autoregressive network draws 256 tokens for each of 16 images three ways: with this package's cached
loop, without a cache (every step reads the whole prefix again), and with transformers' ``generate``. One
diffusion network of the same size draws as many by its whole chain, by a tenth of it, and in parallel. The
contestants take turns, so that a machine that slows down slows all of them; the figure is the median. The
exit status is 1 where a bar is missed.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from measuring import Bar, finish, machine, take_turns
from regvq.conditions import NoCondition
from regvq.generators import AutoregressiveGenerator, DiscreteDiffusionGenerator, TokenSource
from regvq.generators.sampling import pick, probabilities
from regvq.types import SamplingOptions

GRID, CODES, BATCH = (16, 16), 1024, 16
SIZE = {"dim": 128, "layers": 6, "heads": 4, "hidden": 320}
TOKENS = BATCH * GRID[0] * GRID[1]
BARS = (
    ("cached over uncached", "AR, cached", "AR, no cache", 4.0),
    ("cached over generate()", "AR, cached", "AR, generate()", 1.0),
    ("parallel in 12 over T = 100", "diffusion, parallel in 12", "diffusion, T = 100", 5.0),
)


class CodesOnly(LogitsProcessor):
    """Forbids all ids but those of codes, as the cached loop does by not computing them."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[:, CODES:] = -torch.inf
        return scores


def uncached(generator: AutoregressiveGenerator) -> torch.Tensor:
    """The same draws with the whole prefix read again for each token."""
    condition = generator.condition.null(BATCH)
    codes = torch.empty(BATCH, 0, dtype=torch.int64)
    options = SamplingOptions()
    for _ in range(generator.length):
        padded = torch.cat([codes, torch.zeros(BATCH, 1, dtype=torch.int64)], dim=1)
        logits = generator.logits(padded, condition)[:, -1]
        drawn = pick(probabilities(logits, options), torch.rand(BATCH))
        codes = torch.cat([codes, drawn[:, None]], dim=1)
    return codes


def stock(generator: AutoregressiveGenerator) -> torch.Tensor:
    """What transformers' ``generate`` makes of the same network."""
    start = generator.prefix(generator.condition.null(BATCH))
    count = generator.length
    config = GenerationConfig(max_new_tokens=count, min_new_tokens=count, do_sample=True, top_k=0)
    processors = LogitsProcessorList([CodesOnly()])
    drawn: torch.Tensor = generator.network.generate(
        start, attention_mask=torch.ones_like(start), generation_config=config, logits_processor=processors
    )
    return drawn[:, start.shape[1] :]


def contestants() -> dict[str, Callable[[], torch.Tensor]]:
    """What takes turns."""
    torch.manual_seed(0)
    source = TokenSource(CODES, GRID, "")
    ar = AutoregressiveGenerator(NoCondition(), source, **SIZE).eval()
    diffusion = DiscreteDiffusionGenerator(NoCondition(), source, **SIZE).eval()
    return {
        "AR, cached": lambda: ar.sample(None, BATCH),
        "AR, generate()": lambda: stock(ar),
        "AR, no cache": lambda: uncached(ar),
        "diffusion, T = 100": lambda: diffusion.sample(None, BATCH),
        "diffusion, 10 strided steps": lambda: diffusion.sample(None, BATCH, SamplingOptions(steps=10)),
        "diffusion, parallel in 12": lambda: diffusion.sample(None, BATCH, SamplingOptions(parallel=True)),
    }


@torch.no_grad()
def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds of every contestant, a list of rounds each."""

    def checked(draw: Callable[[], torch.Tensor]) -> None:
        codes = draw()
        assert codes.numel() == TOKENS
        assert int(codes.max()) < CODES

    runs = {name: lambda draw=draw: checked(draw) for name, draw in contestants().items()}
    return take_turns(runs, rounds, warm=0)


def main() -> int:
    """Reads the arguments, measures, prints the table and the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="one round: under 45 s on two cores")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else 5
    facts = {**machine(), "transformers": transformers.__version__}
    print(f"{BATCH} images of {GRID[0]} x {GRID[1]} tokens, median of {rounds} rounds")
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    medians = {name: statistics.median(times) for name, times in measure(rounds).items()}
    print(f"{'contestant':<30}{'seconds':>10}{'tokens/s':>12}")
    for name, value in medians.items():
        print(f"{name:<30}{value:>10.2f}{TOKENS / value:>12.0f}")
    bars = [
        Bar(title, medians[slow] / medians[fast], least, at_most=False) for title, fast, slow, least in BARS
    ]
    return finish(arguments.json, bars, seconds=medians, tokens=TOKENS, machine=facts)


if __name__ == "__main__":
    sys.exit(main())
