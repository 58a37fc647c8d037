"""Time and memory of one training step of the quantizers, forward and backward, side by side.

    .venv/bin/python benchmarks/quantizers.py [--quick] [--json PATH] [--device cuda]

Beside this package's quantizers take turns those of the package vector-quantize-pytorch, and Reg-VQ in its
readable form, which builds the token-by-code matrix. Every step has latents of its own. The time is the
median over the rounds. The floor is the longer of two times, each at a ceiling that this run measures.
The FLOPs are those of the products of all tokens with all codes that a step without that matrix needs: the
logits; where a softmax has a gradient, the logits again and the gradient of the latents; in the paper's
form also those of the means and of the weights. A CPU's ceiling is the speed of one such product, a GPU's
that of a large square one on the tensor cores, in TF32 or bfloat16, whichever is faster: more than products
in float32 can reach, and no such matrix is written. The bytes are those that any step moves at least once,
at the speed of a large matrix-vector product: latents, quantized latents and their gradients, the tokens,
and the tables of one vector a code that are read or written. On a GPU it is judged as well whether a
training with the largest codebook, with a step of Adam, stays within a memory. The exit status is 1 where a
bar is missed.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import SimVQ, VectorQuantize

from measuring import (
    Bar,
    bandwidth,
    extra_memory,
    finish,
    fresh_memory,
    machine,
    product_rate,
    spread,
    take_turns,
    tf32,
    usable_device,
)
from regvq.quantizers import (
    EMAVectorQuantizer,
    GumbelQuantizer,
    PriorBias,
    Quantizer,
    RegularizedVectorQuantizer,
    VectorQuantizer,
    functional,
)
from regvq.quantizers.composed import Choice
from regvq.quantizers.scores import Scores

LIBRARY, READABLE = "library VQ", "Reg-VQ, readable"
LARGEST = 2**29
"""Entries of the largest token-by-code matrix that is built: 2 GB, several times."""

Row = dict[str, Any]


class Readable(RegularizedVectorQuantizer):
    """Reg-VQ with the prior as a loss and every matrix written out, its slope at the batch's posterior."""

    def choose(self, scores: Scores, codes: Tensor, valid: Tensor) -> Choice:
        step = self.steps.value
        spread = self._spread(step)
        noise = self._noise(valid, spread)
        choice = functional.regularized_choice(
            scores.logits(),
            noise.matrix(scores),
            noise.mask,
            self.temperature(step) * spread,
            self.prior_log_prob,
        )
        needed = self.straight_through.needs_softmax
        best = choice.best_codes.view(valid.shape)
        return Choice(
            codes=choice.codes.view(valid.shape),
            best_codes=best,
            noiseless=best,
            expected=functional.expected_gradient(choice.assignment, codes) if needed else None,
            losses={"prior": self.prior_weight(step) * choice.kl},
            stats={},
            mask=noise.mask.view(valid.shape),
        )


def with_prior_loss(
    size: int, dim: int, kind: type[RegularizedVectorQuantizer] = RegularizedVectorQuantizer
) -> RegularizedVectorQuantizer:
    """Build Reg-VQ whose prior is a loss."""
    return kind(size, dim, prior_weight=0.1, prior_bias=PriorBias(rate=0.0))


@dataclass(frozen=True)
class Contestant:
    """A quantizer that takes part.

    Attributes:
        make: from the number of codes and their dimension.
        products: of all tokens with all codes that its step cannot do without.
        tables: of a vector for each code that its step reads or writes at least: the codes or the head's
            weights; the gradient of each that has one; for running means the sums, which are read and
            written, and the codes that are made of them.
        writes_out: whether it builds the token-by-code matrix.
    """

    make: Callable[[int, int], nn.Module]
    products: int
    tables: int
    writes_out: bool = False


