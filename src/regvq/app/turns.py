"""One computation at a time, none longer than allowed, none that nobody waits for any more."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from regvq.errors import RegvqError

T = TypeVar("T")

Report = Callable[[float], None]
"""Called with the share that is done, in [0, 1]; what it raises ends the computation."""


class StoppedError(Exception):
    """The visitor has stopped the computation or left, or the server is closing."""


class Turn(Generic[T]):
    """A computation in a thread of its own.

    It waits for its worker to be free, so that one that was stopped but is still at its last step and the
    next one never compute at the same time. Its time counts from there.

    Args:
        task: computes, calling what it is given after every step.
        worker: whose turn it is.
    """

    def __init__(self, task: Callable[[Report], T], worker: "Worker") -> None:
        self.done = 0.0
        """The share that is done, in [0, 1]."""
        self._task = task
        self._worker = worker
        self._deadline = 0.0
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._outcome: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Waits no longer than this; whether the computation has ended."""
        return self._ended.wait(seconds)

    def stop(self) -> None:
        """Ends it after the step that it is at."""
        self._stopped.set()

    def result(self) -> T:
        """What it computed, once it has ended.

        Raises:
            RegvqError: its time was over.
            Exception: whatever it raised.
        """
        if self._error is not None:
            raise self._error
        return self._outcome  # type: ignore[return-value]  # it has ended without an error

    def _run(self) -> None:
        try:
            while not self._worker.busy.acquire(timeout=0.1):
                self._raise_if_stopped()
            try:
                self._raise_if_stopped()
                self._deadline = time.monotonic() + self._worker.seconds
                self._outcome = self._task(self._report)
            finally:
                self._worker.busy.release()
        except BaseException as error:  # for result() to raise
            self._error = error
        finally:
            self._ended.set()

    def _report(self, done: float) -> None:
        self.done = done
        self._raise_if_stopped()
        if time.monotonic() > self._deadline:
            raise RegvqError(
                f"this took longer than the {self._worker.seconds:g} seconds that a request has here: ask "
                "for fewer images or steps"
            )

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set() or self._worker.closed.is_set():
            raise StoppedError


class Worker:
    """Takes turns.

    Args:
        seconds: that one turn may compute.

    Attributes:
        busy: held by the turn that computes.
        closed: ends all turns once it is set.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.busy = threading.Lock()
        self.closed = threading.Event()

    def start(self, task: Callable[[Report], T]) -> Turn[T]:
        """Begins a computation, or waits for the one that is under way to end."""
        return Turn(task, self)
