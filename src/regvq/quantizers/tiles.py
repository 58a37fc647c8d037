"""Choosing codes, and the gradients of the choice, without the token-by-code matrix.

The tokens come in tiles of a few rows. The logits of a tile are made, used and overwritten by those of the
next; the backward pass makes them again, and the noise from its seed. So memory grows with the tokens and
with the codes, but not with their product. On a GPU the kernels of ``triton_tiles`` do it, where they run
(``triton_support``). The readable form of the same maths, which builds the matrix, is
``functional.regularized_choice``; ``tests/quantizers/test_tiles.py`` holds this one to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from regvq.quantizers.scores import Scores
from regvq.quantizers.triton_support import kernels_for

_ENTRIES = {"cpu": 2**19}
"""Of a tile, by the kind of device: on a CPU it stays in the cache."""
_MANY_ENTRIES = 2**26
"""On other devices a tile has to keep many cores busy."""
_FEWEST_ROWS = 64
"""Of a tile: with fewer the weights are read too often for what is done with them."""

_BLOCK = 64
"""Entries of a row that are looked at together for the largest."""

_DEEPEST = 60.0
"""Below its row's largest a logit makes no difference (e^-60 is 1e-26), but a softmax of numbers too small
for their format, with which CPUs are a hundred times slower."""


@dataclass(frozen=True)
class GumbelNoise:
    """Gumbel noise on the logits of some tokens: the seed it is made from whenever it is needed.

    Attributes:
        mask: ``[M]`` bool, the tokens that have noise.
        count: how many these are, known without asking the device.
        seed: decides the noise.
        scale: multiplies it.
    """

    mask: Tensor
    count: int
    seed: int
    scale: float = 1.0

    def order(self) -> Tensor:
        """The tokens with noise first: ``[M]`` int64."""
        return self.mask.argsort(descending=True, stable=True)

    def matrix(self, scores: Scores) -> Tensor:
        """All of it: ``[M, N]``, zero where there is none. Only the readable form needs it."""
        kernels = kernels_for(scores.latents)
        if kernels is not None:
            drawn: Tensor = kernels.noise_matrix(self, scores.codebook_size)
            return drawn
        noise = scores.latents.new_zeros(len(scores), scores.codebook_size)
        order = self.order()
        for tile in _tiles(self.count, scores.codebook_size, noise.device.type):
            drawn = torch.zeros_like(noise[tile])
            noise[order[tile]] = self.add_to(drawn, tile, torch.empty_like(drawn))
        return noise

    def add_to(self, logits: Tensor, tile: slice, scratch: Tensor) -> Tensor:
        """Adds the noise of a tile in place, with ``scratch`` of its shape as room to work in."""
        return logits.add_(_gumbel_(scratch, self.seed + tile.start), alpha=self.scale)


@torch.no_grad()
def best_codes(scores: Scores) -> Tensor:
    """Return the code of the largest logit of every token: ``[M]`` int64, the first where several are."""
    return choose(scores).best


@dataclass(frozen=True)
class Chosen:
    """Codes ``[M]`` int64 each.

    Attributes:
        best: of the largest logit, the first where several are.
        noiseless: of the largest logit with the shift.
        codes: of the largest logit with the shift and with noise.
    """

    best: Tensor
    noiseless: Tensor
    codes: Tensor


@torch.no_grad()
def choose(scores: Scores, noise: GumbelNoise | None = None, shift: Tensor | None = None) -> Chosen:
    """Choose codes by the logits, by the shifted logits, and by the noisy ones.

    Args:
        scores: of ``M`` tokens and ``N`` codes.
        noise: on some tokens' logits.
        shift: ``[N]``, added to the logits of all tokens.
    """
    kernels = kernels_for(scores.latents)
    if kernels is not None:
        return _choose_by_kernels(kernels, scores, noise, shift)
    order, sampled = _order(noise)
    latents = scores.latents.detach()[order]
    best = torch.empty(len(latents), dtype=torch.int64, device=latents.device)
    noiseless = best if shift is None else torch.empty_like(best)
    codes = noiseless if noise is None else torch.empty_like(best)
    for tile, logits, scratch in _logit_tiles(latents, scores.weight, scores.bias, sampled):
        best[tile] = _first_largest(logits)
        if shift is not None:
            noiseless[tile] = _first_largest(logits.add_(shift))
        if noise is not None:
            here = noise.add_to(logits, tile, scratch) if tile.stop <= sampled else None
            codes[tile] = noiseless[tile] if here is None else _first_largest(here)
    return Chosen(_restored(best, order), _restored(noiseless, order), _restored(codes, order))


def _choose_by_kernels(
    kernels: ModuleType, scores: Scores, noise: GumbelNoise | None, shift: Tensor | None
) -> Chosen:
    """``choose`` where kernels do it, which know of no shift but one inside of the bias."""
    tensors = scores.latents, scores.weight, scores.bias
    if shift is None:
        best, codes = kernels.choose(*_contiguous(*tensors), noise)
        return Chosen(best, best, codes)
    best, _ = kernels.choose(*_contiguous(*tensors), None)
    shifted = shift if scores.bias is None else scores.bias + shift
    noiseless, codes = kernels.choose(*_contiguous(*tensors[:2], shifted), noise)
    return Chosen(best, noiseless, codes)


def soft_gradients(
    scores: Scores,
    values: Tensor,
    slope: Tensor,
    noise: GumbelNoise | None = None,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Zeros with the gradients of two means under the softmax of the (noisy) logits.

    With ``p = softmax((logits + noise) / temperature)``, ``[M, N]``: the first has the gradient of
    ``p @ values``, the second that of ``p.sum(0) @ slope``. Added to a discrete choice they make its
    straight-through form (paper, sections 3.2 and 3.3) and change nothing of its value.

    Args:
        scores: of ``M`` tokens and ``N`` codes.
        values: ``[N, D]``, taken as constant.
        slope: ``[N]``, taken as constant.
        noise: on the logits.
        temperature: of the softmax.

    Returns:
        ``[M, D]`` and a scalar, both zero.
    """
    gradients: tuple[Tensor, Tensor] = _SoftGradients.apply(
        scores.latents, scores.weight, scores.bias, values.detach(), slope.detach(), noise, temperature
    )
    return gradients


