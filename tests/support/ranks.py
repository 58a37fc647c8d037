"""Runs a function on several gloo ranks, each its own process."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def run_on_ranks(
    function: Callable[..., Any],
    folder: Path,
    *args: Any,
    ranks: int = 2,
    before: Callable[[], Any] | None = None,
) -> list[Any]:
    """Return what ``function(rank, *args)`` gives on every rank, in the order of the ranks.

    Args:
        function: at module level, so that another process can import it; gives tensors and plain data.
        folder: an empty folder where the ranks meet and leave their results.
        args: picklable.
        ranks: number of processes.
        before: at module level; called on every rank before the process group opens. What it gives is
            the function's argument after the rank.
    """
    mp.spawn(_main, args=(ranks, function, str(folder), args, before), nprocs=ranks)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(ranks)]


def _main(
    rank: int,
    ranks: int,
    function: Callable[..., Any],
    folder: str,
    args: tuple[Any, ...],
    before: Callable[[], Any] | None,
) -> None:
    torch.set_num_threads(1)
    if before is not None:
        args = (before(), *args)
    # gloo looks for an interface by the host's name, which need not resolve on a build machine.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", f"file://{folder}/meeting", timedelta(minutes=5), world_size=ranks, rank=rank
    )
    try:
        torch.save(function(rank, *args), Path(folder) / f"rank{rank}.pt")
    finally:
        dist.destroy_process_group()
