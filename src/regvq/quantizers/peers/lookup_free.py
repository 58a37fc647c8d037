"""The library's lookup-free quantization."""

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.peers.base import PeerQuantizer, library
from regvq.quantizers.peers.projections import projected


class PeerLFQ(PeerQuantizer):
    """``LFQ``: the signs of log2 N numbers, kept certain and even by an entropy loss.

    Yu et al., "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation", ICLR 2024.

    Args:
        codebook_size: number of codes N, a power of two.
        dim: channels D of the latents.
        entropy_weight: of the entropy loss.
        diversity: of its second half, which wants all codes used.
        commitment: weight of the pull of numbers to their signs.

    Raises:
        RegvqError: vector-quantize-pytorch is not installed; the number of codes is no power of two.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        entropy_weight: float = 0.1,
        diversity: float = 1.0,
        commitment: float = 0.25,
    ) -> None:
        if codebook_size < 2 or codebook_size & (codebook_size - 1):
            raise RegvqError(f"LFQ has a power of two of codes, at least 2, not {codebook_size}")
        super().__init__(
            codebook_size,
            dim,
            lambda: library("LFQ")(
                dim=dim,
                codebook_size=codebook_size,
                entropy_loss_weight=entropy_weight,
                diversity_gamma=diversity,
                commitment_loss_weight=commitment,
            ),
        )

    @property
    def codebook(self) -> Tensor:
        """Every combination of signs, projected to the latents' channels."""
        return projected(self.peer.project_out, self._signs())

    def logits(self, tokens: Tensor) -> Tensor:
        """The sum of the numbers with the signs of a code."""
        return projected(self.peer.project_in, tokens) @ self._signs().T

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        quantized, codes, loss = self.peer(tokens)
        return quantized, codes, {"entropy": loss}

    def _signs(self) -> Tensor:
        signs: Tensor = self.peer.codebook
        return torch.sign(signs.float())
