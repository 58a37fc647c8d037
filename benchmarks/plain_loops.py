"""Is a quantizer right in a plain VQ-VAE loop that nobody tuned?

.venv/bin/python benchmarks/plain_loops.py [--loops photos ...] [--contestants Reg-VQ ...]
    [--seeds 0 1 2] [--jobs 2] [--steps 250] [--held-back] [--data DIR] [--quick] [--json PATH]
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from loop_contestants import CANDIDATES, CONTESTANTS, SUBJECT
from loop_data import available
from loop_training import run_loop
from loop_zoo import LOOPS, Loop
from regvq.evaluation.comparison.jobs import run_missing, write_json


def path_of(output: Path, loop: Loop, contestant: str, seed: int) -> Path:
    """Return the file that keeps a row; another when any setting of the loop changes."""
    folder = f"{loop.name.replace(' ', '_').replace(',', '')}-{loop.fingerprint}"
    return output / folder / f"{contestant.replace(' ', '_').replace(',', '')}-{seed}.json"


def line(row: dict[str, Any]) -> str:
    """Return one row as it is made."""
    head = f"{row['loop']:<28}{row['contestant']:<36}{row['seed']:>2}"
    if row["error"]:
        return f"{head}  {row['error']}"
    at = "".join(f"{value['quality']:>7.2f}" for value in row["corruption"].values())
    return (
        f"{head}{row['loss']:>10.5f}{row['quality']:>8.2f}{row['usage']:>7.3f}{row['perplexity']:>8.1f}"
        f" |{at} |{row['seconds']:>6.1f} s"
    )


def main() -> None:
    """Read the arguments, run what has not been run, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    known = list(CONTESTANTS | CANDIDATES)
    parser.add_argument("--loops", nargs="+", metavar="LOOP", choices=list(LOOPS), default=None)
    parser.add_argument(
        "--contestants", nargs="+", metavar="NAME", choices=known, default=list(CONTESTANTS)
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--held-back", action="store_true")
    parser.add_argument("--data", type=Path, default=os.environ.get("REGVQ_DATA"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("runs/plain-loops"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = Path(arguments.data) if arguments.data else None
    loops = [LOOPS[name] for name in arguments.loops or LOOPS]
    if not arguments.loops and not arguments.held_back:
        loops = [loop for loop in loops if not loop.held_back]
    if arguments.steps:
        loops = [replace(loop, steps=arguments.steps) for loop in loops]
    wanted = {
        path_of(arguments.output, loop, name, seed): (run_loop, (loop, name, seed, folder))
        for loop in loops
        if available(loop.data, folder)
        for seed in arguments.seeds
        for name in arguments.contestants
    }
    rows = run_missing(wanted, arguments.jobs, lambda row: print(line(row), flush=True))
    print("\n" + "\n".join(line(row) for row in rows))
    if arguments.json:
        write_json(arguments.json, rows)


if __name__ == "__main__":
    main()
