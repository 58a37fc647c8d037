"""``tiles`` on CUDA, by Triton's kernels: logits live in registers alone.

``triton_support`` says where they are used.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regvq.quantizers import triton_kernels as kernels
from regvq.quantizers.triton_support import LARGEST_DIM

if TYPE_CHECKING:
    from regvq.quantizers.tiles import GumbelNoise

_BLOCKS = {
    64: {"TOKENS": 64, "CODES": 32, "num_warps": 4, "num_stages": 2},
    LARGEST_DIM: {"TOKENS": 32, "CODES": 32, "num_warps": 8, "num_stages": 1},
}
"""By the most dimensions: how many tokens and codes a block has, and how a program works on it.

Chosen by what Triton's compiler says of the programs for an H100, not by measured time: with larger blocks
the backward pass keeps more of its numbers in memory for want of registers, and is alone on its
multiprocessor.
"""
SHARED_MEMORY = 99 * 2**10
"""Bytes that a program may take: what GPUs of compute capability 8.6, 8.9 and 12.0 have (an H100: 227 KB).

The programs for an H100 take 98,560 bytes at most up to 64 dimensions and 98,304 beyond.
"""
_NOISE_BLOCK = {"TOKENS": 32, "CODES": 64}


def probe(device: torch.device) -> None:
    """Runs the least kernel there is, so that whatever keeps Triton or the GPU from it is raised.

    Raises:
        RuntimeError: the GPU has too little shared memory for the programs.
    """
    facts: Any = torch.cuda.get_device_properties(device)  # torch's types know not all of them
    shared = facts.shared_memory_per_block_optin
    if shared < SHARED_MEMORY:
        raise RuntimeError(
            f"programs may take {SHARED_MEMORY} bytes of shared memory, this GPU has {shared}"
        )
    _launch(kernels.probe, (1,), torch.empty(1, device=device))


def choose(
    latents: Tensor, weight: Tensor, bias: Tensor | None, noise: "GumbelNoise | None"
) -> tuple[Tensor, Tensor]:
    """See ``tiles.choose``; all contiguous float32."""
    best = torch.empty(len(latents), dtype=torch.int64, device=latents.device)
    chosen = best if noise is None else torch.empty_like(best)
    if len(latents):
        shape = _shape(latents)
        _launch(
            kernels.choose,
            (_number(len(latents), shape["TOKENS"]),),
            latents,
            weight,
            _given(bias, latents),
            latents if noise is None else noise.mask,
            best,
            chosen,
            *_sizes(latents, weight, noise),
            **shape,
            BIAS=bias is not None,
            NOISE=noise is not None,
        )
    return best, chosen


def soft_gradients(
    latents: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    values: Tensor,
    d_slope: Tensor,
    d_means: Tensor | None,
    noise: "GumbelNoise | None",
    temperature: float,
    of_weight: bool,
    of_bias: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients of latents, weight and bias; see ``tiles.soft_gradients``. All contiguous float32."""
    d_latents = torch.zeros_like(latents)
    d_weight = torch.zeros_like(weight) if of_weight or of_bias else None
    d_bias = torch.zeros_like(weight[:, 0]) if bias is not None and d_weight is not None else None
    if not len(latents):
        return d_latents, d_weight, d_bias
    largest, total, mean = latents.new_empty(3, len(latents))
    before = latents, weight, _given(bias, latents), latents if noise is None else noise.mask
    asked = values, d_slope, _given(d_means, latents)
    found = largest, total, mean
    numbers = *_sizes(latents, weight, noise), 1.0 / temperature
    options = {
        **_shape(latents),
        "BIAS": bias is not None,
        "NOISE": noise is not None,
        "MEANS": d_means is not None,
    }
    grid = (_number(len(latents), options["TOKENS"]),)
    _launch(kernels.latents_gradient, grid, *before, *asked, d_latents, *found, *numbers, **options)
    if d_weight is not None:
        grid = (_number(len(weight), options["CODES"]),)
        made = d_weight, _given(d_bias, latents)
        _launch(kernels.weight_gradient, grid, *before, *asked, *made, *found, *numbers, **options)
    return d_latents, d_weight if of_weight else None, d_bias if of_bias else None


def noise_matrix(noise: "GumbelNoise", codebook_size: int) -> Tensor:
    """All the noise that the kernels make: ``[M, N]``, zero where there is none."""
    tokens = len(noise.mask)
    matrix = torch.empty(tokens, codebook_size, device=noise.mask.device)
    grid = _number(tokens, _NOISE_BLOCK["TOKENS"]), _number(codebook_size, _NOISE_BLOCK["CODES"])
    sizes = tokens, codebook_size, noise.seed, noise.scale
    _launch(kernels.noise_matrix, grid, noise.mask, matrix, *sizes, **_NOISE_BLOCK)
    return matrix


def _launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Runs a kernel on the device of its first argument: Triton itself would take the current one."""
    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **options)


def _sizes(latents: Tensor, weight: Tensor, noise: "GumbelNoise | None") -> tuple[int, int, int, float]:
    seed, scale = (0, 0.0) if noise is None else (noise.seed, noise.scale)
    return len(latents), len(weight), seed, scale


def _shape(latents: Tensor) -> dict[str, int]:
    dim = latents.shape[1]
    # A product of blocks takes powers of two, at least 16.
    dims = max(16, 1 << (dim - 1).bit_length())
    return {"D": dim, "DIMS": dims, **_BLOCKS[64 if dims <= 64 else LARGEST_DIM]}


def _number(items: int, of: int) -> int:
    return -(-items // of)


def _given(tensor: Tensor | None, otherwise: Tensor) -> Tensor:
    """A kernel's argument that it does not read where there is none."""
    return otherwise if tensor is None else tensor
