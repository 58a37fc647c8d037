"""Where a reconstruction differs from its original."""

import matplotlib
import torch
from torch import Tensor

FULL = 64
"""Mean difference (of 255) that is shown brightest: the same in every picture, so that they compare."""


def error_map(original: Tensor, reconstruction: Tensor) -> Tensor:
    """The mean absolute difference of the channels, from black over red to white.

    Args:
        original: ``[3, H, W]`` in [-1, 1].
        reconstruction: likewise.

    Returns:
        ``[3, H, W]`` in [-1, 1].
    """
    difference = (original - reconstruction).abs().mean(0) * 127.5
    colours = matplotlib.colormaps["inferno"]((difference / FULL).clamp(0, 1).numpy())[..., :3]
    return torch.from_numpy(colours).permute(2, 0, 1).float() * 2 - 1
