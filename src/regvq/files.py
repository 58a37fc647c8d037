"""Writing files so that nothing already saved is lost."""

import glob
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from regvq.errors import RegvqError


def write_bytes(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Writes ``path`` whole or not at all: beside it first, synced, then renamed over it.

    Args:
        path: of the file.
        content: all of it.
        previous: what stood at ``path`` is kept under this name, if one is given.

    Raises:
        RegvqError: the place cannot be written (no right, no space); what stood there still stands.
    """
    write_together({path: content}, {} if previous is None else {path: previous})


def write_together(contents: dict[Path, bytes], kept: Mapping[Path, Path] = MappingProxyType({})) -> None:
    """Writes files that belong together, in the order given: all beside first, then all renamed.

    Whatever can fail for want of space or rights fails before the first rename.

    Args:
        contents: by the file.
        kept: of a file that is replaced, where it is kept; both in one folder.

    Raises:
        RegvqError: a place cannot be written (no right, no space); what stood there still stands.
    """
    staged: dict[Path, str] = {}
    path = next(iter(contents))
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError(None, "a folder of that name stands there")
            # Not the whole name: it may already be as long as the file system allows.
            descriptor, staged[path] = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:20]}.")
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files private; a saved result has the rights of any other new file.
            os.chmod(staged[path], 0o666 & ~_umask())
        for path, temporary in staged.items():
            if path in kept and path.exists():
                os.replace(path, kept[path])
            os.replace(temporary, path)
    except OSError as error:
        raise RegvqError(
            f"cannot write {path}: {error.strerror}; free space or change the folder"
        ) from error
    finally:
        for temporary in staged.values():
            Path(temporary).unlink(missing_ok=True)


def claim(folder: Path, record: str, facts: dict[str, Any], what: str) -> None:
    """Makes ``folder`` the place of something that is written piece by piece, or recognises it as that.

    Args:
        folder: new or empty, or claimed before with the same facts.
        record: name of the JSON file in it that holds them.
        facts: what decides the pieces, JSON-ready.
        what: what they are, for messages.

    Raises:
        RegvqError: the folder holds something else, or cannot be written.
    """
    path, now = folder / record, json.loads(json.dumps(facts))
    if not path.is_file():
        remove_leftovers(path)  # of a process that was killed while it claimed the folder
        if folder.exists() and any(folder.iterdir()):
            raise RegvqError(f"{folder} is not empty and holds no {what}: give another output folder")
        write_bytes(path, json.dumps(facts, indent=2).encode() + b"\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = {name: before[name] for name in now if before[name] != now[name]}
    except (ValueError, KeyError, TypeError):
        raise RegvqError(f"{path} is damaged or of another version: give another output folder") from None
    if changed:
        name = next(iter(changed))
        raise RegvqError(
            f"{folder} holds a {what} with another {name} ({changed[name]}, now {now[name]}): "
            "give another output folder"
        )


def remove_leftovers(path: Path) -> None:
    """Deletes what was written beside ``path`` by processes that were killed before they renamed it.

    Only where no other process is writing ``path`` now.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name[:20])}.????????"):
        leftover.unlink(missing_ok=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
