"""Sums over the ranks of a distributed run; the identity where there is one process."""

import torch
import torch.distributed as dist
from torch import Tensor

from regvq.ranks import world_size


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum of ``value`` over all ranks, without gradient; ``value`` itself is left alone."""
    value = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def from_first_rank(value: Tensor) -> Tensor:
    """Rank 0's ``value`` on every rank, so that random choices agree."""
    if world_size() > 1:
        value = value.detach().clone()
        dist.broadcast(value, src=0)
    return value


def gather_rows(rows: Tensor) -> Tensor:
    """The rows ``[M, …]`` of all ranks, one below the other; the same M on every rank."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
