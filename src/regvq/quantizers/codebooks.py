"""Codebook learning: how the embeddings come to lie where the latents are."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers.collectives import from_first_rank, gather_rows, sum_over_ranks
from regvq.quantizers.functional import mean_squared_error, token_counts
from regvq.ranks import world_size

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
            bound = 1 / codebook_size
            return torch.empty(codebook_size, dim, dtype=torch.float32).uniform_(-bound, bound)
        return torch.randn(codebook_size, dim, dtype=torch.float32)

    @abstractmethod
    def bind(self, codebook_size: int, dim: int) -> None:
        """Creates ``weight``."""

    def vectors(self) -> Tensor:
        """The embeddings as a training step reads them: ``[N, D]`` float32, whatever they are kept in."""
        return self.weight.float()

    @torch.no_grad()
    def start(self, latents: Tensor, valid: Tensor) -> None:
        """See the first training batch before it is quantized.

        Args:
            latents: ``[M, D]``, detached.
            valid: ``[M]`` bool, those that count.
        """
        if self.init == "data":
            fresh, distinct = random_latents(latents, valid, len(self.weight))
            self.weight.copy_(torch.where(distinct > 0, fresh, self.weight))

    def losses(self, latents: Tensor, best: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Return terms that move the embeddings towards the ``valid`` latents (both [M, D])."""
        return {}

    def update(self, latents: Tensor, codes: Tensor, valid: Tensor, batches: int) -> Tensor | None:
        """Learn without gradient from a training batch; nothing to do by default.

        Args:
            latents: ``[M, D]``, detached.
            codes: ``[M]``, which they were given.
            valid: ``[M]`` bool, those that count.
            batches: training batches before this one.

        Returns:
            ``[N]`` bool, the codes that were put elsewhere, or ``None`` where codes never are.
        """
        return None


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

    def losses(self, latents: Tensor, best: Tensor, valid: Tensor) -> dict[str, Tensor]:
        if self.loss_weight == 0:
            return {}
        return {"codebook": self.loss_weight * mean_squared_error(best, latents.detach(), valid)}


