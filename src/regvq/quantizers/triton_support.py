"""Where Triton's kernels are used, and where the tiles of PyTorch's operations are."""

import functools
import importlib
import warnings
from types import ModuleType

import torch
from torch import Tensor

LARGEST_DIM = 128
"""Most dimensions for which there are kernels: with more, a block of latents and its gradients leave no
registers to compute the logits in (with 256 the programs for an H100 would put 1 to 20 KB a thread off into
memory, or not fit it at all), and products by PyTorch, whose tiles do it then, are long enough."""


def kernels_for(latents: Tensor) -> ModuleType | None:
    """The kernels for ``latents`` [M, D], or ``None`` where ``tiles`` has to do without.

    It has to on a CPU, in other formats than float32, with more than ``LARGEST_DIM`` dimensions, and, which
    is said once, on a GPU for which Triton makes no programs: it needs a C compiler and Python's headers,
    and the GPU the shared memory that the programs take. The answer depends on device, format and D alone:
    the noise of the two ways differs, and the backward pass makes that of the forward pass again.
    """
    if not latents.is_cuda or latents.dtype != torch.float32 or latents.shape[1] > LARGEST_DIM:
        return None
    return _working(latents.device)


@functools.cache
def _working(device: torch.device) -> ModuleType | None:
    try:
        kernels = importlib.import_module("regvq.quantizers.triton_tiles")
    except ImportError as error:
        _warn(f"Triton cannot be imported ({error})")
        return None
    try:
        kernels.probe(device)
    except Exception as error:
        # Of a compiler, a driver or a file system: the probe does nothing that could be wrong.
        _warn(f"Triton does not work here ({type(error).__name__}: {error})")
        return None
    return kernels


def _warn(reason: str) -> None:
    warnings.warn(f"{reason}: quantizers take their slower way on the GPU", stacklevel=4)
