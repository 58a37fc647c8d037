"""Token corruption with the same code for every quantizer: what a generator's errors do to a decoder."""

import torch
from torch import Tensor

_CHUNK = 2**22  # distances that exist at once: 16 MiB


def squared_distances(latents: Tensor, codebook: Tensor) -> Tensor:
    """Return ``|z - e|^2`` of ``latents`` [M, D] and ``codebook`` [N, D]: ``[M, N]``, not negative."""
    # Far from the origin the squares would swallow the differences.
    centre = codebook.mean(0)
    latents, codebook = latents - centre, codebook - centre
    cross = torch.addmm(codebook.square().sum(1), latents, codebook.T, alpha=-2)
    return cross.add_(latents.square().sum(1, keepdim=True)).clamp_min_(0)


def error_variance(latents: Tensor, codebook: Tensor, codes: Tensor) -> float:
    """Return s^2: the mean squared error per dimension of ``latents`` [M, D] and their ``codes`` [M]."""
    return float((latents - codebook[codes]).square().mean())


def posterior_draws(latents: Tensor, codebook: Tensor, variance: float, uniform: Tensor) -> Tensor:
    """Draw codes from ``softmax(-d^2 / (2 s^2))`` by inverting the distribution at ``uniform`` [M]: [M]."""
    drawn = []
    rows = max(1, _CHUNK // len(codebook))
    for part, level in zip(latents.split(rows), uniform.split(rows), strict=True):
        scores = squared_distances(part, codebook) / (-2 * max(variance, 1e-30))
        cumulative = scores.double().softmax(1).cumsum(1)
        wanted = (level.double()[:, None] * cumulative[:, -1:]).contiguous()
        drawn.append(torch.searchsorted(cumulative, wanted, right=True)[:, 0])
    return torch.cat(drawn).clamp_max_(len(codebook) - 1)


def nearest_draws(latents: Tensor, codebook: Tensor, uniform: Tensor, among: int = 16) -> Tensor:
    """Draw one of the ``among`` codes nearest to each latent, all alike likely, by ``uniform`` [M]: [M]."""
    among = min(among, len(codebook))
    drawn = []
    rows = max(1, _CHUNK // len(codebook))
    for part, level in zip(latents.split(rows), uniform.split(rows), strict=True):
        nearest = squared_distances(part, codebook).topk(among, dim=1, largest=False).indices
        pick = (level * among).long().clamp_max_(among - 1)
        drawn.append(nearest.gather(1, pick[:, None])[:, 0])
    return torch.cat(drawn)


def corrupted(codes: Tensor, draws: Tensor, share: float, order: Tensor) -> tuple[Tensor, float]:
    """Replace ``codes`` [M] by ``draws`` [M] at a share of the positions.

    Args:
        codes: the tokens as encoded.
        draws: what replaces them.
        share: of the positions, in [0, 1].
        order: a permutation of the positions; the first ones are replaced.

    Returns:
        The tokens [M], and the share of all of them that really changed.
    """
    places = order[: round(share * len(codes))]
    result = codes.clone()
    result[places] = draws[places]
    return result, float((result != codes).double().mean())
