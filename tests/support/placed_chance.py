"""A diffusion generator whose chance does not depend on how many processes share a batch."""

import torch
from torch import Tensor

from regvq import ranks
from regvq.generators import DiscreteDiffusionGenerator


class PlacedChance(DiscreteDiffusionGenerator):
    """Draws the chance of the joined batch on every rank, and takes that of the rank's own places in it.

    The chance of a training batch depends on the number of batches before it alone.
    """

    batches = 0

    def chance(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return super().chance(codes)
        first = ranks.rank() * len(codes)
        mine = slice(first, first + len(codes))
        with torch.random.fork_rng([]):
            torch.manual_seed(self.batches)
            times, uniform = super().chance(codes.repeat(ranks.world_size(), 1))
        self.batches += 1
        return times[mine], uniform[mine]
