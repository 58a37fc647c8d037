"""Time of one training step of every quantizer, forward and backward, side by side.

    .venv/bin/python benchmarks/quantizers.py [--quick] [--json PATH]

The contestants take turns, round by round, so that a machine that slows down for a while slows all of
them. The figure is the median over the rounds; the spread is half the distance between the quartiles.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from regvq.quantizers import (
    EMAVectorQuantizer,
    GumbelQuantizer,
    Quantizer,
    RegularizedVectorQuantizer,
    VectorQuantizer,
)

CONTESTANTS: dict[str, Callable[[int, int], Quantizer]] = {
    "VQ": VectorQuantizer,
    "EMA-VQ": EMAVectorQuantizer,
    "Gumbel": GumbelQuantizer,
    "Reg-VQ": RegularizedVectorQuantizer,
    "Reg-VQ, no mask": lambda size, dim: RegularizedVectorQuantizer(size, dim, mask_ratio=0.0),
    "Reg-VQ, the paper's form": RegularizedVectorQuantizer.paper,
}


def training_step(quantizer: Quantizer, latents: torch.Tensor) -> None:
    """Forward and backward, as inside a tokenizer's training step."""
    leaf = latents.requires_grad_()
    output = quantizer(leaf)
    (output.quantized.float().square().mean() + output.loss).backward()
    leaf.grad = None
    quantizer.zero_grad(set_to_none=True)


def measure(codebook_size: int, tokens: int, dim: int, rounds: int) -> list[dict[str, object]]:
    """Milliseconds a step of every contestant at one codebook size."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    quantizers = {name: make(codebook_size, dim).to(device) for name, make in CONTESTANTS.items()}
    latents = torch.randn(2, dim, tokens // 2, device=device)
    seconds: dict[str, list[float]] = {name: [] for name in quantizers}
    for warm in (True, *[False] * rounds):
        for name, quantizer in quantizers.items():
            start = time.perf_counter()
            training_step(quantizer, latents)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if not warm:
                seconds[name].append(time.perf_counter() - start)
    rows: list[dict[str, object]] = []
    for name, times in seconds.items():
        low, middle, high = statistics.quantiles(times, n=4)
        rows.append(
            {
                "quantizer": name,
                "codebook_size": codebook_size,
                "milliseconds": 1e3 * middle,
                "spread": 1e3 * (high - low) / 2,
            }
        )
    return rows


def main() -> None:
    """Reads the arguments, measures, prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: under 45 s on two cores")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens a step (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=64, help="dimensions of a code (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rounds = 3 if arguments.quick else 25
    rows: list[dict[str, object]] = []
    print(
        f"{arguments.tokens} tokens, {arguments.dim} dimensions, forward and backward, "
        f"median of {rounds} rounds, {'CUDA' if torch.cuda.is_available() else 'one CPU thread'}, "
        f"torch {torch.__version__}"
    )
    print(f"{'quantizer':<26}{'codes':>8}{'ms':>10}{'+-':>8}{'to VQ':>8}")
    for size in (1024, 8192):
        measured = measure(size, arguments.tokens, arguments.dim, rounds)
        base = float(str(measured[0]["milliseconds"]))
        for row in measured:
            value, spread = float(str(row["milliseconds"])), float(str(row["spread"]))
            print(f"{row['quantizer']:<26}{size:>8}{value:>10.1f}{spread:>8.1f}{value / base:>8.2f}")
        rows += measured
    if arguments.json:
        report = {
            "tokens": arguments.tokens,
            "dim": arguments.dim,
            "rounds": rounds,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
