"""Results that are wanted: those that are missing are made, several at once, and kept."""

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from regvq.files import write_bytes

Row = dict[str, Any]


def run_missing(
    wanted: Mapping[Path, tuple[Callable[..., Row], tuple[Any, ...]]],
    jobs: int,
    show: Callable[[Row], None],
    failed: Callable[[Path, BaseException], None] | None = None,
) -> list[Row]:
    """All rows wanted, in their order; each is written as soon as it is there, and never made twice.

    One that fails does not lose the others: they are finished first.

    Args:
        wanted: by the file that keeps a row, the function that makes it and its arguments.
        jobs: processes at once.
        show: called with every row that was made now.
        failed: called with what failed, which then has no row; without it the first failure is raised at
            the end.
    """
    missing = {path: work for path, work in wanted.items() if not path.is_file()}
    failures = _run(missing, jobs, show)
    # A process that is killed, for want of memory say, takes its pool along: who was it? Each alone tells.
    for path in [path for path, failure in failures.items() if isinstance(failure, BrokenProcessPool)]:
        del failures[path]
        failures |= _run({path: missing[path]}, 1, show)
    for path, failure in failures.items():
        if failed is None:
            raise failure
        failed(path, failure)
    return [json.loads(path.read_text()) for path in wanted if path.is_file()]


def _run(
    missing: Mapping[Path, tuple[Callable[..., Row], tuple[Any, ...]]],
    jobs: int,
    show: Callable[[Row], None],
) -> dict[Path, BaseException]:
    """Makes and writes rows; returns what failed, and why."""
    failures: dict[Path, BaseException] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, _end_with_parent, (os.getpid(),)) as pool:
        futures = {pool.submit(make, *arguments): path for path, (make, arguments) in missing.items()}
        for future in as_completed(futures):
            failure = future.exception()
            if failure is not None:
                failures[futures[future]] = failure
                continue
            row = future.result()
            write_json(futures[future], row)
            show(row)
    return failures


def write_json(path: Path, content: Any) -> None:
    """Writes ``content``, indented, whole or not at all."""
    write_bytes(path, json.dumps(content, indent=2).encode() + b"\n")


def _end_with_parent(parent: int) -> None:
    """A training that outlives its parent would meet the next attempt in its own folder."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
