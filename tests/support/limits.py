"""A disk that is full and a folder that may not be written, as real as a process can have them."""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def full_disk(folder: Path, largest: int = 16) -> Iterator[None]:
    """No file may grow beyond ``largest`` bytes: the kernel refuses the write, as it does without space."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python itself would keep what it compiles as a file that is cut short, and believe it later.
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = compiles


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """``folder`` and what is in it may be read and not written; root becomes nobody for that while."""
    inside = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    modes = {path: path.stat().st_mode for path in inside}
    for path in inside:
        path.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


LIMITS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "full disk": full_disk,
    "read-only folder": read_only,
}
