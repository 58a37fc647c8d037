"""A regularized quantizer whose chance does not depend on how many processes share a batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from regvq import ranks
from regvq.quantizers import RegularizedVectorQuantizer
from regvq.quantizers.functional import stochastic_mask
from regvq.quantizers.tiles import GumbelNoise


class PlacedMask(RegularizedVectorQuantizer):
    """Draws mask and noise of the joined batch on every rank, and takes those of the rank's own images.

    The chance of a training batch depends on the number of batches before it alone.
    """

    def _noise(self, valid: Tensor, scale: float) -> GumbelNoise | None:
        if not self.training:
            return None
        batch, length = valid.shape
        first, joined = ranks.rank() * batch, ranks.world_size() * batch
        seed = self.steps.value
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            mask = stochastic_mask(joined, length, self.mask_ratio(seed), torch.device("cpu"))
        share = round(self.mask_ratio(seed) * length)
        own = mask[first : first + batch].flatten()
        return PlacedNoise(own, batch * share, seed, scale, first * share, joined * share)


@dataclass(frozen=True)
class PlacedNoise(GumbelNoise):
    """The rows of the joined batch's noise from ``first`` on; ``joined`` is how many there are in all."""

    first: int = 0
    joined: int = 0

    def add_to(self, logits: Tensor, tile: slice, scratch: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        uniform = torch.empty(self.joined, logits.shape[1]).uniform_(1e-20, 1 - 1e-7, generator=generator)
        own = uniform[self.first + tile.start : self.first + tile.stop]
        return logits.sub_(own.log().neg().log(), alpha=self.scale)
