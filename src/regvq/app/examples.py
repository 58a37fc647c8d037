"""Images to begin with: the package's own scenes, and photographs where they are installed."""

from torch import Tensor

from regvq.app.fitting import fit
from regvq.data.photos import photographs
from regvq.data.scenes import LABELS, Scenes
from regvq.errors import RegvqError

SCENES, PHOTOGRAPHS = (3, 12, 31), (0, 1, 2, 8)
"""Which of them: different ones, chosen by eye."""

_SMALLEST = 32
_PHOTOGRAPH = 128
"""Pixels of a photograph's side: enough to see what it shows."""


def example_images(side: int) -> list[Tensor]:
    """A few square images ``[3, S, S]`` in [-1, 1]: scenes of about ``side`` pixels, and photographs."""
    scenes = Scenes("val", max(side, _SMALLEST))
    images = [scenes[index]["image"] for index in SCENES]
    try:
        known = photographs()
    except RegvqError:  # they come with the extra "demo"
        return images
    return images + [
        fit(known[index].float() / 127.5 - 1, (_PHOTOGRAPH, _PHOTOGRAPH)) for index in PHOTOGRAPHS
    ]


def example_labels(names: tuple[str, ...], rows: int, columns: int) -> list[int]:
    """A label map to begin with, row by row: a scene where the labels are those of the scenes."""
    if names == tuple(label.name for label in LABELS) and rows == columns and rows >= _SMALLEST:
        labels = Scenes("val", rows)[SCENES[0]]["label_map"]
        return [int(label) for label in labels.flatten()]
    return [0] * (rows * columns)


def label_colours(names: tuple[str, ...]) -> list[str] | None:
    """The scenes' own colours of these labels as CSS writes them; ``None`` for labels of other data."""
    known = {label.name: label.colour for label in LABELS}
    if not all(name in known for name in names):
        return None
    return ["#{:02x}{:02x}{:02x}".format(*known[name]) for name in names]
