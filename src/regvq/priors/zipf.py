"""A power law over the code indices."""

import math

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors.base import Prior


class ZipfPrior(Prior):
    """Zipf-Mandelbrot: probability falls as ``(rank + offset) ** -exponent``, rank = index + 1.

    Args:
        exponent: 0 is uniform, 1 is Zipf's law. Not negative.
        offset: flattens the head of the list. Not negative.
    """

    def __init__(self, exponent: float = 1.0, offset: float = 0.0) -> None:
        if not (0 <= exponent < math.inf and 0 <= offset < math.inf):
            raise RegvqError(f"a Zipf prior needs exponent and offset >= 0, not {exponent} and {offset}")
        self.exponent, self.offset = exponent, offset

    def log_prob(self, codebook_size: int) -> Tensor:
        rank = torch.arange(1, codebook_size + 1, dtype=torch.float64)
        return (-self.exponent * (rank + self.offset).log()).log_softmax(0).float()
