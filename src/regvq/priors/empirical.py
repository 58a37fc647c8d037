"""A prior read from counted tokens."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors.base import Prior


class EmpiricalPrior(Prior):
    """Token counts, smoothed by adding ``smoothing`` to each so that none is impossible.

    Args:
        counts: one non-negative count a code, as numbers or as a text of numbers between spaces: in a
            configuration the text, for the command line takes minutes to read a list of thousands.
        smoothing: pseudo-count of every code. Positive.

    Raises:
        RegvqError: no counts, others than such numbers, or a smoothing that is not positive.
    """

    def __init__(self, counts: str | Sequence[float], smoothing: float = 1.0) -> None:
        if isinstance(counts, str):
            try:
                counts = [float(count) for count in counts.split()]
            except ValueError as error:
                raise RegvqError(f"an empirical prior needs counts between spaces: {error}") from None
        if not counts or not all(0 <= count < math.inf for count in counts):
            raise RegvqError("an empirical prior needs counts, all of them finite and none negative")
        if not 0 < smoothing < math.inf:
            raise RegvqError(f"smoothing must be positive, not {smoothing}: a zero is infinite in KL")
        self.counts = [float(count) for count in counts]
        self.smoothing = smoothing

    def log_prob(self, codebook_size: int) -> Tensor:
        """Raises ``RegvqError`` where there is not one count for each code."""
        if codebook_size != len(self.counts):
            raise RegvqError(
                f"the empirical prior has {len(self.counts)} counts, the codebook {codebook_size} codes"
            )
        smoothed = torch.tensor(self.counts, dtype=torch.float64) + self.smoothing
        return (smoothed / smoothed.sum()).log().float()
