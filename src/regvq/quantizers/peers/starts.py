"""Start of a codebook on the latents of the first training batch."""

import warnings

import torch
from torch import Tensor

from regvq.quantizers.collectives import from_first_rank, gather_rows
from regvq.ranks import rank

NOISE = 0.1
"""Standard deviation of the noise on repeated latents, relative to that of the latents."""


@torch.no_grad()
def start_codes(tokens: Tensor, number: int) -> Tensor:
    """Return ``number`` codes on latents of all ranks: ``[number, D]``, equal on every rank.

    Latents are drawn at random, each distinct one once. Where there are fewer than ``number`` of them, the
    codes beyond start on latents plus small noise. So each code starts where the data are, and no two codes
    are equal, which would leave one of them unused forever. A warning says so.

    Args:
        tokens: ``[M, D]`` float32 on each rank, with the same M.
        number: of codes.
    """
    rows = gather_rows(tokens)
    distinct = rows.unique(dim=0)
    if len(distinct) >= number:
        return from_first_rank(distinct[torch.randperm(len(distinct), device=rows.device)[:number]])
    if rank() == 0:
        warnings.warn(
            f"the first batch has {len(distinct)} distinct latents for {number} codes, so "
            f"{number - len(distinct)} codes start on latents plus noise: a larger batch starts better",
            stacklevel=3,
        )
    repeated = distinct[torch.randint(len(distinct), (number - len(distinct),), device=rows.device)]
    noise = NOISE * rows.std(0, correction=0) * torch.randn_like(repeated)
    return from_first_rank(torch.cat([distinct, repeated + noise]))
