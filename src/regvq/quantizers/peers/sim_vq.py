"""The library's SimVQ."""

import torch.nn.functional as F
from torch import Tensor

from regvq.quantizers.functional import euclidean_scores
from regvq.quantizers.peers.base import PeerQuantizer, library


class PeerSimVQ(PeerQuantizer):
    """``SimVQ``: a frozen random codebook seen through one learned linear map.

    Zhu et al., "Addressing Representation Collapse in Vector Quantized Models with One Linear Layer", 2024.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        rotation_trick: whether the gradient is rotated, as the library advises.
        commitment: weight of its loss.

    Raises:
        RegvqError: vector-quantize-pytorch is not installed.
    """

    moves_in_place = False

    def __init__(
        self, codebook_size: int, dim: int, *, rotation_trick: bool = True, commitment: float = 1.0
    ) -> None:
        super().__init__(
            codebook_size,
            dim,
            lambda: library("SimVQ")(
                dim=dim,
                codebook_size=codebook_size,
                rotation_trick=rotation_trick,
                commitment_weight=commitment,
            ),
        )

    @property
    def codebook(self) -> Tensor:
        """The frozen vectors through the learned map."""
        return F.linear(self.peer.frozen_codebook.float(), self.peer.code_transform.weight.float())

    def logits(self, tokens: Tensor) -> Tensor:
        return euclidean_scores(tokens, self.codebook, 0.5).logits()

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        quantized, codes, loss = self.peer(tokens)
        return quantized, codes, {"commitment": loss}