class EMACodebook(Codebook):
    """Embeddings are running means of the latents they were given (VQ-VAE, appendix A.1).

    A code whose running count falls below ``restart`` times the mean count is dead: it is put on a
    random latent of the batch (Jukebox, section 3.1).

    Args:
        decay: of the running sums, in [0, 1).
        restart: share of the mean count under which a code is dead, 0 for never.
        init: see ``Codebook``.
        memory: makes the running sums short at first. They span the steps in which each code gets about
            ``memory`` tokens, whatever the batch, but from 10 to 20; then a twentieth of all steps so far,
            until that is what ``decay`` spans. At least 1; ``None`` for ``decay`` throughout.

    Raises:
        RegvqError: an argument is out of its range.
    """

    count: Tensor
    total: Tensor
    moved: Tensor
    """``[N]`` bool: codes put elsewhere since whoever averages the codebook has last looked."""

    def __init__(
        self,
        decay: float = 0.99,
        restart: float = 0.5,
        init: Initialisation = "data",
        memory: float | None = None,
    ) -> None:
        super().__init__(init)
        if not (0 <= decay < 1 and restart >= 0 and (memory is None or memory >= 1)):
            raise RegvqError(
                f"decay in [0, 1), restart >= 0 and memory >= 1, not {decay}, {restart} and {memory}"
            )
        self.decay, self.restart, self.memory = decay, restart, memory

    def bind(self, codebook_size: int, dim: int) -> None:
        weight = self.initial(codebook_size, dim)
        self.register_buffer("weight", weight)
        self.register_buffer("count", torch.ones(codebook_size, dtype=torch.float32))
        self.register_buffer("total", weight.clone())
        self.register_buffer("moved", torch.zeros(codebook_size, dtype=torch.bool), persistent=False)

    @torch.no_grad()
    def derive(self, trained: "EMACodebook") -> None:
        """Recompute the vectors from sums and counts that are averages of those of ``trained``.

        Of a code that was put elsewhere an average would lie between the two places: it is copied.
        """
        moved = trained.moved
        self.count.copy_(torch.where(moved, trained.count, self.count))
        self.total.copy_(torch.where(moved[:, None], trained.total, self.total))
        trained.moved.zero_()
        self.weight.copy_(self.total / self.count.clamp_min(1e-6)[:, None])

    def vectors(self) -> Tensor:
        # update() writes in place before backward reads: the graph keeps a copy.
        return self.weight.float().clone() if self.training else self.weight.float()

    @torch.no_grad()
    def start(self, latents: Tensor, valid: Tensor) -> None:
        super().start(latents, valid)
        # Every code starts with the share of the tokens it would have were all alike; where the batch has
        # fewer tokens than there are codes, the others are dead and start on the batches that follow.
        tokens = sum_over_ranks(valid.sum().float())
        started = torch.arange(len(self.weight), device=tokens.device) < (
            tokens if self.init == "data" else len(self.weight)
        )
        self.count.copy_(torch.where(started, tokens / len(self.weight), 0.0))
        self.total.copy_(self.weight * self.count[:, None])

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, valid: Tensor, batches: int) -> Tensor | None:
        batch_count = sum_over_ranks(token_counts(codes, len(self.weight), valid))
        latents = torch.where(valid[:, None], latents, 0.0)
        batch_total = sum_over_ranks(torch.zeros_like(self.total).index_add_(0, codes, latents))
        weight = self._weight_of(len(latents) * world_size(), batches)
        self.count.lerp_(batch_count, weight)
        self.total.lerp_(batch_total, weight)
        # A code that has had no tokens for very long keeps its place: a mean of nothing is none.
        mean = self.total / self.count.clamp_min(1e-6)[:, None]
        self.weight.copy_(torch.where(self.count[:, None] > 1e-6, mean, self.weight))
        return self._restart_dead(latents, valid) if self.restart > 0 else None

    def _weight_of(self, tokens: int, batches: int) -> float:
        """What a step of ``tokens`` weighs in the running sums after ``batches`` steps."""
        if self.memory is None:
            return 1 - self.decay
        steps = self.memory * len(self.weight) / max(tokens, 1)
        steps = max(min(max(steps, 10.0), 20.0), batches / 20)
        return max(1 / steps, 1 - self.decay)

    def _restart_dead(self, latents: Tensor, valid: Tensor) -> Tensor:
        mean = self.count.mean()
        dead = self.count < self.restart * mean
        fresh, distinct = random_latents(latents, valid, len(self.weight))
        # Two codes on one latent would share its tokens: what finds no latent waits for a later batch. The
        # line begins somewhere else every time, or its end would wait for ever.
        places = torch.arange(len(dead), device=dead.device)
        first = from_first_rank(torch.randint(len(dead), (1,), device=dead.device))
        line = (places + first) % len(dead)
        turn = torch.empty_like(places).index_copy_(0, line, dead[line].cumsum(0) - 1)
        dead &= turn < distinct
        fresh = fresh[turn.clamp_min(0)]
        # With the least count of the living: one that gets no token is put elsewhere in the next step.
        self.count.copy_(torch.where(dead, self.restart * mean, self.count))
        self.weight.copy_(torch.where(dead[:, None], fresh, self.weight))
        self.moved |= dead
        self.total.copy_(self.weight * self.count[:, None])
        return dead


def random_latents(latents: Tensor, valid: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Draw latents of all ranks, the same on every rank.

    Args:
        latents: ``[M, D]`` on each rank, the same M.
        valid: ``[M]`` bool, those that may be drawn.
        number: how many.

    Returns:
        ``[number, D]``, no latent twice as long as there are others, then again from the first; and how
        many are distinct, a scalar.
    """
    rows = gather_rows(torch.cat([latents.detach(), valid[:, None].to(latents)], dim=1))
    rows, drawable = rows[:, :-1], rows[:, -1] > 0
    if not len(rows):
        return latents.new_zeros(number, latents.shape[1]), drawable.sum()
    keys = from_first_rank(torch.rand(len(rows), device=rows.device, dtype=torch.float32))
    order = (keys + 2.0 * ~drawable).argsort()
    available = drawable.sum()
    turns = torch.arange(number, device=rows.device) % available.clamp_min(1)
    return rows[order[turns]], available.clamp_max(number)