class _SoftGradients(torch.autograd.Function):
    """With ``G = d_means @ values.T + d_total * slope``: ``d_logits = p * (G - (p * G).sum(1)) / T``."""

    @staticmethod
    def forward(
        latents: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        values: Tensor,
        slope: Tensor,
        noise: GumbelNoise | None,
        temperature: float,
    ) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(latents), latents.new_zeros(())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        *tensors, ctx.noise, ctx.temperature = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_means: Tensor | None, d_total: Tensor | None) -> tuple[Tensor | None, ...]:
        latents, weight, bias, values, slope = ctx.saved_tensors
        d_slope = torch.zeros_like(slope) if d_total is None else d_total * slope
        kernels = kernels_for(latents)
        if kernels is not None:
            tensors = _contiguous(latents, weight, bias, values, d_slope, d_means)
            given = ctx.needs_input_grad[1], ctx.needs_input_grad[2]
            return *kernels.soft_gradients(*tensors, ctx.noise, ctx.temperature, *given), *(None,) * 4
        noise, order, sampled = ctx.noise, *_order(ctx.noise)
        # The temperature divides what the logits are made of, which is less than they are.
        sharpness = 1 / ctx.temperature
        latents, bias = latents[order] * sharpness, None if bias is None else bias * sharpness
        noise = None if noise is None else replace(noise, scale=noise.scale * sharpness)
        d_means = None if d_means is None else d_means[order]
        d_latents = torch.empty_like(latents)
        d_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        d_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        for tile, logits, scratch in _logit_tiles(latents, weight, bias, sampled):
            if noise is not None and tile.stop <= sampled:
                noise.add_to(logits, tile, scratch)
            lowest = logits.amax(1, keepdim=True) - _DEEPEST
            posterior = torch.softmax(torch.maximum(logits, lowest, out=logits), 1, out=logits)
            if d_means is None:
                pull, mean = d_slope, posterior @ d_slope
            else:
                pull = torch.addmm(d_slope, d_means[tile], values.T, out=scratch)
                mean = torch.linalg.vecdot(posterior, pull)
            # d_logits, in the room of the posterior
            d_logits = posterior.mul_(torch.sub(pull, mean[:, None], out=scratch))
            torch.mm(d_logits, weight, out=d_latents[tile])
            if d_weight is not None:
                d_weight.addmm_(d_logits.T, latents[tile])
            if d_bias is not None:
                d_bias += d_logits.sum(0)
        d_latents *= sharpness
        if d_bias is not None:
            d_bias *= sharpness
        return _restored(d_latents, order), d_weight, d_bias, None, None, None, None


