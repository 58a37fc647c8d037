"""Codebook learning: how the embeddings come to lie where the latents are."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers.collectives import from_first_rank, gather_rows, sum_over_ranks
from regvq.quantizers.functional import token_counts

Initialisation = Literal["uniform", "normal", "data"]


class Codebook(nn.Module, Configurable, ABC):
    """The embeddings ``weight`` [N, D] and their way of learning.

    A codebook is built without sizes; the quantizer that owns it calls ``bind`` once.

    Args:
        init: ``uniform`` in [-1/N, 1/N] (VQ-VAE's), ``normal`` with unit variance, or ``data``:
            latents of the first training batch, drawn at random.
    """

    weight: Tensor

    def __init__(self, init: Initialisation) -> None:
        super().__init__()
        if init not in ("uniform", "normal", "data"):
            raise RegvqError(f"init must be 'uniform', 'normal' or 'data', not {init!r}")
        self.init = init

    def initial(self, codebook_size: int, dim: int) -> Tensor:
        """The embeddings before the first batch: ``[N, D]``."""
        if self.init == "uniform":
            return torch.empty(codebook_size, dim).uniform_(-1 / codebook_size, 1 / codebook_size)
        return torch.randn(codebook_size, dim)

    @abstractmethod
    def bind(self, codebook_size: int, dim: int) -> None:
        """Creates ``weight``."""

    def vectors(self) -> Tensor:
        """The embeddings as a training step reads them: ``[N, D]`` float32, whatever they are kept in."""
        return self.weight.float()

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """Sees the latents [M, D] of the first training batch, before they are quantized."""
        if self.init == "data":
            self.weight.copy_(random_latents(latents, len(self.weight)))

    def losses(self, latents: Tensor, best: Tensor) -> dict[str, Tensor]:
        """Terms that move the embeddings towards the latents (both [M, D])."""
        return {}

    def update(self, latents: Tensor, codes: Tensor) -> None:
        """Learns without gradient from latents [M, D] and the codes [M] they were given."""


class GradientCodebook(Codebook):
    """Embeddings are parameters.

    Args:
        loss_weight: of ``|sg(h) - e|^2`` per element (VQ-VAE, eq. 3); zero where the straight-through
            form itself carries the gradient to the embeddings.
        init: see ``Codebook``.
    """

    def __init__(self, loss_weight: float = 1.0, init: Initialisation = "uniform") -> None:
        super().__init__(init)
        if not loss_weight >= 0:
            raise RegvqError(f"the codebook's loss_weight must not be negative, not {loss_weight}")
        self.loss_weight = loss_weight

    def bind(self, codebook_size: int, dim: int) -> None:
        self.weight = nn.Parameter(self.initial(codebook_size, dim))

    def losses(self, latents: Tensor, best: Tensor) -> dict[str, Tensor]:
        if self.loss_weight == 0:
            return {}
        return {"codebook": self.loss_weight * F.mse_loss(best, latents.detach())}


class EMACodebook(Codebook):
    """Embeddings are running means of the latents they were given (VQ-VAE, appendix A.1).

    A code whose running count falls below ``restart`` times the mean count is dead: it is put on a
    random latent of the batch (Jukebox, section 3.1).

    Args:
        decay: of the running sums, in [0, 1).
        restart: share of the mean count under which a code is dead, 0 for never.
        init: see ``Codebook``.
    """

    count: Tensor
    total: Tensor

    def __init__(self, decay: float = 0.99, restart: float = 0.5, init: Initialisation = "data") -> None:
        super().__init__(init)
        if not (0 <= decay < 1 and restart >= 0):
            raise RegvqError(f"decay in [0, 1) and restart >= 0, not {decay} and {restart}")
        self.decay, self.restart = decay, restart

    def bind(self, codebook_size: int, dim: int) -> None:
        weight = self.initial(codebook_size, dim)
        self.register_buffer("weight", weight)
        self.register_buffer("count", torch.ones(codebook_size))
        self.register_buffer("total", weight.clone())

    @torch.no_grad()
    def derive(self) -> None:
        """Makes the vectors what the running sums and counts say, after these were changed from outside."""
        self.weight.copy_(self.total / self.count.clamp_min(1e-6)[:, None])

    def vectors(self) -> Tensor:
        # update() writes in place before backward reads: the graph keeps a copy.
        return self.weight.float().clone() if self.training else self.weight.float()

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        super().start(latents)
        # Every code starts with the share of the tokens it would have were all alike.
        tokens = sum_over_ranks(latents.new_tensor(float(len(latents))))
        self.count.copy_(tokens / len(self.weight))
        self.total.copy_(self.weight * self.count[:, None])

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor) -> None:
        batch_count = sum_over_ranks(token_counts(codes, len(self.weight)))
        batch_total = torch.zeros_like(self.total).index_add_(0, codes, latents)
        batch_total = sum_over_ranks(batch_total)
        self.count.lerp_(batch_count, 1 - self.decay)
        self.total.lerp_(batch_total, 1 - self.decay)
        # A code that has had no tokens for very long keeps its place: a mean of nothing is none.
        mean = self.total / self.count.clamp_min(1e-6)[:, None]
        self.weight.copy_(torch.where(self.count[:, None] > 1e-6, mean, self.weight))
        if self.restart > 0:
            self._restart_dead(latents)

    def _restart_dead(self, latents: Tensor) -> None:
        mean = self.count.mean()
        dead = self.count < self.restart * mean
        fresh = random_latents(latents, len(self.weight))
        # A newborn has the mean count: it gets time to find its own tokens.
        self.count.copy_(torch.where(dead, mean, self.count))
        self.weight.copy_(torch.where(dead[:, None], fresh, self.weight))
        self.total.copy_(self.weight * self.count[:, None])


def random_latents(latents: Tensor, number: int) -> Tensor:
    """``number`` latents drawn from those of all ranks ([M, D] on each), the same on every rank."""
    rows = gather_rows(latents.detach())
    if len(rows) >= number:
        chosen = torch.randperm(len(rows), device=rows.device)[:number]
    else:
        chosen = torch.randint(len(rows), (number,), device=rows.device)
    return rows[from_first_rank(chosen)]
