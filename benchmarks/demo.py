"""The demo's own figures against what they must reach.

    .venv/bin/python benchmarks/demo.py [--run] [--quick] [--json PATH]

Reads ``runs/demo/results.json``. With ``--run`` it first runs the demo in a process of its own and
measures its wall time and the most memory its largest process held. Time and memory are bars only
then; they hold for two cores. The exit status is 1 where a bar is missed.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CODES = 1024
OURS = "regvq"
MINUTES, GIGABYTES = 18, 4
PHOTOGRAPHS_MINUTES = 10
MEAN_IOU = 0.60


@dataclass(frozen=True)
class Bar:
    """One figure, what it must reach, and whether it does."""

    name: str
    measured: float
    bound: str
    passed: bool


def _at_least(name: str, measured: float, bound: float) -> Bar:
    return Bar(name, measured, f">= {bound:.4g}", measured >= bound)


def _above(name: str, measured: float, bound: float) -> Bar:
    return Bar(name, measured, f"> {bound:.4g}", measured > bound)


def _at_most(name: str, measured: float, bound: float) -> Bar:
    return Bar(name, measured, f"<= {bound:.4g}", measured <= bound)


def key_of(name: str) -> str:
    """``regvq`` for ``Reg-VQ``, ``emavq`` for ``ema-vq``: names compared without their dress."""
    return "".join(character for character in name.lower() if character.isalnum())


def quality_bars(tokenizers: list[dict[str, Any]]) -> list[Bar]:
    """The bars of the demo's table: Reg-VQ against the others.

    Raises:
        KeyError: a tokenizer or one of its figures is missing.
    """
    rows = {key_of(str(row["quantizer"])): row for row in tokenizers}
    ours = rows[OURS]
    others = {name: row for name, row in rows.items() if name != OURS}

    def best(figure: str) -> float:
        return max(float(row[figure]) for row in others.values())

    return [
        _at_least("usage (share of codes)", ours["usage"], 0.95),
        _above("perplexity, above every other's", ours["perplexity"], best("perplexity")),
        _at_least("perplexity, of 0.6 N", ours["perplexity"], 0.6 * CODES),
        _above("PSNR (dB), above plain VQ's", ours["psnr"], others["vq"]["psnr"]),
        _above("PSNR (dB), above Gumbel's", ours["psnr"], others["gumbel"]["psnr"]),
        _at_least("PSNR (dB), within 1.0 of the best other", ours["psnr"], best("psnr") - 1.0),
        _above(
            "PSNR (dB), 80 % of tokens sampled, highest", ours["psnr_sampled_80"], best("psnr_sampled_80")
        ),
        _at_least(
            "PSNR (dB), 40 % of tokens sampled, within 0.5",
            ours["psnr_sampled_40"],
            best("psnr_sampled_40") - 0.5,
        ),
    ]


def generator_bars(generators: list[dict[str, Any]]) -> list[Bar]:
    """The bars of the generators: the better of them under label maps.

    Raises:
        ValueError: none of them has label maps.
    """
    values = [row["value"] for row in generators if row["figure"] == "mean IoU"]
    return [_at_least("mean IoU on label maps, the better generator", max(values), MEAN_IOU)]


def run_demo() -> list[Bar]:
    """Runs ``regvq demo`` and gives its wall time and peak memory.

    Raises:
        subprocess.CalledProcessError: the demo failed.
    """
    command = [str(Path(sys.executable).with_name("regvq")), "demo"]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    minutes = (time.perf_counter() - start) / 60
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # kibibytes, of the largest process
    return [
        _at_most("wall time (minutes)", minutes, MINUTES),
        _at_most("peak memory (GB)", peak * 1024 / 1e9, GIGABYTES),
    ]


def main() -> int:
    """Reads the arguments, runs the demo if asked to, prints the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--run", action="store_true", help="run the demo first, and measure it")
    parser.add_argument("--results", type=Path, default=Path("runs/demo/results.json"))
    parser.add_argument("--json", type=Path, help="write the bars here as well")
    parser.add_argument("--quick", action="store_true", help="no failure where the demo has not run yet")
    arguments = parser.parse_args()
    bars = run_demo() if arguments.run else []
    if not arguments.results.is_file():
        print(f"{arguments.results} is missing: run the demo first, here with --run")
        return 0 if arguments.quick else 1
    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    minutes = results["facts"]["minutes"]["photographs"]
    bars.append(_at_most("of that, photographs (minutes)", minutes, PHOTOGRAPHS_MINUTES))
    bars += quality_bars(results["tokenizers"])
    bars += generator_bars(results["generators"])
    width = max(len(bar.name) for bar in bars)
    for bar in bars:
        verdict = "pass" if bar.passed else "MISS"
        print(f"{bar.name:<{width}}  {bar.measured:>10.4g}  {bar.bound:<10}  {verdict}")
    missed = sum(not bar.passed for bar in bars)
    print(f"{len(bars) - missed} of {len(bars)} bars reached")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(bar) for bar in bars], indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
