"""What the user sees while a command works: on stderr, and only where it is a terminal."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress
from rich.status import Status

T = TypeVar("T")


def working(what: str) -> AbstractContextManager[Status]:
    """A spinner beside ``what`` for as long as the block runs."""
    return Console(stderr=True).status(f"{what} …")


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Yields ``items`` under a progress bar with the time left."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total, description=what)


def notice(sentence: str) -> None:
    """Says what the user should know although the command goes on."""
    print(f"regvq: {sentence}", file=sys.stderr)
