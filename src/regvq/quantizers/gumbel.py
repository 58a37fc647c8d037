"""Gumbel-softmax quantization."""

import math

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.codebooks import GradientCodebook, Initialisation
from regvq.quantizers.composed import Choice, ComposedQuantizer
from regvq.quantizers.functional import expected_gradient, gumbel_noise
from regvq.quantizers.heads import Head, LinearHead
from regvq.quantizers.scores import Scores
from regvq.quantizers.straight_through import SoftmaxStraightThrough
from regvq.schedules import Schedule, bounded_schedule


class GumbelQuantizer(ComposedQuantizer):
    """Every token is sampled by the Gumbel trick while training (dVAE, Gumbel VQ-GAN).

    Jang et al., "Categorical Reparameterization with Gumbel-Softmax", 2017; the KL term to a uniform
    posterior per token and the annealed temperature as in Ramesh et al., "DALL-E", 2021. The forward
    value is the hard sample, the gradient that of the soft one.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        temperature: of the softmax in the backward pass; a number or a schedule over training steps.
        kl_weight: weight of the mean KL between a token's posterior and the uniform distribution.
        head: latents to logits; a linear head if none is given.
        init: how the embeddings start, see ``Codebook``.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        temperature: float | Schedule = 1.0,
        kl_weight: float = 5e-4,
        head: Head | None = None,
        init: Initialisation = "normal",
    ) -> None:
        head = head or LinearHead()
        super().__init__(
            codebook_size,
            dim,
            head=head,
            codebook=GradientCodebook(loss_weight=0.0, init=init),
            straight_through=SoftmaxStraightThrough(),
        )
        self.resolve_init_args(head=head)
        self.temperature = bounded_schedule("temperature", temperature, low=1e-6)
        if not kl_weight >= 0:
            raise RegvqError(f"kl_weight must not be negative, not {kl_weight}")
        self.kl_weight = kl_weight

    def choose(self, scores: Scores, codes: Tensor, valid: Tensor) -> Choice:
        # The KL of every token's own posterior needs the whole matrix anyway.
        logits = scores.logits()
        best = logits.argmax(1).view(valid.shape)
        log_posterior = logits.log_softmax(1)
        kl = (log_posterior.exp() * log_posterior).sum(1) + math.log(self.codebook_size)
        kl = torch.where(valid.flatten(), kl, 0.0).sum() / valid.sum().clamp_min(1)
        chosen, noisy = best, logits
        if self.training:
            noisy = logits + gumbel_noise(logits)
            chosen = noisy.argmax(1).view(valid.shape)
        temperature = self.temperature(self.steps.value)
        return Choice(
            codes=chosen,
            best_codes=best,
            noiseless=best,
            expected=expected_gradient((noisy / temperature).softmax(1), codes),
            losses={"kl": self.kl_weight * kl},
            stats={"token_kl": kl.detach()},
            mask=torch.ones_like(chosen, dtype=torch.bool) if self.training else None,
        )
