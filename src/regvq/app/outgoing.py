"""The one gate that every image made here passes before a visitor sees it."""

from torch import Tensor

from regvq.app.shelf import Shelf


def publish(images: Tensor, shelf: Shelf) -> list[str]:
    """Writes images that a generator or a visitor's own tokens have made; returns their files' paths.

    Args:
        images: ``[M, 3, H, W]`` in [-1, 1].
        shelf: where they are put.
    """
    return [shelf.put(image) for image in images]
