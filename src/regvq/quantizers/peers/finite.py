"""The library's finite scalar quantization."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.functional import euclidean_scores
from regvq.quantizers.peers.base import PeerQuantizer, library
from regvq.quantizers.peers.projections import projected

# The library's own: keeps the outermost level within reach of the tangent.
_MARGIN = 1e-3


class PeerFSQ(PeerQuantizer):
    """``FSQ``: every number of a short vector is rounded to one of a few levels.

    Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple", ICLR 2024. The number of codes is the
    product of the levels: 8, 5, 5, 5 are 1,000.

    Args:
        dim: channels D of the latents.
        levels: of each number, at least 3.

    Raises:
        RegvqError: vector-quantize-pytorch is not installed; there are too few levels.
    """

    moves_in_place = False

    def __init__(self, dim: int, levels: Sequence[int] = (8, 5, 5, 5)) -> None:
        if not levels or min(levels) < 3:
            raise RegvqError(f"FSQ needs levels of at least 3, not {list(levels)}")
        super().__init__(math.prod(levels), dim, lambda: library("FSQ")(levels=list(levels), dim=dim))
        self.levels = tuple(levels)

    @property
    def codebook(self) -> Tensor:
        """Every combination of levels, projected to the latents' channels."""
        return projected(self.peer.project_out, self._grid_points() / self._half_widths())

    def logits(self, tokens: Tensor) -> Tensor:
        """Of the rounding: minus the squared distance to the levels, before they are scaled to [-1, 1]."""
        levels = self._levels().float()
        half = (levels - 1) * (1 + _MARGIN) / 2
        offset = 0.5 * (levels % 2 == 0).float()
        bounded = torch.tanh(projected(self.peer.project_in, tokens) + torch.atanh(offset / half))
        return euclidean_scores(bounded * half - offset, self._grid_points(), 0.5).logits()

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        quantized, codes = self.peer(tokens)
        return quantized, codes, {}

    def _levels(self) -> Tensor:
        levels: Tensor = self.peer._levels
        return levels

    def _half_widths(self) -> Tensor:
        return (self._levels() // 2).float()

    def _grid_points(self) -> Tensor:
        """Every combination of levels, counted from the middle: ``[N, len(levels)]``."""
        points: Tensor = self.peer.indices_to_level_indices(
            torch.arange(self.codebook_size, device=self._levels().device)
        )
        return points - self._half_widths()
