"""Trainings that a benchmark wants: those that are missing are run, several at once, and kept."""

import json
import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from regvq.files import write_bytes

Row = dict[str, Any]


def run_missing(
    wanted: Mapping[Path, tuple[Callable[..., Row], tuple[Any, ...]]],
    jobs: int,
    show: Callable[[Row], None],
) -> list[Row]:
    """All rows wanted, in their order; each is written as soon as it is there, and never made twice.

    One that fails does not lose the others: they are finished first.

    Args:
        wanted: by the file that keeps a row, the function that makes it and its arguments.
        jobs: processes at once.
        show: called with every row that was made now.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        futures = {
            pool.submit(make, *arguments): path
            for path, (make, arguments) in wanted.items()
            if not path.is_file()
        }
        failures = []
        for future in as_completed(futures):
            failure = future.exception()
            if failure is not None:
                failures.append(failure)
                continue
            row = future.result()
            write_json(futures[future], row)
            show(row)
    if failures:
        raise failures[0]
    return [json.loads(path.read_text()) for path in wanted]


def write_json(path: Path, content: Any) -> None:
    """Writes ``content``, indented, whole or not at all."""
    write_bytes(path, json.dumps(content, indent=2).encode() + b"\n")
