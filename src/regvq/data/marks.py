"""A text that changes with files, as far as that can be told without reading them."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def mark_of_files(files: Iterable[Path]) -> str:
    """Hash of the sizes of files, and of their names below the folder that they share.

    So the same files elsewhere have the same one. A file that is gone counts as one of -1 bytes.
    """
    known = list(files)
    folders = {file.parent: file.parent.absolute() for file in known}
    shared = os.path.commonpath(folders.values()) if folders else ""
    below = {folder: os.path.relpath(path, shared) for folder, path in folders.items()}
    digest = hashlib.sha256()
    for file in known:
        line = f"{below[file.parent]}/{file.name}\0{_bytes_of(file)}\0"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _bytes_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
