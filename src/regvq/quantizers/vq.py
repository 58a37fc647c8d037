"""Nearest-neighbour quantizers: the codebook trained by gradient, and by running means."""

from regvq.quantizers.codebooks import EMACodebook, GradientCodebook, Initialisation
from regvq.quantizers.composed import ComposedQuantizer
from regvq.quantizers.heads import EuclideanHead
from regvq.quantizers.straight_through import IdentityStraightThrough


class VectorQuantizer(ComposedQuantizer):
    """Nearest neighbour, straight-through, codebook and commitment loss.

    van den Oord et al., "Neural Discrete Representation Learning", 2017, eq. 3; the quantizer of
    VQ-VAE and VQ-GAN.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        commitment: weight of the pull of latents to their codes.
        codebook_weight: weight of the pull of codes to their latents.
        init: how the embeddings start, see ``Codebook``.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        commitment: float = 0.25,
        codebook_weight: float = 1.0,
        init: Initialisation = "uniform",
    ) -> None:
        super().__init__(
            codebook_size,
            dim,
            head=EuclideanHead(),
            codebook=GradientCodebook(codebook_weight, init),
            straight_through=IdentityStraightThrough(commitment),
        )


class EMAVectorQuantizer(ComposedQuantizer):
    """Nearest neighbour with an EMA codebook and dead-code restart.

    van den Oord et al., 2017, appendix A.1; restarts after Dhariwal et al., "Jukebox", 2020.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        commitment: weight of the pull of latents to their codes.
        decay: of the running sums, in [0, 1).
        restart: share of the mean count under which a code is restarted, 0 for never.
        init: how the embeddings start, see ``Codebook``.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        commitment: float = 0.25,
        decay: float = 0.99,
        restart: float = 0.5,
        init: Initialisation = "data",
    ) -> None:
        super().__init__(
            codebook_size,
            dim,
            head=EuclideanHead(),
            codebook=EMACodebook(decay, restart, init),
            straight_through=IdentityStraightThrough(commitment),
        )
