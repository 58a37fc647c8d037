"""Several processes that share one task, as ``torchrun`` starts them; a process alone is rank 0 of 1."""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from regvq.errors import RegvqError

T = TypeVar("T")

_PATIENCE = timedelta(hours=6)
"""How long the fastest process waits for the slowest one at the end."""


def rank() -> int:
    """Number of this process among those that work together."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes that work together."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(items: Sequence[T]) -> Sequence[T]:
    """What of ``items`` is this process's to do: every ``world_size``-th."""
    return items[rank() :: world_size()]


def wait_for_all() -> None:
    """Returns when all processes have come here."""
    import torch.distributed as dist

    if world_size() > 1:
        dist.barrier()


def gather(value: str) -> list[str]:
    """What each process has, in the order of the ranks."""
    import torch.distributed as dist

    found = [value] * world_size()
    if world_size() > 1:
        dist.all_gather_object(found, value)
    return found


def require_same(facts: Mapping[str, Any]) -> None:
    """Refuses to go on where the processes were given different things.

    A folder that one machine does not share with another may hold another tokenizer or other images there,
    and each process would do its share of a task with its own.

    Args:
        facts: what decides the results, by name, JSON-ready.

    Raises:
        RegvqError: on every process, where two of them differ.
    """
    found = [json.loads(theirs) for theirs in gather(json.dumps(facts))]
    for number, theirs in enumerate(found):
        for name, value in theirs.items():
            if value != found[0].get(name):
                raise RegvqError(
                    f"rank 0 and rank {number} differ in their {name}: give all machines the same files, "
                    "or folders that they share"
                )


def require_written(files: Iterable[Path]) -> None:
    """Looks, when all processes are done, whether the files that they were to write are here.

    Raises:
        RegvqError: some are not; another machine has written them into a folder of its own.
    """
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise RegvqError(
            f"{len(missing)} file(s) that other processes have written are not here ({missing[0]} is the "
            "first): give an --output that all machines share"
        )


def launched() -> int:
    """How many processes ``torchrun`` has started, before they have met; 1 without it."""
    # The size alone may be left in the environment of a batch job by others.
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def restarted() -> bool:
    """Whether ``torchrun`` has started the processes again after one of them had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def warn_of_stale_addresses() -> None:
    """Says how restarts become sure, where torchrun may restart and is not set up for it.

    By default it keeps one store over all restarts, and processes that are started again may read from it
    where those that died were to be reached: they wait for nobody, or fail and cost another restart.
    """
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    one_store = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    if launched() > 1 and restarts > 0 and one_store and os.environ.get("RANK") == "0":
        warnings.warn(
            "processes that torchrun starts again may look for those that died: put "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in front of torchrun",
            stacklevel=2,
        )


def own_device(device: str) -> str:
    """The device of this process: of ``cuda`` each process of a machine takes its own GPU.

    A GPU with a number becomes the current one, so that nothing of this process lands on another.

    Raises:
        RuntimeError: there is no such GPU.
    """
    if device == "cuda" and launched() > 1:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    if device.startswith("cuda:"):
        import torch

        if torch.cuda.is_available():  # else whoever uses the device says what is missing
            torch.cuda.set_device(device)
    return device


@contextmanager
def together() -> Iterator[None]:
    """The processes that ``torchrun`` has started meet for the block; alone, nothing happens.

    They only wait for each other and share small results, for which gloo is enough on every machine.
    """
    if launched() == 1:
        yield
        return
    import torch.distributed as dist

    warn_of_stale_addresses()
    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