def _gumbel_(room: Tensor, seed: int) -> Tensor:
    """Fills ``room`` with Gumbel noise, ``-log(-log(u))``, all of it finite, and returns it."""
    if room.device.type != "cpu":
        generator = torch.Generator(room.device).manual_seed(seed)
        # The bounds keep u = 0 and u = 1, which would be infinite, out.
        return room.uniform_(1e-20, 1 - 1e-7, generator=generator).log_().neg_().log_().neg_()
    # NumPy's generator makes 64 bits at a time and its logarithm is vectorized: together 2.5 times faster.
    bits = np.random.SFC64(seed).random_raw(-(-room.numel() // 2)).view(np.int32)[: room.numel()]
    # From -2^31 up to 2^31, which float32 rounds to: u lies from 2^-23 to 1 - 2^-23.
    values = bits.astype(np.float32)
    values *= 2.0**-32 * (1 - 2.0**-22)
    values += 0.5
    np.log(values, out=values)
    np.negative(values, out=values)
    np.log(values, out=values)
    return room.copy_(torch.from_numpy(values).view_as(room)).neg_()


def _first_largest(logits: Tensor) -> Tensor:
    """Where in its row the largest entry is, the first where several are: ``[M]`` int64."""
    tokens, codes = logits.shape
    if logits.device.type != "cpu" or codes % _BLOCK:
        return logits.max(1).indices  # many times faster than argmax on a CPU
    # A CPU finds maxima of blocks five times faster than places, and then there are few entries left.
    blocks = logits.view(tokens, -1, _BLOCK)
    block = blocks.amax(2).max(1).indices
    within = blocks[torch.arange(tokens), block].max(1).indices
    return block * _BLOCK + within


def _contiguous(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    return tuple(None if tensor is None else tensor.detach().contiguous() for tensor in tensors)


def _logit_tiles(
    latents: Tensor, weight: Tensor, bias: Tensor | None, sampled: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Every tile with its logits and with room of their shape; both are overwritten by the next tile's.

    The first ``sampled`` tokens have tiles of their own.
    """
    kind, count, codes = latents.device.type, len(latents), len(weight)
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    rows = min(_rows(codes, kind), max(count, 1))
    logits, scratch = latents.new_empty(2, rows, codes)
    for first, last in ((0, sampled), (sampled, count)):
        for part in _tiles(last - first, codes, kind):
            tile = slice(first + part.start, first + part.stop)
            here = logits[: tile.stop - tile.start]
            if bias is None:
                torch.mm(latents[tile], weight.T, out=here)
            else:
                torch.addmm(bias, latents[tile], weight.T, out=here)
            yield tile, here, scratch[: len(here)]


def _tiles(tokens: int, codebook_size: int, kind: str) -> Iterator[slice]:
    """``tokens`` rows, a tile at a time."""
    rows = _rows(codebook_size, kind)
    return (slice(start, min(start + rows, tokens)) for start in range(0, tokens, rows))


def _rows(codebook_size: int, kind: str) -> int:
    return max(_FEWEST_ROWS, _ENTRIES.get(kind, _MANY_ENTRIES) // codebook_size)


def _order(noise: GumbelNoise | None) -> tuple[Tensor | slice, int]:
    """The order in which the tokens with noise come first, and how many they are."""
    return (slice(None), 0) if noise is None else (noise.order(), noise.count)


def _restored(rows: Tensor, order: Tensor | slice) -> Tensor:
    """``rows`` in the order in which the tokens came."""
    return rows if isinstance(order, slice) else torch.empty_like(rows).index_copy_(0, order, rows)
