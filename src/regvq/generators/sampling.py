"""Drawing tokens: pure functions of logits and of uniform numbers."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.types import SamplingOptions

_GROWTH: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: progress,
    "cosine": lambda progress: (1 - math.cos(math.pi * progress)) / 2,
}
"""How much of the guidance acts at a progress in [0, 1]."""


def check_options(options: SamplingOptions) -> None:
    """Refuses options that mean nothing.

    Raises:
        RegvqError: which one, and what it must be.
    """
    rules = (
        ("temperature", options.temperature, 0 < options.temperature < math.inf, "positive"),
        ("top_k", options.top_k, options.top_k >= 0, "at least 0 (0 is all tokens)"),
        ("top_p", options.top_p, 0 < options.top_p <= 1, "in (0, 1]"),
        ("guidance", options.guidance, 0 <= options.guidance < math.inf, "at least 0 (1 is none)"),
        ("steps", options.steps, options.steps is None or options.steps >= 1, "at least 1"),
    )
    for name, value, allowed, rule in rules:
        if not allowed:
            raise RegvqError(f"{name} must be {rule}, not {value}")
    if options.guidance_schedule not in _GROWTH:
        raise RegvqError(
            f"guidance_schedule must be one of {', '.join(_GROWTH)}, not {options.guidance_schedule!r}"
        )


def uniforms(options: SamplingOptions, batch_size: int, *shape: int) -> Tensor:
    """Numbers in [0, 1) for every image of a batch: ``[B, *shape]`` float32 on the CPU.

    Each image has a stream of its own, so that what becomes of it depends neither on the images beside
    it nor on the device.
    """
    rows = []
    for image in range(options.first, options.first + batch_size):
        # The seed's golden-ratio multiple keeps (seed, image) pairs apart without meeting for long.
        stream = (options.seed * 0x9E3779B97F4A7C15 + image) % 2**63
        rows.append(torch.rand(shape, generator=torch.Generator().manual_seed(stream)))
    return torch.stack(rows)


def _descending(values: Tensor) -> Tensor:
    """``values`` [..., N] float32, the greatest first in each row."""
    if values.device.type == "cpu":
        # NumPy sorts with vector instructions and keeps no indices: an eighth of the time for N = 1024.
        return torch.from_numpy(-np.sort(-values.detach().numpy(), axis=-1))
    return values.sort(dim=-1, descending=True).values


def truncated(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Logits ``[..., N]`` with all but the likeliest ones at minus infinity.

    The best always stays, and so does every token as likely as the least likely of those that stay.
    """
    if 0 < top_k < logits.shape[-1]:
        least = logits.topk(top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if top_p < 1:
        ordered = _descending(logits)
        probability = ordered.softmax(-1)
        # A token stays where those before it do not have top_p together yet.
        stay = (probability.cumsum(-1) - probability < top_p).sum(-1, keepdim=True)
        logits = logits.masked_fill(logits < ordered.gather(-1, stay - 1), -math.inf)
    return logits


def probabilities(logits: Tensor, options: SamplingOptions) -> Tensor:
    """What is drawn from: ``[..., N]``, after temperature and truncation."""
    return truncated(logits.float() / options.temperature, options.top_k, options.top_p).softmax(-1)


def pick(probability: Tensor, uniform: Tensor) -> Tensor:
    """One draw from each row of ``probability`` [..., N] by the inverse of its cumulated sum: ``[...]``.

    Args:
        probability: not negative; need not be normalised.
        uniform: ``[...]`` in [0, 1).
    """
    cumulated = probability.cumsum(-1)
    target = uniform.to(cumulated)[..., None] * cumulated[..., -1:]
    index = torch.searchsorted(cumulated, target, right=True)[..., 0]
    # Rounding may carry the target onto the whole sum: then the last one that has any probability.
    last = probability.shape[-1] - 1 - (probability > 0).flip(-1).to(torch.uint8).argmax(-1)
    return torch.minimum(index, last)


def guidance_at(options: SamplingOptions, progress: float) -> float:
    """The scale at ``progress`` in [0, 1] of the sampling."""
    return 1 + (options.guidance - 1) * _GROWTH[options.guidance_schedule](progress)


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """``l_0 + scale (l_c - l_0)`` (Ho and Salimans, "Classifier-Free Diffusion Guidance", eq. 6)."""
    return unconditional + scale * (conditional - unconditional)
