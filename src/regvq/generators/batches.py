"""Many images, a batch after the other, in the memory there is."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.generators.base import Generator
from regvq.types import SamplingOptions


def sample_in_batches(
    generator: Generator,
    condition: Tensor,
    options: SamplingOptions,
    batch_size: int,
    known: Tensor | None = None,
    report: Callable[[int], None] = lambda images: None,
    notice: Callable[[str], None] = lambda sentence: None,
) -> Tensor:
    """Draws an image for each row of ``condition``: codes ``[M, h, w]`` on the CPU.

    Because every image has its own stream of chance, the batches do not show in the result. Where memory
    runs out, the batch is halved once.

    Args:
        generator: on the device that is to compute.
        condition: ids ``[M, P]``.
        options: ``first`` is the number of the first of all.
        batch_size: images at once.
        known: ``[M, h, w]``, see ``Generator.sample``.
        report: called with the number of finished images.
        notice: called with what the user should know.

    Raises:
        RegvqError: there is not enough memory for half a batch either.
    """
    parts: list[Tensor] = []
    done, halved = 0, False
    while done < len(condition):
        rows = slice(done, done + batch_size)
        ids = condition[rows]
        try:
            codes = generator.sample(
                ids,
                len(ids),
                replace(options, first=options.first + done),
                None if known is None else known[rows],
            )
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if halved or batch_size == 1:
                raise RegvqError(
                    f"not enough memory to sample {len(ids)} images at once: give a smaller batch size"
                ) from None
            halved, batch_size = True, batch_size // 2
            notice(f"memory ran out: going on with {batch_size} images at once")
            continue
        parts.append(codes.cpu())
        done += len(ids)
        report(done)
    return torch.cat(parts) if parts else torch.empty(0, *generator.source.grid, dtype=torch.int64)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On the CPU torch has no class of its own for it.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
