"""What the user sees while a command works: on stderr, and only where it is a terminal."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress
from rich.status import Status

from regvq import ranks

T = TypeVar("T")


def working(what: str) -> AbstractContextManager[Status]:
    """A spinner beside ``what`` for as long as the block runs."""
    return Console(stderr=True).status(f"{what} …")


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yields ``items`` under a progress bar with the time left."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=what)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar with the time left; the block is given what to call with how much is done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def say(sentence: str) -> None:
    """Prints a result; of processes that work together the first one does."""
    if ranks.rank() == 0:
        print(sentence)


def notice(sentence: str) -> None:
    """Says what the user should know although the command goes on."""
    print(f"regvq: {sentence}", file=sys.stderr)
