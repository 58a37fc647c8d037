"""``tiles`` on CUDA, by Triton's kernels: logits live in registers alone."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regvq.quantizers import triton_kernels as kernels

if TYPE_CHECKING:
    from regvq.quantizers.tiles import GumbelNoise

_TOKENS, _CODES = 64, 64
"""Of a block."""


def choose(
    latents: Tensor, weight: Tensor, bias: Tensor | None, noise: "GumbelNoise | None"
) -> tuple[Tensor, Tensor]:
    """See ``tiles.choose``; all contiguous float32."""
    best = torch.empty(len(latents), dtype=torch.int64, device=latents.device)
    chosen = best if noise is None else torch.empty_like(best)
    if len(latents):
        _launch(
            kernels.choose,
            (_blocks(len(latents), _TOKENS),),
            latents,
            weight,
            _given(bias, latents),
            latents if noise is None else noise.mask,
            best,
            chosen,
            *_sizes(latents, weight, noise),
            **_shape(latents),
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
        "K": values.shape[1],
        "KS": _padded(values.shape[1]),
        "BIAS": bias is not None,
        "NOISE": noise is not None,
        "MEANS": d_means is not None,
    }
    grid = (_blocks(len(latents), _TOKENS),)
    _launch(kernels.latents_gradient, grid, *before, *asked, d_latents, *found, *numbers, **options)
    if d_weight is not None:
        grid = (_blocks(len(weight), _CODES),)
        asked = *asked, d_weight, _given(d_bias, latents)
        _launch(kernels.weight_gradient, grid, *before, *asked, *found, *numbers, **options)
    return d_latents, d_weight if of_weight else None, d_bias if of_bias else None


def noise_matrix(noise: "GumbelNoise", codebook_size: int) -> Tensor:
    """All the noise that the kernels make: ``[M, N]``, zero where there is none."""
    tokens = len(noise.mask)
    matrix = torch.empty(tokens, codebook_size, device=noise.mask.device)
    grid = _blocks(tokens, _TOKENS), _blocks(codebook_size, _CODES)
    sizes = tokens, codebook_size, noise.seed, noise.scale
    _launch(kernels.noise_matrix, grid, noise.mask, matrix, *sizes, TOKENS=_TOKENS, CODES=_CODES)
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
    return {"D": dim, "DIMS": _padded(dim), "TOKENS": _TOKENS, "CODES": _CODES}


def _blocks(items: int, of: int) -> int:
    return -(-items // of)


def _padded(dim: int) -> int:
    """What a product of blocks takes: a power of two, at least 16."""
    return max(16, 1 << (dim - 1).bit_length())


def _given(tensor: Tensor | None, otherwise: Tensor) -> Tensor:
    """A kernel's argument that it does not read where there is none."""
    return otherwise if tensor is None else tensor
