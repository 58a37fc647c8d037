"""A package imports only from those before it: the layout stays a layout."""

import ast
from pathlib import Path

import pytest

import regvq

SOURCE = Path(regvq.__file__).parent
GROUND = (
    *("errors", "types", "configurable", "files", "checksums", "model_folder", "hub", "model_card"),
    *("figures", "usage_chart", "pretrained"),
    *("ranks", "schedules", "configs"),
)
ORDER = (
    "nets",
    "priors",
    "quantizers",
    "metrics",
    "data",
    "losses",
    "tokenizers",
    "conditions",
    "generators",
    "provenance",
    "exchange",
    "training",
    "evaluation",
    "app",
    "cli",
)
RANK = dict.fromkeys(GROUND, 0) | {name: rank for rank, name in enumerate(ORDER, 1)}
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


def _part(dotted: str) -> str | None:
    """``quantizers`` for ``regvq.quantizers.base``; ``None`` for other packages and for ``regvq``."""
    names = dotted.split(".")
    return names[1] if names[0] == "regvq" and len(names) > 1 else None


def imported_parts(file: Path, source: str) -> set[str]:
    """The parts of this package that a file's text imports anywhere, in functions too."""
    package = ("regvq", *file.parts[:-1])
    parts: set[str | None] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            parts |= {_part(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if module == "regvq":
                parts |= {alias.name for alias in node.names if alias.name in RANK}
            parts.add(_part(module))
    return {part for part in parts if part is not None}


def _own_part(file: Path) -> str:
    return file.parts[0].removesuffix(".py")


def test_every_part_has_its_place() -> None:
    # The package itself is the facade in front of them all.
    places = {_own_part(file) for file in FILES} - {"__init__", "__main__"}
    assert places <= RANK.keys()


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_point_backwards(file: Path) -> None:
    own = _own_part(file)
    if own in ("__init__", "__main__"):
        return
    imported = imported_parts(file, (SOURCE / file).read_text(encoding="utf-8"))
    forward = {part for part in imported - {own} if RANK[part] > RANK[own]}
    assert not forward, f"{file} imports from {sorted(forward)}, which come after {own}"
    if own in GROUND:
        assert imported <= set(GROUND)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import regvq.cli.main", {"cli"}),
        ("from regvq.training import x", {"training"}),
        ("from regvq import evaluation", {"evaluation"}),
        ("from .. import losses", {"losses"}),
        ("from ..losses import x", {"losses"}),
        ("from .base import x", {"nets"}),
        ("def f():\n    from regvq.data import x", {"data"}),
        ("import torch\nfrom regvq import __version__\nimport regvq", set()),
    ],
)
def test_an_import_is_seen_however_it_is_written(line: str, expected: set[str]) -> None:
    assert imported_parts(Path("nets/backbone.py"), line) == expected
