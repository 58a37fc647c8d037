"""A bell over the code indices."""

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors.base import Prior


class GaussianPrior(Prior):
    """A normal distribution over the code index, centred in the codebook.

    Args:
        width: standard deviation as a share of the codebook (0.25: a quarter of the codes), at
            least 0.01 so that no code becomes impossible in float32.
    """

    def __init__(self, width: float = 0.25) -> None:
        if not width >= 0.01:
            raise RegvqError(f"a Gaussian prior needs a width of at least 0.01, not {width}")
        self.width = width

    def log_prob(self, codebook_size: int) -> Tensor:
        index = torch.arange(codebook_size, dtype=torch.float64)
        offset = (index - (codebook_size - 1) / 2) / (self.width * codebook_size)
        return (-offset.square() / 2).log_softmax(0).float()
