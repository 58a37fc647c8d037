"""Running means of a model's weights (EMA)."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from regvq.errors import RegvqError
from regvq.quantizers import EMACodebook
from regvq.quantizers.peers import PeerVQ
from regvq.quantizers.step_counter import StepCounter
from regvq.training.sharding import own_part


class AveragedModel(nn.Module):
    """A second model whose weights follow those of the trained one.

    It is a module, so that it travels in checkpoints and moves between devices with its owner; its
    parameters take no gradient. Only the model is averaged, not a discriminator.

    The buffers are averaged too, so that codebook and encoder lag equally. An EMA codebook's vectors
    are derived from the averaged sums and counts, and a code that was restarted is copied. Step counters,
    and whatever else is no floating-point number, are copied.

    Args:
        model: the one that is trained; it is copied.
        decay: in [0, 1). In the first steps ``(1 + n) / (10 + n)`` if that is less, so that the mean
            soon forgets the random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise RegvqError(f"ema_decay must be in [0, 1), not {decay}")
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.updates = StepCounter()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes in the weights after an optimizer step. The first one is copied."""
        count = self.updates.value
        decay = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        averaging: Any = get_ema_multi_avg_fn  # torch leaves it untyped
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        averaging(decay)([mine for mine, _ in floating], [theirs for _, theirs in floating], count)
        for mine, theirs in pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)
        for own, trained in zip(self.model.modules(), model.modules(), strict=True):
            if isinstance(own, EMACodebook) and isinstance(trained, EMACodebook):
                own.derive(trained)
            if isinstance(own, PeerVQ):
                own.derive()
            if isinstance(own, StepCounter) and isinstance(trained, StepCounter):
                own.value = trained.value
        self.updates.value += 1

    def train(self, mode: bool = True) -> "AveragedModel":
        """Stays in eval mode: this model is only looked at."""
        return super().train(False)


def _tensors(module: nn.Module) -> list[Tensor]:
    """What this process holds of a model."""
    return [*(own_part(value.detach()) for value in module.parameters()), *module.buffers()]
