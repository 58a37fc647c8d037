"""A folder that another library's own writer wrote."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from regvq.errors import RegvqError
from regvq.files import write_together


def write_stock(path: Path, write: Callable[[str], object]) -> None:
    """Has ``write`` fill a folder aside, then puts its files into ``path``, whole or not at all.

    Args:
        path: new, or empty.
        write: the other library's ``save_pretrained``.

    Raises:
        RegvqError: the folder holds something already, or cannot be written.
    """
    require_free(path)
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        files = sorted(file for file in Path(folder).iterdir() if file.is_file())
        write_together({path / file.name: file.read_bytes() for file in files})


def require_free(path: Path) -> None:
    """Refuses a folder in which something would be overwritten or mixed.

    Raises:
        RegvqError: it is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RegvqError(f"{path} is not empty: give another output folder")
