"""Is a quantizer right in a plain VQ-VAE loop that nobody tuned?

    .venv/bin/python benchmarks/plain_loops.py [--loops LOOP ...] [--contestants NAME ...] [--seeds 0 1 2]
        [--jobs 2] [--steps N] [--held-back] [--data DIR] [--judge NAME] [--quick] [--json PATH]

Every contestant trains in the same loops (``loop_zoo``) with the same networks and batches. All figures are
measured in eval mode on held-out samples. A row that has been made is not made again: it lies in
``--output``, under the loop's settings. After a quantizer has changed, delete its rows or rename it.
A failure is a row with its error, which ``--retry`` makes again.

A third of the loops is held back while a quantizer is being designed: ``--held-back`` adds them for the
verdict. Loops on photographs and drawings need no files; the others read ``--data`` or ``REGVQ_DATA``, a
folder with the data sets of docs.
"""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from loop_bars import judge
from loop_contestants import CANDIDATES, CONTESTANTS, SUBJECT, UNAVAILABLE, rivals_of
from loop_data import SOURCES, available
from loop_tables import loop_table, row_line, verdict_text
from loop_training import run_loop
from loop_zoo import LOOPS, Loop
from regvq.evaluation.comparison.jobs import run_missing, write_json

QUICK_LOOPS = ("photos", "photos, residual", "drawings", "frozen DCT")
QUICK_CONTESTANTS = (SUBJECT, "EMA-VQ", "library VQ, k-means and dead codes")
QUICK_STEPS = 50


def path_of(output: Path, loop: Loop, contestant: str, seed: int) -> Path:
    """Return the file that keeps a row; another when any setting of the loop changes."""
    folder = f"{_plain(loop.name)}-{loop.fingerprint}"
    return output / folder / f"{_plain(contestant)}-{seed}.json"


def chosen_loops(names: Sequence[str] | None, held_back: bool, steps: int | None) -> list[Loop]:
    """Return the loops to run: those named, or all but those held back."""
    loops = [LOOPS[name] for name in names or LOOPS if names or held_back or not LOOPS[name].held_back]
    return [replace(loop, steps=steps) for loop in loops] if steps else loops


def forget_failures(paths: Iterable[Path]) -> None:
    """Delete the rows that hold an error."""
    for path in paths:
        if path.is_file() and json.loads(path.read_text(encoding="utf-8"))["error"]:
            path.unlink()


def _plain(name: str) -> str:
    return name.replace(",", "").replace("'", "").replace(" ", "_")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    known = f"of: {'; '.join([*CONTESTANTS, *CANDIDATES])}"
    parser.add_argument("--loops", nargs="+", metavar="LOOP", help="by name, those held back too")
    parser.add_argument(
        "--contestants", "--contestant", nargs="+", metavar="NAME", help=f"of: {'; '.join(known)}"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="trainings at once, one thread each")
    parser.add_argument("--steps", type=int, help="of every loop, in the place of its own")
    parser.add_argument("--held-back", action="store_true", help="add the loops kept for the verdict")
    parser.add_argument("--judge", default=SUBJECT, metavar="NAME", help="whose bars are judged")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_STEPS} steps of {len(QUICK_LOOPS)} loops: under two minutes on two cores",
    )
    parser.add_argument("--retry", action="store_true", help="make rows that hold an error again")
    parser.add_argument("--list", action="store_true", help="list the loops and stop")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("REGVQ_DATA"), help="folder of data sets"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/plain-loops"), help="where rows are kept")
    parser.add_argument("--json", type=Path, help="write all rows asked for and the verdict here")
    return parser


def _list() -> None:
    for loop in LOOPS.values():
        print(
            f"{loop.name:<30}D {loop.dim:<5}N {loop.codebook_size:<7}{loop.tokens:>5} tokens"
            f"{loop.steps:>5} steps{'  held back' * loop.held_back}"
        )


def main() -> None:
    """Read the arguments, run what has not been run, print tables and verdict."""
    parser = _parser()
    arguments = parser.parse_args()
    names = arguments.contestants or (QUICK_CONTESTANTS if arguments.quick else list(CONTESTANTS))
    asked = arguments.loops or (QUICK_LOOPS if arguments.quick else None)
    unknown = sorted({*(asked or ()), *names, arguments.judge} - {*LOOPS, *CONTESTANTS, *CANDIDATES})
    if unknown:
        parser.error(f"no loop or contestant {'; '.join(unknown)}: --list and --help name them")
    if arguments.list:
        return _list()
    folder = Path(arguments.data) if arguments.data else None
    steps = arguments.steps or (QUICK_STEPS if arguments.quick else None)
    loops = chosen_loops(asked, arguments.held_back, steps)
    for name in UNAVAILABLE:
        print(f"skipped contestant {name}: this version of regvq has none")
    for loop in loops:
        if not available(loop.data, folder):
            print(f"skipped loop {loop.name}: --data has no {SOURCES[loop.data].file}")
    loops = [loop for loop in loops if available(loop.data, folder)]
    wanted = {
        path_of(arguments.output, loop, name, seed): (run_loop, (loop, name, seed, folder))
        for loop in loops
        for seed in arguments.seeds
        for name in names
    }
    if arguments.retry:
        forget_failures(wanted)
    rows = run_missing(wanted, arguments.jobs, lambda row: print(row_line(row), flush=True))
    for loop in dict.fromkeys(row["loop"] for row in rows):
        print(f"\n{loop_table(rows, loop, names)}")
    verdict = None
    if any(row["contestant"] == arguments.judge for row in rows):
        verdict = judge(rows, arguments.judge, rivals_of(arguments.judge))
        print(f"\n{verdict_text(verdict)}")
    if arguments.json:
        write_json(arguments.json, {"rows": rows, "verdict": verdict and verdict.as_json()})
    return None


if __name__ == "__main__":
    main()
