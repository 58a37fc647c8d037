"""Straight-through forms: what gradient a discrete choice gets."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.quantizers.collectives import sum_over_ranks
from regvq.quantizers.functional import (
    balanced_straight_through,
    identity_straight_through,
    mean_squared_error,
    rotation_straight_through,
)


class StraightThrough(nn.Module, Configurable, ABC):
    """The chosen embeddings, with a gradient.

    Args:
        commitment: weight of ``|h - sg(e)|^2`` per element, which keeps latents near their best
            match (VQ-VAE, eq. 3).
    """

    needs_softmax: bool = False
    """Whether the gradient goes through the softmax over the codes."""

    def __init__(self, commitment: float) -> None:
        super().__init__()
        if not commitment >= 0:
            raise RegvqError(f"commitment must not be negative, not {commitment}")
        self.commitment = commitment

    @abstractmethod
    def forward(self, latents: Tensor, chosen: Tensor, best: Tensor, expected: Tensor | None) -> Tensor:
        """The value of ``chosen`` with this form's gradient.

        Args:
            latents: ``[M, D]``, in the space of the codes.
            chosen: ``[M, D]``, embeddings of the chosen codes.
            best: ``[M, D]``, embeddings of the codes chosen without sampling.
            expected: zeros ``[M, D]`` with the gradient of the expected embeddings under the softmax that
                chose; may be ``None`` where ``needs_softmax`` is false.
        """

    def losses(self, latents: Tensor, best: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Return the commitment of the ``valid`` [M] latents to their best embeddings, both [M, D]."""
        if self.commitment == 0:
            return {}
        return {"commitment": self.commitment * mean_squared_error(latents, best.detach(), valid)}


class IdentityStraightThrough(StraightThrough):
    """The decoder's gradient is copied to the encoder (VQ-VAE, section 3.2)."""

    def __init__(self, commitment: float = 0.25) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, best: Tensor, expected: Tensor | None) -> Tensor:
        return identity_straight_through(latents, chosen)


class BalancedStraightThrough(StraightThrough):
    """The decoder's gradient is copied to the encoder, with a commitment in proportion to it.

    The gradient of a latent h with best match e is ``g + commitment * |g| / |h - e| * (h - e)``, where the
    norms are over all tokens of the batch, while training over those of all ranks. So ``commitment`` means
    the same for latents of any scale and for losses of any unit: a commitment loss of fixed weight is
    drowned by the decoder's gradient where latents are small, and drowns it, until all latents are one,
    where they are large.

    It is no loss: ``losses`` are empty, and it follows the scale of a gradient scaler.

    Args:
        commitment: norm of the pull over the norm of the decoder's gradient. From about 0.5 on latents end
            on their codes and learn no more.
    """

    def __init__(self, commitment: float = 0.2) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, best: Tensor, expected: Tensor | None) -> Tensor:
        total = sum_over_ranks if self.training else Tensor.detach
        return balanced_straight_through(latents, chosen, best, self.commitment, total)

    def losses(self, latents: Tensor, best: Tensor, valid: Tensor) -> dict[str, Tensor]:
        return {}


class RotationStraightThrough(StraightThrough):
    """The gradient is rotated and scaled as the latent was (Fifty et al., 2024)."""

    def __init__(self, commitment: float = 0.25) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, best: Tensor, expected: Tensor | None) -> Tensor:
        return rotation_straight_through(latents, chosen)


class SoftmaxStraightThrough(StraightThrough):
    """The gradient of the expected embedding under the softmax (the paper's form)."""

    needs_softmax = True

    def __init__(self, commitment: float = 0.0) -> None:
        super().__init__(commitment)

    def forward(self, latents: Tensor, chosen: Tensor, best: Tensor, expected: Tensor | None) -> Tensor:
        assert expected is not None  # it needs the softmax, and says so
        return chosen + expected
