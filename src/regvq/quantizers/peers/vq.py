"""The nearest neighbour of vector-quantize-pytorch, with an EMA codebook."""

import importlib
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers.functional import euclidean_scores
from regvq.quantizers.peers.base import PeerQuantizer, library
from regvq.quantizers.peers.starts import distinct_latents, near_latents, start_codes
from regvq.ranks import world_size


class PeerVQ(PeerQuantizer):
    """``VectorQuantize``: EMA codebook, dead-code restart, gradient by identity or by the rotation trick.

    Rotation: Fifty et al., "Restructuring Vector Quantization with the Rotation Trick", ICLR 2025.

    Three things differ from the package's own behaviour:

    - Whether it sums over ranks is asked at each training step.
    - The package's threshold for dead codes is a number of tokens a step. Here it is a share of the mean
      count, so it means the same at every batch size and number of ranks.
    - A k-means start leaves no code at zero. Codes without a latent of their own start on random latents
      plus small noise.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        rotation_trick: whether the gradient is rotated; otherwise it passes as it is.
        decay: of the EMA.
        dead_code_threshold: share of the mean EMA count over all codes and ranks under which a code is
            replaced by a latent of the batch; 0 for never.
        kmeans_init: whether the codebook starts as the means of the first batch.
        commitment: weight of the pull of latents to their codes.

    Raises:
        RegvqError: vector-quantize-pytorch is not installed, or the threshold is negative.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        rotation_trick: bool = False,
        decay: float = 0.99,
        dead_code_threshold: float = 0.5,
        kmeans_init: bool = True,
        commitment: float = 0.25,
    ) -> None:
        if not dead_code_threshold >= 0:
            raise RegvqError(f"dead_code_threshold must not be negative, not {dead_code_threshold}")
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
                sync_codebook=False,  # until a training step finds other ranks
            ),
        )
        self.decay, self.dead_code_threshold = decay, dead_code_threshold

    @property
    def codebook(self) -> Tensor:
        """The EMA of the latents that each code was given, ``[N, D]`` float32."""
        means: Tensor = self.peer.codebook
        return means.float()

    @torch.no_grad()
    def derive(self) -> None:
        """Recompute the codebook from its EMA sums and counts with the package's Laplace smoothing."""
        self.peer._codebook.update_ema()

    def logits(self, tokens: Tensor) -> Tensor:
        """Return minus the squared distances of ``tokens`` [M, D] to the codes."""
        return euclidean_scores(tokens, self.codebook, 0.5).logits()

    @torch.no_grad()
    def before_step(self, tokens: Tensor) -> None:
        """Bind the module to the ranks that there are, start its codebook, and set its threshold."""
        inner = self.peer._codebook
        _bind_to_ranks(inner)
        rows = tokens.reshape(-1, self.dim)
        mean_count = len(rows) * world_size() / self.codebook_size
        if not inner.initted:
            self._start(inner, rows, mean_count)
        if self.dead_code_threshold > 0:
            # The mean EMA count as this step leaves it; it compares after the update.
            mean = self.decay * inner.cluster_size.mean() + (1 - self.decay) * mean_count
            inner.threshold_ema_dead_code = inner.reset_cluster_size = self.dead_code_threshold * mean

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See ``PeerQuantizer``."""
        quantized, codes, loss = self.peer(tokens)
        # Without commitment it is a buffer of the module.
        return quantized, codes, {"commitment": loss.sum().clone()}

    def _start(self, inner: Any, rows: Tensor, mean_count: float) -> None:
        """Start on means of the latents ``rows`` [M, D], or near latents where there are too few."""
        distinct = distinct_latents(rows)
        if len(distinct) < self.codebook_size:
            inner.embed.copy_(start_codes(distinct, self.codebook_size))
            inner.cluster_size.fill_(mean_count)
            inner.initted.fill_(True)
        else:
            inner.init_embed_(rows[None])
            # The package leaves codes without latents at zero.
            empty = inner.cluster_size == 0
            near = near_latents(distinct, self.codebook_size)
            inner.embed.copy_(torch.where(empty[..., None], near, inner.embed))
            inner.cluster_size.masked_fill_(empty, mean_count)
        inner.embed_avg.copy_(inner.embed * inner.cluster_size[..., None])


def _bind_to_ranks(inner: Any) -> None:
    """Let the package's codebook sum and draw over all ranks, or alone in one process.

    The package decides that once per process, when its first quantizer is built, and keeps the answer.
    """
    package: Any = importlib.import_module("vector_quantize_pytorch.vector_quantize_pytorch")
    several = world_size() > 1
    inner.use_ddp = several
    inner.all_reduce_fn = inner.kmeans_all_reduce_fn = dist.all_reduce if several else package.noop
    draw = package.sample_vectors_distributed if several else package.batched_sample_vectors
    inner.sample_fn = inner.replace_sample_fn = draw
