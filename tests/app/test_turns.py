"""One computation at a time, and each can be stopped."""

import threading

import pytest

from regvq.app.turns import Report, StoppedError, Turn, Worker
from regvq.errors import RegvqError

LONG = 60.0
"""Seconds that no test waits: a test that would is broken."""


def finished(turn: Turn[str]) -> str:
    assert turn.wait(LONG)
    return turn.result()


def until_told(report: Report) -> str:
    """Works until the report ends it."""
    while True:
        report(0.5)
        threading.Event().wait(0.001)


def test_a_turn_gives_what_it_computed_and_says_how_far_it_is() -> None:
    def task(report: Report) -> str:
        report(0.25)
        return "done"

    turn = Worker(LONG).start(task)
    assert finished(turn) == "done"
    assert turn.done == 0.25


def test_what_a_turn_raises_is_raised_to_whom_it_belongs() -> None:
    def task(report: Report) -> str:
        raise RegvqError("no")

    with pytest.raises(RegvqError, match="no"):
        finished(Worker(LONG).start(task))


def test_a_turn_that_is_too_long_is_ended_between_its_steps() -> None:
    with pytest.raises(RegvqError, match=r"longer than the 0\.05 seconds"):
        finished(Worker(0.05).start(until_told))


def test_a_stopped_turn_frees_the_worker() -> None:
    worker = Worker(LONG)
    first = worker.start(until_told)
    second = worker.start(lambda report: "second")
    assert not second.wait(0.3), "one at a time"
    first.stop()
    with pytest.raises(StoppedError):
        finished(first)
    assert finished(second) == "second"


def test_a_turn_that_is_stopped_while_it_waits_never_begins() -> None:
    worker, begun = Worker(LONG), []
    first = worker.start(until_told)
    waiting = worker.start(lambda report: begun.append(1) or "begun")
    waiting.stop()
    with pytest.raises(StoppedError):
        finished(waiting)
    first.stop()
    with pytest.raises(StoppedError):
        finished(first)
    assert not begun


def test_waiting_does_not_count() -> None:
    worker = Worker(0.3)
    free = threading.Event()
    first = worker.start(lambda report: str(free.wait(LONG)))

    def task(report: Report) -> str:
        report(1.0)
        return "in time"

    second = worker.start(task)
    assert not second.wait(0.5), "longer than its time"
    free.set()
    finished(first)
    assert finished(second) == "in time"
