"""The library's nearest neighbour with an EMA codebook."""

import torch
from torch import Tensor

from regvq.quantizers.functional import euclidean_scores
from regvq.quantizers.peers.base import PeerQuantizer, library


class PeerVQ(PeerQuantizer):
    """``VectorQuantize``: EMA codebook, dead-code restart, gradient by identity or by the rotation trick.

    Rotation: Fifty et al., "Restructuring Vector Quantization with the Rotation Trick", ICLR 2025.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        rotation_trick: whether the gradient is rotated; otherwise it passes as it is.
        decay: of the running means.
        dead_code_threshold: running count under which a code is replaced; 0 for never.
        kmeans_init: whether the codebook starts as the means of the first batch.
        commitment: weight of the pull of latents to their codes.

    Raises:
        RegvqError: vector-quantize-pytorch is not installed.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        rotation_trick: bool = False,
        decay: float = 0.99,
        dead_code_threshold: float = 2.0,
        kmeans_init: bool = True,
        commitment: float = 0.25,
    ) -> None:
        super().__init__(
            codebook_size,
            dim,
            lambda: library("VectorQuantize")(
                dim=dim,
                codebook_size=codebook_size,
                decay=decay,
                kmeans_init=kmeans_init,
                threshold_ema_dead_code=dead_code_threshold,
                rotation_trick=rotation_trick,
                commitment_weight=commitment,
            ),
        )

    @property
    def codebook(self) -> Tensor:
        """The running means."""
        means: Tensor = self.peer.codebook
        return means.float()

    @torch.no_grad()
    def derive(self) -> None:
        """Makes the vectors what the running sums and counts say, after these were changed from outside."""
        inner = self.peer._codebook
        inner.embed.copy_(inner.embed_avg / inner.cluster_size.clamp_min(1e-6)[..., None])

    def logits(self, tokens: Tensor) -> Tensor:
        return euclidean_scores(tokens, self.codebook, 0.5).logits()

    def before_step(self, tokens: Tensor) -> None:
        # Else the first batch would be decoded from the zeros that were there before its means.
        self.peer._codebook.init_embed_(tokens.detach().reshape(1, -1, self.dim))

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        quantized, codes, loss = self.peer(tokens)
        return quantized, codes, {"commitment": loss.sum()}
