"""What the file of a generated picture says of it: a small JSON text in the PNG.

Anybody can write such a text or leave it out, so what is read is a claim. It is read as from a stranger:
short, of the expected types, or not at all.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

import regvq
from regvq.provenance.grid import Grid

KEYWORD = "regvq"
"""Of the text chunk."""

LONGEST_TEXT, LONGEST_CONDITION, MOST_CELLS = 2**20, 500, 2**16
"""Characters of the text, and images, that are read; characters of a condition that are written."""


@dataclass(frozen=True)
class Record:
    """Where a picture comes from.

    Attributes:
        generator: fingerprint of what drew it.
        tokenizer: fingerprint of what decoded it.
        seed: that it was drawn with.
        conditions: in words; of a grid one for each row.
        index: the number of the picture's first image among all of the seed.
        watermark: whether the pixels carry the mark.
        edited: whether only a part was drawn, and the rest is somebody's image.
        grid: where the images lie, if there are several.
        software: that wrote it.
    """

    generator: str
    tokenizer: str
    seed: int
    conditions: tuple[str, ...]
    index: int
    watermark: bool
    edited: bool = False
    grid: Grid | None = None
    software: str = field(default_factory=lambda: f"regvq {regvq.__version__}")

    def chunk(self) -> dict[str, str]:
        """The text for a PNG, by its keyword."""
        content = asdict(self) | {"conditions": [text[:LONGEST_CONDITION] for text in self.conditions]}
        return {KEYWORD: json.dumps(content)}

    def summary(self) -> str:
        """One line for people; what a terminal could take for a command is replaced."""
        conditions = ", ".join(dict.fromkeys(self.conditions))
        what = "edit" if self.edited else "sample"
        text = (
            f"{what} by {self.software}, generator {self.generator}, seed {self.seed}, image {self.index}"
        )
        text = f"{text}, condition {conditions}" if conditions else text
        safe = "".join(letter if letter.isprintable() else "?" for letter in text)
        return safe if len(safe) <= 200 else f"{safe[:200]} …"


def read_record(path: Path) -> Record | None:
    """What the PNG says of itself; ``None`` where it says nothing, or nothing that can be understood."""
    try:
        # The header and what stands before the pixels: no pixel is decoded.
        with Image.open(path, formats=("PNG",)) as image:
            text = image.info.get(KEYWORD)
        return _parse(text) if isinstance(text, str) and len(text) <= LONGEST_TEXT else None
    # Damaged files make Pillow raise nearly anything; a claim that cannot be read is none.
    except Exception:
        return None


def _parse(text: str) -> Record | None:
    content = json.loads(text)
    layout, conditions = content.pop("grid"), content.pop("conditions")
    grid = None if layout is None else Grid(**_checked(layout, Grid))
    if grid is not None and not (min(grid.size) > 0 and 0 < grid.columns * grid.rows <= MOST_CELLS):
        return None
    if not (isinstance(conditions, list) and all(isinstance(one, str) for one in conditions)):
        return None
    return Record(conditions=tuple(conditions), grid=grid, **_checked(content, Record))


def _checked(content: dict[str, Any], kind: type[Grid] | type[Record]) -> dict[str, Any]:
    """The values, each of the type that the field asks for.

    Raises:
        TypeError: one is not, or a length is negative.
    """
    for name, value in content.items():
        if type(value) is not kind.__annotations__[name] or (kind is Grid and value < 0):
            raise TypeError(name)
    return content
