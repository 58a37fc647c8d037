"""Lookup-free quantization of vector-quantize-pytorch."""

import importlib
from typing import Any

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.collectives import sum_over_ranks
from regvq.quantizers.peers.base import PeerQuantizer, library
from regvq.quantizers.peers.projections import projected
from regvq.ranks import world_size

# The package's own: of the softmax over the codes, and under the logarithm.
_INVERSE_TEMPERATURE = 100.0
_LEAST = 1e-5


class PeerLFQ(PeerQuantizer):
    """``LFQ``: the signs of log2 N numbers, kept certain and even by an entropy loss.

    Yu et al., "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation", ICLR 2024.

    With several ranks the package divides its mean probabilities by the number of ranks without having
    summed them. There the entropy of the codes is computed here, of the tokens of all ranks.

    Args:
        codebook_size: number of codes N, a power of two.
        dim: channels D of the latents.
        entropy_weight: of the entropy loss.
        diversity: of its second half, which wants all codes used.
        commitment: weight of the pull of numbers to their signs.

    Raises:
        RegvqError: vector-quantize-pytorch is not installed; the number of codes is no power of two.
    """

    moves_in_place = False

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
        self.entropy_weight, self.diversity, self.commitment = entropy_weight, diversity, commitment

    @property
    def codebook(self) -> Tensor:
        """Every combination of signs, projected to the latents' channels."""
        return projected(self.peer.project_out, self._signs())

    def logits(self, tokens: Tensor) -> Tensor:
        """Return the sums of the numbers with the signs of each code: ``[M, N]`` for tokens [M, D]."""
        return projected(self.peer.project_in, tokens) @ self._signs().T

    def before_step(self, tokens: Tensor) -> None:
        """Let the package look for other ranks again: it asks once per process and keeps the answer."""
        package: Any = importlib.import_module("vector_quantize_pytorch.lookup_free_quantization")
        package.is_distributed.cache_clear()

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See ``PeerQuantizer``."""
        if world_size() == 1:
            quantized, codes, loss = self.peer(tokens)
            return quantized, codes, {"entropy": loss}
        (quantized, codes, _), parts = self.peer(tokens, return_loss_breakdown=True)
        entropy = parts.per_sample_entropy - self.diversity * self.batch_entropy(tokens)
        return (
            quantized,
            codes,
            {"entropy": self.entropy_weight * entropy + self.commitment * parts.commitment},
        )

    def batch_entropy(self, tokens: Tensor) -> Tensor:
        """Return the entropy of the mean probabilities of the codes over all ranks, in nats: a scalar.

        In the backward pass other ranks' means are constants. DDP and ``sharded`` average gradients over
        ranks, which makes it the gradient of the joined batch.

        Args:
            tokens: ``[B, L, D]`` float32, as many on each rank.
        """
        logits = 2 * _INVERSE_TEMPERATURE * self.logits(tokens.flatten(0, 1))
        local = logits.softmax(1).mean(0)
        mean = sum_over_ranks(local) / world_size() + (local - local.detach())
        return -(mean * mean.clamp_min(_LEAST).log()).sum()

    def _signs(self) -> Tensor:
        signs: Tensor = self.peer.codebook
        return torch.sign(signs.float())
