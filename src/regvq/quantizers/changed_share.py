"""How far masked places sample, told as the share of their tokens that change."""

import math

import torch
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError

_EARLY, _OFTEN, _SELDOM = 200, 10, 50
"""Batches in which the temperature is corrected often, and how often then and later: a look at what the
device has counted makes the host wait for it."""
_GAIN = 4.0
"""Change of the logarithm of the temperature for an error of 1 in the share."""
_WIDEST = 1e4


class ChangedShare(nn.Module, Configurable):
    """A sampling temperature that holds the share of sampled tokens which differ from the best match.

    At temperature 1 (the paper's) that share depends on the dimension of the codes, on their number and on
    the
    head: from next to none to nearly all. The share itself means the same everywhere.

    Args:
        share: in (0, 1).

    Raises:
        RegvqError: the share is not in (0, 1).
    """

    training_only = True
    """Saved models are written without it."""

    counted: Tensor

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise RegvqError(f"a changed share must be in (0, 1), not {share}")
        self.share = share
        self.temperature = 1.0
        """The present one, a number of the host."""
        self.batches = 0
        self.register_buffer("counted", torch.zeros(2, dtype=torch.float32))

    @torch.no_grad()
    def update(self, changed: Tensor, sampled: Tensor) -> None:
        """Take in how many tokens a step sampled and how many of them changed: scalars, of all ranks."""
        self.counted += torch.stack([changed, sampled])
        self.batches += 1
        if self.batches % (_OFTEN if self.batches <= _EARLY else _SELDOM):
            return
        changed_now, sampled_now = self.counted.tolist()
        self.counted.zero_()
        if sampled_now > 0:
            error = self.share - changed_now / sampled_now
            wider = self.temperature * math.exp(_GAIN * error)
            # Where the share is out of reach (one code, equal codes) the temperature stays a number.
            self.temperature = min(max(wider, 1 / _WIDEST), _WIDEST)

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.temperature, self.batches], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        self.temperature, self.batches = float(state[0]), int(state[1])