CONTESTANTS = {
    LIBRARY: Contestant(lambda size, dim: VectorQuantize(dim=dim, codebook_size=size), 1, 4, True),
    "library SimVQ": Contestant(lambda size, dim: SimVQ(dim=dim, codebook_size=size), 1, 1, True),
    "VQ": Contestant(VectorQuantizer, 1, 2),
    "EMA-VQ": Contestant(EMAVectorQuantizer, 1, 4),
    "Gumbel": Contestant(GumbelQuantizer, 5, 3, True),
    "Reg-VQ": Contestant(RegularizedVectorQuantizer, 1, 4),
    "Reg-VQ, no mask": Contestant(
        lambda size, dim: RegularizedVectorQuantizer(size, dim, mask_ratio=0.0), 1, 4
    ),
    "Reg-VQ, prior as a loss": Contestant(lambda size, dim: with_prior_loss(size, dim), 3, 4),
    "Reg-VQ, the paper's form": Contestant(RegularizedVectorQuantizer.paper, 5, 3),
    READABLE: Contestant(lambda size, dim: with_prior_loss(size, dim, Readable), 3, 4, True),
}
BARS = {
    "cpu": (
        ("VQ", LIBRARY, 8192, "milliseconds", 0.8),
        ("Reg-VQ", LIBRARY, 8192, "milliseconds", 0.8),
        ("VQ", LIBRARY, 1024, "milliseconds", 1.2),
        ("Reg-VQ", LIBRARY, 1024, "milliseconds", 1.2),
        ("VQ", READABLE, 8192, "megabytes", 0.25),
        ("Reg-VQ", READABLE, 8192, "megabytes", 0.25),
    ),
    "cuda": tuple(
        (name, LIBRARY, size, "milliseconds", 1.0)
        for size in (1024, 16384, 65536)
        for name in ("VQ", "Reg-VQ")
    ),
}
SIZES = {"cpu": (1024, 8192), "cuda": (1024, 16384, 65536, 262144)}
TOKENS = {"cpu": 2048, "cuda": 8192}
ENCODE = 1.5
"""Most that encoding may take, in matrix products of its size into fresh memory."""
TRAINED, EXTRA = ("VQ", "Reg-VQ", "Reg-VQ, the paper's form"), 2048
"""Which are trained with the largest codebook on a GPU, and the most megabytes that it may take."""


