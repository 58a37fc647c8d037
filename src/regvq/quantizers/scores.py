"""Logits as the factors that they are made of."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """The logits of ``M`` tokens for ``N`` codes: ``latents @ weight.T + bias + offset``, float32.

    All heads have this form, so that whoever has to go over all codes can do it tile by tile.

    Attributes:
        latents: ``[M, D]``.
        weight: ``[N, D]``.
        bias: ``[N]``, or zero.
        offset: ``[M]``, or zero: what all codes of a token share, which changes neither the best one nor
            the softmax.
    """

    latents: Tensor
    weight: Tensor
    bias: Tensor | None = None
    offset: Tensor | None = None

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def codebook_size(self) -> int:
        """Number of codes N."""
        return len(self.weight)

    def logits(self) -> Tensor:
        """All of them: ``[M, N]``, with gradient."""
        logits = torch.nn.functional.linear(self.latents, self.weight, self.bias)
        return logits if self.offset is None else logits + self.offset[:, None]

    def divided_by(self, temperature: float | Tensor) -> "Scores":
        """The logits over a temperature, a number or a scalar of their device."""
        return Scores(
            self.latents,
            self.weight / temperature,
            None if self.bias is None else self.bias / temperature,
            None if self.offset is None else self.offset / temperature,
        )
