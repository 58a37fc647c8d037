"""DiVeQ and NSVQ: in training a code is its latent plus noise as long as the quantization error."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from regvq.errors import RegvqError
from regvq.quantizers.collectives import from_first_rank, sum_over_ranks
from regvq.quantizers.functional import euclidean_scores, token_counts
from regvq.quantizers.peers.base import PeerQuantizer, library
from regvq.quantizers.peers.starts import distinct_latents, start_codes

Start = Literal["data", "package"]


class NoisePeer(PeerQuantizer):
    """The common part of ``PeerDiVeQ`` and ``PeerNSVQ``; see there.

    Both packages count and replace codes inside ``forward``, on each process for itself and in eval mode,
    too. Here their counting is off. The adapter counts over all ranks, in training alone, and calls the
    package's replacement, of which every rank takes the first rank's draws.

    Their ``forward`` draws noise on the CPU and reads a perplexity from the device, which slows a GPU.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        make: builds the module from the keyword arguments that both packages share.
        replacement_iters: see ``PeerDiVeQ``.
        discard_threshold: see ``PeerDiVeQ``.
        perturb_eps: see ``PeerDiVeQ``.
        init: see ``PeerDiVeQ``.
    """

    exact_in_training = False
    writes_parameters = True

    @abstractmethod
    def __init__(
        self,
        codebook_size: int,
        dim: int,
        make: Callable[..., nn.Module],
        *,
        replacement_iters: int,
        discard_threshold: float,
        perturb_eps: float,
        init: Start,
    ) -> None:
        if not (isinstance(replacement_iters, int) and replacement_iters >= 0):
            raise RegvqError(
                f"replacement_iters must be a whole number, 0 for never, not {replacement_iters}"
            )
        if not (0 <= discard_threshold <= 1 and perturb_eps >= 0):
            raise RegvqError(
                "discard_threshold must be in [0, 1] and perturb_eps not negative, "
                f"not {discard_threshold} and {perturb_eps}"
            )
        if init not in ("data", "package"):
            raise RegvqError(f"init must be 'data' or 'package', not {init!r}")
        super().__init__(
            codebook_size,
            dim,
            lambda: make(
                num_embeddings=codebook_size,
                embedding_dim=dim,
                replacement_iters=replacement_iters,
                discard_threshold=discard_threshold,
                perturb_eps=perturb_eps,
                allow_warning=False,
                verbose=False,
                codebook_reset=False,  # counts and replaces on each rank alone, and in eval
            ),
        )
        self.replacement_iters, self.init = replacement_iters, init

    @property
    def codebook(self) -> Tensor:
        """The package's parameter."""
        codes: Tensor = self.peer.codebook
        return codes.float()

    def logits(self, tokens: Tensor) -> Tensor:
        """Return minus the squared distances of ``tokens`` [M, D] to the codes."""
        return euclidean_scores(tokens, self.codebook, 0.5).logits()

    @torch.no_grad()
    def before_step(self, tokens: Tensor) -> None:
        """Start the codebook at the first step, and replace unused codes at each interval's end."""
        steps = int(self.peer.iter_counter)
        if steps == 0 and self.init == "data":
            distinct = distinct_latents(tokens.flatten(0, 1))
            self.peer.codebook.copy_(start_codes(distinct, self.codebook_size))
        if steps > 0 and self.replacement_iters > 0 and steps % self.replacement_iters == 0:
            self._replace()

    def _replace(self) -> None:
        seed = int(torch.randint(2**62, ()))
        if self.replaying:  # it finds the codes replaced, and its random numbers where they were
            return
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            self.peer._replace_unused_entries()
        self.peer.codebook.copy_(from_first_rank(self.peer.codebook))

    def train_step(self, tokens: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """See ``PeerQuantizer``; there are no losses."""
        quantized, indices, _ = self.peer(tokens.flatten(0, 1))
        # The package counts the steps in which a code was used, not its tokens.
        used = sum_over_ranks(token_counts(indices, self.codebook_size)) > 0
        self.peer.codebook_usage += used
        self.peer.iter_counter += 1
        return quantized.view_as(tokens), indices.view(tokens.shape[:2]), {}


class PeerDiVeQ(NoisePeer):
    """``DIVEQ``: the latent plus the quantization error's length along its slightly noisy direction.

    Vali, Bäckström and Solin, "DiVeQ: Differentiable Vector Quantization Using the Reparameterization
    Trick", ICLR 2026. Codebook and encoder learn from the reconstruction alone; there is no further loss.

    Values in training are noisy (``exact_in_training`` is false); in eval mode they are rows of the
    codebook, as the package's ``inference`` gives them and its ``forward`` does not.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        noise_std: standard deviation of the noise on the direction. The package names it ``noise_var`` and
            uses it as a standard deviation.
        replacement_iters: training steps between two replacements of unused codes, 0 for never.
        discard_threshold: share of the interval's steps under which a code counts as unused. A step uses a
            code where any rank does.
        perturb_eps: standard deviation of the noise between a replaced code and the used one it is put on.
        init: ``data`` for latents of the first training batch over all ranks, ``package`` for the package's
            uniform numbers in [0, 1/N).

    Raises:
        RegvqError: the package diveq is not installed, or an argument is out of its range.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        noise_std: float = 1e-3,
        replacement_iters: int = 100,
        discard_threshold: float = 0.01,
        perturb_eps: float = 1e-9,
        init: Start = "data",
    ) -> None:
        if not noise_std > 0:
            raise RegvqError(f"noise_std must be positive, not {noise_std}")
        super().__init__(
            codebook_size,
            dim,
            lambda **shared: library("DIVEQ", "diveq")(noise_var=noise_std, **shared),
            replacement_iters=replacement_iters,
            discard_threshold=discard_threshold,
            perturb_eps=perturb_eps,
            init=init,
        )


class PeerNSVQ(NoisePeer):
    """``NSVQ``: the latent plus the quantization error's length in a random direction.

    Vali and Bäckström, "NSVQ: Noise Substitution in Vector Quantization for Machine Learning", IEEE Access,
    2022. Codebook and encoder learn from the reconstruction alone; there is no further loss.

    Values in training are noisy (``exact_in_training`` is false); in eval mode they are rows of the
    codebook, as the package's ``inference`` gives them and its ``forward`` does not.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        replacement_iters: see ``PeerDiVeQ``.
        discard_threshold: see ``PeerDiVeQ``.
        perturb_eps: see ``PeerDiVeQ``.
        init: see ``PeerDiVeQ``.

    Raises:
        RegvqError: the package nsvq is not installed, or an argument is out of its range.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        replacement_iters: int = 100,
        discard_threshold: float = 0.01,
        perturb_eps: float = 1e-9,
        init: Start = "data",
    ) -> None:
        super().__init__(
            codebook_size,
            dim,
            lambda **shared: library("NSVQ", "nsvq")(**shared),
            replacement_iters=replacement_iters,
            discard_threshold=discard_threshold,
            perturb_eps=perturb_eps,
            init=init,
        )
