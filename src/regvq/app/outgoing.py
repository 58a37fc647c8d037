"""The one gate that every image drawn by the generator passes before a visitor sees it."""

from torch import Tensor

from regvq.app.shelf import Shelf
from regvq.provenance import Provenance


def publish(
    images: Tensor, provenance: Provenance, condition: str, shelf: Shelf, drawn: Tensor | None = None
) -> list[str]:
    """Marks images and writes them with their records; returns their files' paths.

    Args:
        images: ``[M, 3, H, W]`` in [-1, 1].
        provenance: marks and records.
        condition: what they were drawn under, in words.
        shelf: where they are put.
        drawn: ``[H, W]`` bool, the pixels that were drawn; all of them where none are named.
    """
    paths = [shelf.place() for _ in images]
    for index, (image, path) in enumerate(zip(provenance.mark(images, drawn), paths, strict=True)):
        provenance.save(image[None], path, [condition], index=index)
    return [str(path) for path in paths]
