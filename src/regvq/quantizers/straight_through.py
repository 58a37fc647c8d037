"""Straight-through forms: what gradient a discrete choice gets."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers.functional import (
    identity_straight_through,
    rotation_straight_through,
    softmax_straight_through,
)


class StraightThrough(nn.Module, Configurable, ABC):
    """The chosen embeddings, with a gradient.

    Args:
        commitment: weight of ``|h - sg(e)|^2`` per element, which keeps latents near their best
            match (VQ-VAE, eq. 3).
    """

    needs_posterior: bool = False
    """Whether the softmax over the codes is used."""

    def __init__(self, commitment: float) -> None:
        super().__init__()
        if not commitment >= 0:
            raise RegvqError(f"commitment must not be negative, not {commitment}")
        self.commitment = commitment

    @abstractmethod
    def forward(self, latents: Tensor, chosen: Tensor, posterior: Tensor, codes: Tensor) -> Tensor:
        """The value of ``chosen`` with this form's gradient.

        Args:
            latents: ``[M, D]``, in the space of the codes.
            chosen: ``[M, D]``, embeddings of the chosen codes.
            posterior: ``[M, N]``, the softmax that chose; empty where ``needs_posterior`` is false.
            codes: ``[N, D]``, the codebook.
        """

    def losses(self, latents: Tensor, best: Tensor) -> dict[str, Tensor]:
        """The commitment of latents to their best embeddings (both [M, D])."""
        if self.commitment == 0:
            return {}
        return {"commitment": self.commitment * F.mse_loss(latents, best.detach())}


class IdentityStraightThrough(StraightThrough):
    """The decoder's gradient is copied to the encoder (VQ-VAE, section 3.2)."""

    def __init__(self, commitment: float = 0.25) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, posterior: Tensor, codes: Tensor) -> Tensor:
        return identity_straight_through(latents, chosen)


class RotationStraightThrough(StraightThrough):
    """The gradient is rotated and scaled as the latent was (Fifty et al., 2024)."""

    def __init__(self, commitment: float = 0.25) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, posterior: Tensor, codes: Tensor) -> Tensor:
        return rotation_straight_through(latents, chosen)


class SoftmaxStraightThrough(StraightThrough):
    """The gradient of the expected embedding under the softmax (the paper's form)."""

    needs_posterior = True

    def __init__(self, commitment: float = 0.0) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, posterior: Tensor, codes: Tensor) -> Tensor:
        return softmax_straight_through(chosen, posterior, codes)