def training_step(
    quantizer: nn.Module, tokens: int, dim: int, device: str, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Forward and backward, as inside a tokenizer's training step; on a GPU under autocast."""
    latents = torch.randn(2, dim, tokens // 2, device=device).requires_grad_()
    with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        if isinstance(quantizer, Quantizer):
            output = quantizer(latents)
            quantized, loss = output.quantized, output.loss
        else:
            quantized, _, loss = quantizer(latents.transpose(1, 2))
    (quantized.float().square().mean() + loss.sum()).backward()
    if optimizer is not None:
        optimizer.step()
    quantizer.zero_grad(set_to_none=True)


def product_seconds(size: int, tokens: int, dim: int, rounds: int, device: str) -> float:
    """One product of all tokens with all codes into memory that is there; the best of the rounds."""
    latents, codes = torch.randn(tokens, dim, device=device), torch.randn(size, dim, device=device)
    rows = max(64, 2**19 // size) if device == "cpu" else tokens
    room = torch.empty(rows, size, device=device)

    def run() -> None:
        for part in latents.split(rows):
            torch.mm(part, codes.T, out=room[: len(part)])

    return min(take_turns({"product": run}, rounds, device)["product"])


def product_rates(size: int, tokens: int, dim: int, rounds: int, device: str) -> dict[str, float]:
    """FLOP/s of products: on a CPU of all tokens with all codes, on a GPU of two large square matrices."""
    if device == "cpu":
        return {"float32": 2 * tokens * size * dim / product_seconds(size, tokens, dim, rounds, device)}
    with tf32():
        found = {"TF32": product_rate(torch.float32, device, rounds)}
    return found | {"bfloat16": product_rate(torch.bfloat16, device, rounds)}


@dataclass(frozen=True)
class Ceilings:
    """What the device reaches in this run.

    Attributes:
        flops: a second, of products, by the format of their factors.
        bytes: a second, of a large matrix-vector product.
    """

    flops: dict[str, float]
    bytes: float

    def seconds(self, flops: int, moved: int) -> float:
        """The least time for so many FLOPs, in whichever format, and bytes."""
        return max(flops / max(self.flops.values()), moved / self.bytes)


def bytes_moved(size: int, tokens: int, dim: int, tables: int) -> int:
    """Float32 latents, quantized latents and the gradients of both, int64 tokens, and tables of codes."""
    return 4 * (4 * tokens * dim + tables * size * dim) + 8 * tokens


def measure(size: int, tokens: int, dim: int, rounds: int, device: str) -> list[Row]:
    """A row for every contestant at one codebook size."""
    quantizers = {
        name: contestant.make(size, dim).to(device).train()
        for name, contestant in CONTESTANTS.items()
        if tokens * size <= LARGEST or not contestant.writes_out
    }
    steps = {
        name: lambda one=one: training_step(one, tokens, dim, device) for name, one in quantizers.items()
    }
    seconds = take_turns(steps, rounds, device, warm=2)
    product = 2 * tokens * size * dim
    ceilings = Ceilings(product_rates(size, tokens, dim, rounds, device), bandwidth(device, rounds))
    rows: list[Row] = []
    for name, times in seconds.items():
        extra = extra_memory(steps[name], device)
        middle, flops = statistics.median(times), product * CONTESTANTS[name].products
        moved = bytes_moved(size, tokens, dim, CONTESTANTS[name].tables)
        rows.append(
            {
                "quantizer": name,
                "codebook_size": size,
                "milliseconds": 1e3 * middle,
                "spread": 1e3 * spread(times),
                "flops": flops,
                "bytes": moved,
                "ceilings": asdict(ceilings),
                "floor_milliseconds": 1e3 * ceilings.seconds(flops, moved),
                "megabytes": None if extra is None else extra / 2**20,
            }
        )
    return rows


@torch.no_grad()
def encode_bar(size: int, tokens: int, dim: int, rounds: int, device: str) -> Bar:
    """Encoding against one matrix product of its size into fresh memory."""
    quantizer = VectorQuantizer(size, dim).to(device).eval()
    latents = torch.randn(1, dim, tokens, device=device)
    rows, codes = latents[0].T.contiguous(), quantizer.codebook.contiguous()

    def product() -> None:
        room = fresh_memory(tokens, size) if device == "cpu" else torch.empty(tokens, size, device=device)
        torch.mm(rows, codes.T, out=room)

    contestants = {"encode": lambda: quantizer.encode(latents), "product": product}
    seconds = take_turns(contestants, 5 * rounds, device)
    ratio = statistics.median(seconds["encode"]) / statistics.median(seconds["product"])
    return Bar(f"encode over one product, N = {size}", ratio, ENCODE)


def memory_bar(name: str, size: int, tokens: int, dim: int, device: str) -> Bar | None:
    """What the first step of a training takes, with what Adam keeps; ``None`` where nobody counts it."""
    quantizer = CONTESTANTS[name].make(size, dim).to(device).train()
    # One that learns by running means alone has no parameters, and does so in the step itself.
    parameters = list(quantizer.parameters())
    optimizer = torch.optim.Adam(parameters) if parameters else None
    extra = extra_memory(lambda: training_step(quantizer, tokens, dim, device, optimizer), device)
    return None if extra is None else Bar(f"{name} trains, N = {size}, megabytes", extra / 2**20, EXTRA)


def bars(rows: list[Row], device: str) -> list[Bar]:
    """What is asked of the rows."""
    by_name = {(row["quantizer"], row["codebook_size"]): row for row in rows}
    found = []
    for name, other, size, figure, bound in BARS[device]:
        one, two = by_name[name, size][figure], by_name[other, size][figure]
        if one is not None:
            found.append(Bar(f"{name} over {other}, N = {size}, {figure}", one / two, bound))
    return found


def show(rows: list[Row]) -> None:
    """A table of one codebook size."""
    base = next((row["milliseconds"] for row in rows if row["quantizer"] == LIBRARY), None)
    for row in rows:
        value, extra = row["milliseconds"], row["megabytes"]
        to_library = "-" if base is None else f"{value / base:.2f}"
        print(
            f"{row['quantizer']:<26}{row['codebook_size']:>8}{value:>10.1f}{row['spread']:>8.1f}"
            f"{to_library:>9}{value / row['floor_milliseconds']:>9.2f}"
            f"{'-' if extra is None else f'{extra:.0f}':>8}"
        )
    reached = rows[0]["ceilings"]
    flops = ", ".join(f"{rate / 1e9:.1f} GFLOP/s in {name}" for name, rate in reached["flops"].items())
    print(f"  ceilings: {flops}, {reached['bytes'] / 1e9:.1f} GB/s")


def main() -> int:
    """Reads the arguments, measures, prints the tables and the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: under 45 s on two cores")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--device", type=usable_device, choices=sorted(SIZES), default="cpu")
    parser.add_argument("--tokens", type=int, help="tokens a step; 2048 on a CPU, 8192 on a GPU")
    parser.add_argument("--dim", type=int, default=64, help="dimensions of a code (default: %(default)s)")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device, rounds = arguments.device, 3 if arguments.quick else 15
    tokens = arguments.tokens or TOKENS[device]
    facts = machine(device)
    print(f"{tokens} tokens, {arguments.dim} dimensions, forward and backward, median of {rounds} rounds")
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print(f"{'quantizer':<26}{'codes':>8}{'ms':>10}{'+-':>8}{'library':>9}{'floor':>9}{'MB':>8}")
    rows: list[Row] = []
    judged: list[Bar] = []
    for size in SIZES[device]:
        measured = measure(size, tokens, arguments.dim, rounds, device)
        show(measured)
        rows += measured
        judged.append(encode_bar(size, tokens, arguments.dim, rounds, device))
    judged = [*bars(rows, device), *judged]
    if device == "cuda":
        trained = [memory_bar(name, SIZES[device][-1], tokens, arguments.dim, device) for name in TRAINED]
        judged += [bar for bar in trained if bar is not None]
    return finish(arguments.json, judged, tokens=tokens, dim=arguments.dim, machine=facts, rows=rows)


if __name__ == "__main__":
    sys.exit(main())
