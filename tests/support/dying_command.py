"""``regvq`` as a program that is killed in the middle of its work, the first time that torchrun starts it.

``python -m tests.support.dying_command LOG WRITES ARGUMENTS``: the last rank is killed when it is about to
give its write number ``WRITES`` its name. ``LOG`` gets a line for every file that any rank has written: how
often torchrun has started it again, its rank, its folder and its name.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import regvq.evaluation.parts
import regvq.files
from regvq.cli import main

regvq.evaluation.parts.PART = 2  # images, so that few of them make several parts


def _kill_at(log: Path, writes: int) -> None:
    rank, restarts = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    last = rank == int(os.environ["WORLD_SIZE"]) - 1
    replace = os.replace
    done = 0

    def note(source: Any, target: Any) -> None:
        nonlocal done
        done += 1
        if last and restarts == 0 and done == writes:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        with log.open("a") as lines:
            lines.write(f"{restarts} {rank} {Path(target).parent.name}/{Path(target).name}\n")

    regvq.files.os.replace = note


if __name__ == "__main__":
    _kill_at(Path(sys.argv[1]), int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
