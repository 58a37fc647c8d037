"""The configurations that come with this package, found by short names like ``tokenizer/regvq``."""

from importlib.resources import files
from pathlib import Path

from regvq.errors import RegvqError

ROOT = Path(str(files(__name__)))


def names() -> list[str]:
    """The short names of all configurations that come with this package."""
    return sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.yaml"))


def find(name: str) -> Path:
    """The file that ``name`` stands for: the user's own first, then one of ours.

    Args:
        name: a path, or a short name with or without ``.yaml``.

    Raises:
        RegvqError: there is neither.
    """
    own = Path(name)
    if own.is_file():
        return own
    short = name.removesuffix(".yaml")
    if short in names():
        return ROOT / f"{short}.yaml"
    raise RegvqError(f"there is no configuration {name}: give a path, or one of {', '.join(names())}")
