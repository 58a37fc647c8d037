"""The one folder that the app takes visitors' files from and puts theirs into."""

import secrets
from pathlib import Path
from typing import Any

from torch import Tensor

from regvq.data.images import load_image, save_png
from regvq.errors import RegvqError


class Shelf:
    """Visitors' files. Their names cannot be guessed, so that nobody comes by another visitor's picture.

    Args:
        folder: private to the server.
        pixels: of the largest image that is read.
    """

    def __init__(self, folder: Path, pixels: int) -> None:
        self.folder = folder.resolve()
        self.pixels = pixels

    def holds(self, path: str | Path) -> bool:
        """Whether a path that a visitor names is one of the files here, links and ``..`` followed."""
        try:
            found = Path(path).resolve()
            return found.is_relative_to(self.folder) and found.is_file()
        except (OSError, ValueError):  # too long, or with a null byte
            return False

    def read(self, upload: Any) -> Tensor:
        """The image that a visitor uploaded: ``[3, H, W]`` in [-1, 1].

        Args:
            upload: what the page sent: a record of the file with its ``path``.

        Raises:
            RegvqError: there is none, it is no image, or it is too large.
        """
        if not upload:
            raise RegvqError("there is no image yet: drop one, or choose an example")
        path = upload.get("path") if isinstance(upload, dict) else None
        if not isinstance(path, str) or not self.holds(path):
            raise RegvqError("this image is not here any more: upload it again")
        return load_image(Path(path), name="the upload", limit=self.pixels)

    def place(self) -> Path:
        """Where another PNG may be written."""
        return self.folder / f"{secrets.token_hex(16)}.png"

    def put(self, image: Tensor) -> str:
        """Writes an image [3, H, W] in [-1, 1] as PNG; returns its path."""
        path = self.place()
        save_png(image, path)
        return str(path)
