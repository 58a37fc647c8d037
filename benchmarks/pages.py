"""Pages of docs/ that are written from figures: the command line that they share."""

import argparse
from collections.abc import Callable
from pathlib import Path

from regvq.files import write_bytes


def write_or_check(path: Path, page: Callable[[], str], about: str | None) -> bool:
    """Writes a page, or with ``--check`` writes nothing and looks whether it is what the figures say.

    Args:
        path: of the page.
        page: its text.
        about: the docstring of the script, for ``--help``.

    Returns:
        Whether the page now is what the figures say.
    """
    parser = argparse.ArgumentParser(description=(about or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; is the page up to date?")
    check, text = parser.parse_args().check, page()
    if check:
        return path.read_text(encoding="utf-8") == text
    write_bytes(path, text.encode())
    return True
