"""A quantizer put together from a head, a codebook and a straight-through form."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from regvq.quantizers.base import Quantizer
from regvq.quantizers.codebooks import Codebook
from regvq.quantizers.functional import squared_distance
from regvq.quantizers.heads import Head
from regvq.quantizers.step_counter import StepCounter
from regvq.quantizers.straight_through import StraightThrough
from regvq.types import QuantizerOutput


@dataclass(frozen=True)
class Choice:
    """Which code each of ``M = B * L`` tokens took.

    Attributes:
        codes: ``[B, L]``, the chosen ones.
        best_codes: ``[B, L]``, the argmax of the logits.
        posterior: ``[M, N]`` with gradient: the softmax the choice is an argmax of, or an empty
            tensor where nobody needs it.
        losses: weighted terms that come with the way of choosing.
        stats: raw values for logging.
        mask: ``[B, L]`` bool, the sampled locations, or ``None``.
    """

    codes: Tensor
    best_codes: Tensor
    posterior: Tensor
    losses: dict[str, Tensor]
    stats: dict[str, Tensor]
    mask: Tensor | None = None


class ComposedQuantizer(Quantizer):
    """Head, codebook learning and straight-through are injected; ``choose`` may be overridden.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        head: latents to logits.
        codebook: how the embeddings learn.
        straight_through: the gradient of the choice.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        head: Head,
        codebook: Codebook,
        straight_through: StraightThrough,
    ) -> None:
        super().__init__(codebook_size, dim)
        head.bind(codebook_size, dim)
        codebook.bind(codebook_size, dim)
        self.head = head
        self.embeddings = codebook
        self.straight_through = straight_through
        self.steps = StepCounter()

    @property
    def codebook(self) -> Tensor:
        return self.head.project(self.embeddings.vectors())

    def logits(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.head.project(tokens), self.codebook)
        return logits

    def choose(self, logits: Tensor, batch: int) -> Choice:
        """Picks a code for each row of ``logits`` [M, N], ``M = batch * L``: here the best match."""
        best = logits.argmax(1).view(batch, -1)
        posterior = logits.softmax(1) if self.straight_through.needs_posterior else logits[:0]
        return Choice(codes=best, best_codes=best, posterior=posterior, losses={}, stats={})

    def quantize(self, tokens: Tensor) -> QuantizerOutput:
        latents = self.head.project(tokens.flatten(0, 1))
        if self.training and self.steps.value == 0:
            self.embeddings.start(latents.detach())
        codes = self.codebook
        choice = self.choose(self.head(latents, codes), len(tokens))
        best = F.embedding(choice.best_codes.flatten(), codes)
        chosen = best if choice.mask is None else F.embedding(choice.codes.flatten(), codes)
        quantized = self.straight_through(latents, chosen, choice.posterior, codes)
        losses = {
            **self.straight_through.losses(latents, best),
            **self.embeddings.losses(latents, best),
            **choice.losses,
        }
        perturbation = None
        if choice.mask is not None:
            perturbation = squared_distance(chosen, best).detach().view(len(tokens), -1)
        if self.training:
            self.steps.value += 1
            self.head.observe(latents.detach(), best.detach())
            self.embeddings.update(latents.detach(), choice.best_codes.flatten())
        return QuantizerOutput(
            quantized=quantized.view_as(tokens),
            codes=choice.codes,
            best_codes=choice.best_codes,
            stochastic_mask=choice.mask,
            perturbation=perturbation,
            losses=losses,
            stats=choice.stats,
        )
