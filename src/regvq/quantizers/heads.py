"""Heads: how a latent becomes a distribution over the codes."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers.collectives import sum_over_ranks
from regvq.quantizers.functional import cosine_scores, euclidean_scores, squared_distance
from regvq.quantizers.scores import Scores


class Head(nn.Module, Configurable, ABC):
    """Latents and codes to logits.

    A head is built without sizes; the quantizer that owns it calls ``bind`` once.
    """

    tied: bool = True
    """Whether the logits depend on the codebook."""

    def bind(self, codebook_size: int, dim: int) -> None:
        """Creates what depends on the sizes. Most heads have nothing to create."""

    def project(self, vectors: Tensor) -> Tensor:
        """Latents or codes [M, D] in the space in which both are compared; the identity here."""
        return vectors

    @abstractmethod
    def forward(self, latents: Tensor, codes: Tensor) -> Scores:
        """The logits of projected ``latents`` [M, D] and projected ``codes`` [N, D]."""

    def observe(self, latents: Tensor, best: Tensor, valid: Tensor) -> None:
        """See every training batch: projected latents and their best embeddings, both [M, D].

        Args:
            latents: detached.
            best: detached.
            valid: ``[M]`` bool, the tokens that count.
        """


class EuclideanHead(Head):
    """``-|h - e|^2 / (2 s^2)``: the nearest code is the likeliest (the E-step of a Gaussian mixture).

    ``s^2`` is the running mean squared quantization error per dimension, so that the softmax is as
    wide as the codes' own uncertainty, whatever the scale of the latents.

    Args:
        decay: of the running mean, in [0, 1).
    """

    variance: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise RegvqError(f"a Euclidean head's decay must be in [0, 1), not {decay}")
        self.decay = decay
        self.register_buffer("variance", torch.zeros((), dtype=torch.float32))

    def forward(self, latents: Tensor, codes: Tensor) -> Scores:
        # Zero before the first batch; the tiny floor only keeps the division finite.
        variance = self.variance.float()
        variance = torch.where(variance > 0, variance, 1.0).clamp_min(1e-12)
        return euclidean_scores(latents, codes, variance)

    @torch.no_grad()
    def observe(self, latents: Tensor, best: Tensor, valid: Tensor) -> None:
        error = torch.where(valid, squared_distance(latents, best), 0.0).sum()
        error, tokens = sum_over_ranks(torch.stack([error, valid.sum().float()]))
        current = error / (tokens.clamp_min(1) * latents.shape[1])
        mixed = torch.where(self.variance > 0, self.variance.lerp(current, 1 - self.decay), current)
        self.variance.copy_(torch.where(tokens > 0, mixed, self.variance))


class CosineHead(Head):
    """``scale * cos(h, e)``: latents and codes live on the unit sphere.

    Args:
        scale: the logits' range at the start. Positive.
        learnable: whether the scale is trained (as its logarithm, so that it stays positive).
    """

    log_scale: Tensor

    def __init__(self, scale: float = 10.0, learnable: bool = True) -> None:
        super().__init__()
        if not scale > 0:
            raise RegvqError(f"a cosine head's scale must be positive, not {scale}")
        start = torch.tensor(math.log(scale))
        if learnable:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def project(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1)

    def forward(self, latents: Tensor, codes: Tensor) -> Scores:
        return cosine_scores(latents, codes, self.log_scale.float().exp())


class LinearHead(Head):
    """A 1x1 convolution to one logit a code; the codebook is free of it (the paper's reading).

    Args:
        scale: multiplies the initial weights (1: torch's own initialisation).
    """

    tied = False

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def bind(self, codebook_size: int, dim: int) -> None:
        self.linear = nn.Linear(dim, codebook_size)
        with torch.no_grad():
            self.linear.weight.mul_(self.scale)

    def forward(self, latents: Tensor, codes: Tensor) -> Scores:
        return Scores(latents, self.linear.weight.float(), self.linear.bias.float())
