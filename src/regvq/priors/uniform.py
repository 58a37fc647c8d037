"""The paper's prior."""

import math

import torch
from torch import Tensor

from regvq.priors.base import Prior


class UniformPrior(Prior):
    """Every code equally likely (paper, section 3.2): the prior that leaves no code idle."""

    def log_prob(self, codebook_size: int) -> Tensor:
        return torch.full((codebook_size,), -math.log(codebook_size))
