"""The carriers of the mark: waves that span the whole picture, whatever its size, each with a sign.

Wave (u, v) of a picture is ``cos(pi u y / H) cos(pi v x / W)``, the basis of the discrete cosine
transform. It is drawn in coordinates relative to the picture's sides, so a resized picture carries the
same waves. How much of each wave a picture's luminance holds is its coefficient. The signs come out of a
hash: they are the same on every machine and with every version of every library.
"""

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

COUNT = 256
"""Waves that are known in each direction."""

LOWEST, HIGHEST = 0.08, 0.5
"""Frequencies that carry the mark, as shares of the highest that the picture can hold: above lie those that
compression and resizing take away, below those of the picture's large shapes."""

_KEY = b"regvq watermark 1"
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


def luminance(levels: Tensor) -> Tensor:
    """Of pixels ``[B, 3, H, W]`` in [0, 255]: ``[B, H, W]`` float64."""
    weights = torch.tensor(_LUMINANCE, dtype=torch.float64)
    return torch.einsum("c,bchw->bhw", weights, levels)


def counts(height: int, width: int, scale: float = 1.0) -> tuple[int, int]:
    """How many waves each direction of a picture has, were it ``scale`` times as large."""
    return (
        min(COUNT, height, int(HIGHEST * scale * height)),
        min(COUNT, width, int(HIGHEST * scale * width)),
    )


def waves(side: int, count: int) -> Tensor:
    """The first waves along one side, without the constant one: ``[count, side]`` float64, orthonormal."""
    places = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    numbers = torch.arange(1, count + 1, dtype=torch.float64)
    return math.sqrt(2 / side) * torch.cos(math.pi * numbers[:, None] * places)


def coefficients(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """How much of each wave ``values`` [B, H, W] hold: ``[B, U, V]``, by the waves of both sides."""
    return rows @ values @ columns.T


def band(height: int, width: int, scale: float = 1.0) -> Tensor:
    """Which waves carry the mark: ``[U, V]`` bool.

    Args:
        height: of the picture, in pixels.
        width: likewise.
        scale: as if the picture were so many times as large.
    """
    up, across = counts(height, width, scale)
    frequency = torch.hypot(
        torch.arange(1, up + 1)[:, None] / height, torch.arange(1, across + 1)[None] / width
    )
    return (frequency >= LOWEST) & (frequency <= HIGHEST * scale)


def signs(up: int, across: int) -> Tensor:
    """The sign of each wave: ``[U, V]`` of -1 and 1, float64."""
    stream = np.frombuffer(hashlib.shake_256(_KEY).digest(COUNT * COUNT // 8), np.uint8)
    bits = torch.from_numpy(np.unpackbits(stream).reshape(COUNT, COUNT)[:up, :across])
    return bits.double() * 2 - 1
