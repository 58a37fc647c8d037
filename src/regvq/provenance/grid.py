"""Several images in one picture: where each of them lies."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from regvq.errors import RegvqError

LINE = 2
"""Pixels between the images of a grid, and around them."""

_MOST_RESIZED = 2.0


@dataclass(frozen=True)
class Grid:
    """Images of one size in rows and columns.

    Attributes:
        columns: images side by side.
        rows: images above each other.
        width: of an image, in pixels.
        height: likewise.
        line: pixels between images and around them.
    """

    columns: int
    rows: int
    width: int
    height: int
    line: int = LINE

    @classmethod
    def of_cells(cls, size: tuple[int, int], cell: tuple[int, int]) -> "Grid":
        """The grid that fills a picture.

        Args:
            size: height and width of the picture in pixels.
            cell: height and width of an image in it, as the picture is now.

        Raises:
            RegvqError: the picture is no grid of such images.
        """
        # Lines that a resize has made a little wider or narrower change no count.
        rows, columns = ((side - LINE) / (part + LINE) for side, part in zip(size, cell, strict=True))
        rows, columns = max(1, round(rows)), max(1, round(columns))
        left = size[0] - rows * cell[0] + size[1] - columns * cell[1]
        line = round(left / (rows + columns + 2))
        grid = cls(columns, rows, cell[1], cell[0], line)
        if not (0 <= line <= 2 * LINE and grid.fits(size, 1.1)):
            raise RegvqError(
                f"a picture of {size[1]} x {size[0]} pixels is no grid of images of {cell[1]} x {cell[0]}: "
                "give the size that one image has in the picture as it is now"
            )
        return grid

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the whole picture in pixels."""
        return (
            self.rows * (self.height + self.line) + self.line,
            self.columns * (self.width + self.line) + self.line,
        )

    def fits(self, size: tuple[int, int], most: float = _MOST_RESIZED) -> bool:
        """Whether a picture of this height and width is the grid, resized by at most ``most``."""
        return all(1 / most <= now / then <= most for now, then in zip(size, self.size, strict=True))

    def picture(self, images: Tensor) -> Tensor:
        """The whole of images ``[N, 3, height, width]`` in [-1, 1], given row by row: ``[3, H, W]``."""
        from torchvision.utils import make_grid

        whole: Tensor = make_grid(images, nrow=self.columns, padding=self.line, pad_value=1.0)
        return whole

    def cells(self, picture: Tensor) -> Tensor:
        """The images of a picture ``[3, H, W]`` of any size, row by row: ``[N, 3, height, width]``."""
        if picture.shape[1:] != self.size:  # it was resized
            picture = interpolate(picture[None], self.size, mode="bicubic", antialias=True)[0].clamp(-1, 1)
        tops = [self.line + row * (self.height + self.line) for row in range(self.rows)]
        lefts = [self.line + column * (self.width + self.line) for column in range(self.columns)]
        return torch.stack(
            [
                picture[:, top : top + self.height, left : left + self.width]
                for top in tops
                for left in lefts
            ]
        )
