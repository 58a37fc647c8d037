"""Start of a codebook on the latents of the first training batch."""

import warnings

import torch
from torch import Tensor

from regvq.quantizers.collectives import from_first_rank, gather_rows
from regvq.ranks import rank

NOISE = 0.1
"""Standard deviation of the noise on repeated latents, relative to that of the latents."""


def distinct_latents(tokens: Tensor) -> Tensor:
    """Return the distinct latents of all ranks' ``tokens`` [M, D]: ``[K, D]``, equal on every rank."""
    distinct: Tensor = gather_rows(tokens.detach()).unique(dim=0)
    return distinct


def start_codes(distinct: Tensor, number: int) -> Tensor:
    """Return ``number`` codes that start on latents: ``[number, D]``, equal on every rank.

    Latents are drawn at random, each distinct one once. Where there are fewer than ``number`` of them, the
    codes beyond start near random ones (``near_latents``), and a warning says so. So each code starts where
    the data are, and no two are equal, which would leave one of them unused.

    Args:
        distinct: ``[K, D]`` float32, of ``distinct_latents``.
        number: of codes.
    """
    if len(distinct) >= number:
        return from_first_rank(distinct[torch.randperm(len(distinct), device=distinct.device)[:number]])
    missing = number - len(distinct)
    if rank() == 0:
        warnings.warn(
            f"the first batch has {len(distinct)} distinct latents for {number} codes, so {missing} codes "
            "start on latents plus noise: a larger batch starts better",
            stacklevel=2,
        )
    return torch.cat([distinct, near_latents(distinct, missing)])


def near_latents(distinct: Tensor, number: int) -> Tensor:
    """Return random latents plus normal noise of ``NOISE`` times their spread: ``[number, D]``.

    They are equal on every rank. The spread is the standard deviation of each channel.

    Args:
        distinct: ``[K, D]`` float32, of ``distinct_latents``.
        number: of codes.
    """
    chosen = distinct[torch.randint(len(distinct), (number,), device=distinct.device)]
    noise = NOISE * distinct.std(0, correction=0) * torch.randn_like(chosen)
    return from_first_rank(chosen + noise)
