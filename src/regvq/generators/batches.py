"""Many images, a batch after the other, in the memory there is."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.generators.base import Generator
from regvq.types import SamplingOptions

# Only the allocator of a GPU has a class of its own for a full memory.
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


def sample_in_batches(
    generator: Generator,
    condition: Tensor,
    options: SamplingOptions,
    batch_size: int,
    known: Tensor | None = None,
    finish: Callable[[Tensor], Tensor] = lambda codes: codes,
    report: Callable[[int], None] = lambda images: None,
    notice: Callable[[str], None] = lambda sentence: None,
) -> Tensor:
    """Draws an image for each row of ``condition``: codes ``[M, h, w]``, or what ``finish`` makes of them.

    Because every image has its own stream of chance, the batches do not show in the result, which lies on
    the CPU. Where memory runs out, in drawing or in finishing, the batch is halved once.

    Args:
        generator: on the device that is to compute.
        condition: ids ``[M, P]``.
        options: ``first`` is the number of the first of all.
        batch_size: images at once.
        known: ``[M, h, w]``, see ``Generator.sample``.
        finish: what becomes of a batch of codes, e.g. ``tokenizer.decode``.
        report: called after every pass of the network with the images so far, parts of them rounded down.
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
                _count_passes(report, done, len(ids), generator.passes(options)),
            )
            parts.append(finish(codes).cpu())
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if halved or len(ids) == 1:
                raise RegvqError(
                    f"not enough memory to sample {len(ids)} images at once: give a smaller batch size"
                ) from None
            halved, batch_size = True, len(ids) // 2
            notice(f"memory ran out: going on with {batch_size} images at once")
            continue
        done += len(ids)
    if not parts:
        empty = torch.empty(0, *generator.source.grid, dtype=torch.int64, device=generator.device)
        return finish(empty).cpu()
    return torch.cat(parts)


def _count_passes(report: Callable[[int], None], done: int, images: int, passes: int) -> Callable[[], None]:
    numbers = itertools.count(1)
    return lambda: report(done + images * next(numbers) // passes)


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)
