"""What the speed benchmarks share: turns, peaks of memory, ceilings, bars, the machine's description."""

import argparse
import ctypes
import gc
import importlib.metadata
import json
import math
import mmap
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from regvq.files import write_bytes

LIBRARIES = ("lightning", "transformers", "vector-quantize-pytorch", "triton")
"""What figures depend on beside torch; some of it is not on every machine."""

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Bar:
    """What a measured ratio has to reach.

    Attributes:
        name: what is compared with what.
        measured: the ratio.
        bound: at most this, or at least.
        at_most: which of the two.
    """

    name: str
    measured: float
    bound: float
    at_most: bool = True

    @property
    def passed(self) -> bool:
        """Whether it is reached."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def __str__(self) -> str:
        sign, verdict = "<=" if self.at_most else ">=", "pass" if self.passed else "MISS"
        return f"{self.name:<60}{self.measured:>8.2f} {sign} {self.bound:<6g}{verdict}"


def take_turns(
    contestants: Mapping[str, Callable[[], Any]], rounds: int, device: str = "cpu", warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of every contestant in every round.

    They take turns, so that a machine that slows down for a while slows all of them.

    Args:
        contestants: what is timed, by name.
        rounds: how often each.
        device: whose work is waited for.
        warm: rounds before the clock runs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warm + rounds):
        for name, run in contestants.items():
            wait(device)
            start = time.perf_counter()
            run()
            wait(device)
            if number >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(times: Sequence[float]) -> float:
    """Half the distance between the quartiles."""
    low, _, high = statistics.quantiles(times, n=4)
    return (high - low) / 2


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def extra_memory(run: Callable[[], Any], device: str = "cpu") -> float | None:
    """Bytes that ``run`` takes at its peak beyond what is taken before; ``None`` where nobody counts them.

    On a CPU these are pages of the process, which Linux counts, after what the C library keeps for later
    has gone back to the system.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return float(torch.cuda.max_memory_allocated() - before)
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        _RESET.write_text("5")  # the peak starts anew from what is resident now
        before = _resident("VmRSS")
        run()
        return float(_resident("VmHWM") - before)
    except OSError:
        return None


def bandwidth(device: str, rounds: int) -> float:
    """Bytes a second of a matrix-vector product that no cache holds, the best of the rounds."""
    side = 2**13 if device == "cpu" else 2**14
    matrix, vector = torch.ones(side, side, device=device), torch.ones(side, device=device)
    seconds = take_turns({"product": lambda: matrix @ vector}, rounds, device)["product"]
    return matrix.nbytes / min(seconds)


def product_rate(dtype: torch.dtype, device: str, rounds: int) -> float:
    """FLOP/s of a product of two large square matrices, the best of the rounds."""
    side = 2**10 if device == "cpu" else 2**13
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = take_turns({"product": lambda: one @ other}, rounds, device)["product"]
    return 2 * side**3 / min(seconds)


@contextmanager
def tf32() -> Iterator[None]:
    """Products of float32 on the tensor cores of a GPU, which round their factors to TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def usable_device(name: str) -> str:
    """An argument ``--device``.

    Raises:
        argparse.ArgumentTypeError: torch finds no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError("torch finds no GPU on this machine, give cpu")
    return name


def fresh_memory(*shape: int) -> torch.Tensor:
    """Float32 on pages that the process has never touched; the C library would give it used ones."""
    pages = mmap.mmap(-1, 4 * math.prod(shape))
    return torch.frombuffer(pages, dtype=torch.float32).view(shape)


def _resident(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def machine(device: str = "cpu") -> dict[str, Any]:
    """What the figures were measured on, and with which versions of what is installed."""
    name = torch.cuda.get_device_name() if device == "cuda" else _cpu_name()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **({} if torch.version.cuda is None else {"CUDA": torch.version.cuda}),
        **{library: found for library in LIBRARIES if (found := _version(library)) is not None},
    }


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def finish(path: Path | None, bars: Iterable[Bar], **content: Any) -> int:
    """Prints the bars, writes the JSON where a path is given; the exit status is 1 where one is missed."""
    bars = list(bars)
    for bar in bars:
        print(bar)
    if path is not None:
        judged = [{**asdict(bar), "passed": bar.passed} for bar in bars]
        write_bytes(path, (json.dumps({**content, "bars": judged}, indent=2) + "\n").encode())
    return 0 if all(bar.passed for bar in bars) else 1
