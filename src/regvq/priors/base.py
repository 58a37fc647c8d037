"""What a prior is."""

from abc import ABC, abstractmethod

from torch import Tensor

from regvq.configurable import Configurable


class Prior(Configurable, ABC):
    """A fixed distribution over the code indices that the tokens are drawn towards."""

    @abstractmethod
    def log_prob(self, codebook_size: int) -> Tensor:
        """Log-probability of every code: ``[N]`` float32 on the CPU, finite, normalised, pure."""
