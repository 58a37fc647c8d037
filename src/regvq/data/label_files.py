"""Reading label maps: one number a pixel, whatever form a data set keeps it in."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from regvq.data.images import check_pixels
from regvq.errors import RegvqError


class LabelSource(Protocol):
    """Where the label map of one image comes from."""

    def read(self) -> Tensor:
        """Label numbers ``[H, W]`` int64.

        Raises:
            RegvqError: it is missing, damaged, or holds what it must not.
        """


@dataclass(frozen=True)
class LabelPng:
    """A PNG of one number a pixel.

    Attributes:
        path: the file.
        numbers: the label of every value that may occur, where the file does not hold labels themselves.
    """

    path: Path
    numbers: tuple[tuple[int, int], ...] = ()

    def read(self) -> Tensor:
        """See ``LabelSource``."""
        pixels = read_numbers(self.path)
        return translated(pixels, dict(self.numbers), self.path) if self.numbers else pixels


@dataclass(frozen=True)
class EncodedMap:
    """A label map as the content of an image file.

    Attributes:
        content: the file.
        place: where it is found, for messages.
    """

    content: bytes
    place: str

    def read(self) -> Tensor:
        """See ``LabelSource``."""
        return read_numbers(self.content, f"the label map of {self.place}")


def read_numbers(source: Path | bytes, name: str | None = None) -> Tensor:
    """A PNG of numbers (grey or palette, one a pixel), or the content of one, as ``[H, W]`` int64.

    Args:
        source: the file or its content.
        name: what an error calls it; its path, where it has one.

    Raises:
        RegvqError: there is none, it is damaged, or it has colours.
    """
    name = name or str(source)
    pixels, mode = _pixels(source, name)
    if pixels.ndim != 2 or pixels.dtype.kind not in "iub":
        raise RegvqError(
            f"{name} has colours (mode {mode}); a label map has one number a pixel: save it as a grey "
            f"or palette PNG of label numbers"
        )
    return torch.from_numpy(pixels.astype(np.int64))


def read_colours(path: Path) -> Tensor:
    """A PNG of colours as ``[H, W]`` int64, red + 256 green + 256² blue.

    Raises:
        RegvqError: there is none, it is damaged, or it has no colours.
    """
    pixels, mode = _pixels(path, str(path))
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        raise RegvqError(
            f"{path} has no colours (mode {mode}): its segments are told by red, green and blue"
        )
    red, green, blue = np.moveaxis(pixels[..., :3].astype(np.int64), 2, 0)
    return torch.from_numpy(red + 256 * green + 65536 * blue)


def read_mask(path: Path) -> Tensor:
    """Where a PNG of black and something else is not black: ``[H, W]`` bool.

    Raises:
        RegvqError: there is none, or it is damaged.
    """
    pixels, _ = _pixels(path, str(path))
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).any(axis=2))


def translated(values: Tensor, numbers: dict[int, int], path: Path) -> Tensor:
    """Every value replaced by its number.

    Raises:
        RegvqError: a value has none.
    """
    found, places = values.unique(return_inverse=True)
    unknown = [value for value in found.tolist() if value not in numbers]
    if unknown:
        raise RegvqError(f"{path} holds {unknown[0]}, which stands for no label: is it of this data set?")
    return torch.tensor([numbers[value] for value in found.tolist()], dtype=torch.int64)[places]


def _pixels(source: Path | bytes, name: str) -> tuple[np.ndarray, str]:
    if isinstance(source, Path) and not source.is_file():
        raise RegvqError(f"there is no label map {name}")
    file = source if isinstance(source, Path) else io.BytesIO(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused in our own words
            with Image.open(file, formats=("PNG",)) as image:
                check_pixels(image.size, name)
                return np.array(image), image.mode
    except RegvqError:
        raise
    except UnidentifiedImageError:
        reason = "is no PNG: a label map is kept as one, or its numbers would blur"
        raise RegvqError(f"{name} {reason}") from None
    # Damaged files make the decoder raise nearly anything.
    except Exception as error:
        raise RegvqError(f"{name} cannot be read as a label map: {error}") from None
