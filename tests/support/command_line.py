"""The command line as real processes that can be killed, without the seconds that each import takes."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_IMPORTED = ["regvq.training.tokenizer_cli", "regvq.training.generator_cli", "regvq.evaluation.comparison"]


class Command:
    """``regvq ARGUMENTS`` in a process of its own, forked from one that has imported what takes seconds.

    Args:
        arguments: of the command line.
        log: file that its output is appended to.
        run: takes the arguments and returns the exit status, in the place of the command line.
    """

    def __init__(
        self, arguments: Sequence[object], log: Path, run: Callable[[list[str]], int] | None = None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_IMPORTED)
        self.log = log
        self.began = time.monotonic()
        self.process: ForkServerProcess = context.Process(
            target=_run, args=(run, [str(argument) for argument in arguments], str(log))
        )
        self.process.start()

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self.began

    def finish(self, seconds: float = 600.0) -> int:
        """Waits for the end; returns the exit status."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"it hangs: {self.log.read_text()[-2000:]}"
        return self.process.exitcode

    def kill_after(self, seconds: float, begun: Callable[[], bool], whole_group: bool = False) -> bool:
        """SIGKILL that long after ``begun``; whether it was still running then.

        Args:
            seconds: of waiting.
            begun: when they count from.
            whole_group: the processes that it has started, too, as when a machine goes down.
        """
        while not begun() and self.process.exitcode is None:
            self.process.join(0.05)
        self.process.join(seconds)
        if self.process.exitcode is not None:
            return False
        assert self.process.pid is not None
        (os.killpg if whole_group else os.kill)(self.process.pid, signal.SIGKILL)
        self.process.join()
        self._wait_for_orphans(self.process.pid)
        return self.process.exitcode == -signal.SIGKILL

    @staticmethod
    def _wait_for_orphans(group: int) -> None:
        """Until the processes that it had started have noticed and ended."""
        deadline = time.monotonic() + 300  # one that is still importing notices after it
        while _alive(group):
            assert time.monotonic() < deadline, "processes outlive the one that has started them"
            time.sleep(0.05)


def _run(run: Callable[[list[str]], int] | None, arguments: list[str], log: str) -> None:
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    import torch

    from regvq.cli import main

    torch.set_num_threads(1)
    sys.exit((run or main)(arguments))


def _alive(group: int) -> bool:
    """Whether any process of a group is neither gone nor a zombie."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(number) == group and state != "Z":
            return True
    return False
