"""What is measured of a plain loop, in eval mode on held-out samples."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loop_corruption import corrupted, error_variance, nearest_draws, posterior_draws
from loop_data import Samples
from loop_zoo import Loop
from regvq.quantizers import Quantizer, functional

SHARES = (0.4, 0.8)
_BATCH = 64
_MOST_TOKENS = 65536
_CORRUPTED_LOGITS, _MOST_CORRUPTED = 2**25, 8192


class Model(Protocol):
    """What the measurements need of an autoencoder with a quantizer."""

    quantizer: Quantizer
    decoder: nn.Module

    def latents(self, inputs: Tensor) -> Tensor:
        """Return what the quantizer is given: ``[B, D, *S]``."""
        ...


@dataclass(frozen=True)
class HeldOut:
    """Figures of one pass over held-out samples.

    Attributes:
        loss: the loop's own loss, per element.
        quality: dB, higher is better, see ``quality``.
        usage: share of the codes that occur.
        perplexity: of all tokens.
    """

    loss: float
    quality: float
    usage: float
    perplexity: float


def held_out_samples(loop: Loop, most: int) -> int:
    """Return how many samples the final figures are measured on: 8 N tokens, 16,384 to 65,536."""
    tokens = min(max(8 * loop.codebook_size, 16384), _MOST_TOKENS)
    return min(most, tokens // loop.tokens_per_sample)


def curve_samples(loop: Loop, most: int) -> int:
    """Return how many samples the curve is measured on: 8 N tokens, 4,096 to 16,384."""
    tokens = min(max(8 * loop.codebook_size, 4096), 16384)
    return min(most, tokens // loop.tokens_per_sample)


def corrupted_samples(loop: Loop, most: int) -> int:
    """Return how many samples token corruption is measured on: up to 8,192 tokens."""
    tokens = min(_MOST_CORRUPTED, _CORRUPTED_LOGITS // loop.codebook_size)
    return min(most, tokens // loop.tokens_per_sample)


def loop_loss(loop: Loop, output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return the loop's reconstruction loss of a decoder's ``output``."""
    output = output.float()
    if loop.loss == "cross-entropy":
        return F.cross_entropy(output, target, reduction=reduction)
    of = F.l1_loss if loop.loss == "l1" else F.mse_loss
    return of(output, target, reduction=reduction)


def quality_name(loop: Loop) -> str:
    """Name the quality: absolute PSNR wherever inputs are reconstructed."""
    if loop.loss == "cross-entropy":
        return "-10 log10 bits"
    return "SNR dB" if loop.frozen else "PSNR dB"


def quality(loop: Loop, loss: float, squared_error: float, variance: float) -> float:
    """Return one figure in dB, higher is better.

    PSNR with a peak of 2 (inputs lie in [-1, 1], outputs are not clamped); of frozen features the ratio of
    their variance to the squared error; of cross-entropy ``-10 log10`` of the bits per place, so that 1 dB
    is the same factor on the loss as it is with MSE.
    """
    if loop.loss == "cross-entropy":
        return -10 * math.log10(max(loss / math.log(2), 1e-30))
    return 10 * math.log10((variance if loop.frozen else 4.0) / max(squared_error, 1e-30))


class Measurement:
    """Measures one model on the first samples of a held-out pool.

    Args:
        loop: whose loss is measured.
        model: in eval mode.
        samples: the held-out pool.
    """

    def __init__(self, loop: Loop, model: Model, samples: Samples) -> None:
        self.loop = loop
        self.model = model
        self.samples = samples

    @torch.no_grad()
    def held_out(self, count: int) -> HeldOut:
        """Measure loss, quality, usage and perplexity on ``count`` samples."""
        latents = self._latents(count)
        codes = self._encode(latents)
        loss, figure = self._decoded(latents, codes)
        counts = functional.token_counts(codes, self.loop.codebook_size).double()
        return HeldOut(loss, figure, float(functional.usage(counts)), float(functional.perplexity(counts)))

    @torch.no_grad()
    def corruption(self, count: int, seed: int) -> dict[str, dict[str, float]]:
        """Measure the decoder on corrupted tokens of ``count`` samples.

        The same ``seed`` gives every contestant the same positions and the same uniform numbers.

        Returns:
            By "clean", "posterior 40 %", "nearest 80 %", ...: ``quality``, ``loss`` and ``changed``, the
            share of all tokens that really changed.
        """
        latents = self._latents(count)
        codes = self._encode(latents)
        rows = latents.flatten(2).transpose(1, 2).reshape(-1, self.loop.dim)
        codebook, flat = self.model.quantizer.codebook, codes.flatten()
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(flat), generator=generator)
        uniform = torch.rand(len(flat), generator=generator)
        variance = error_variance(rows, codebook, flat)
        draws = {
            "posterior": posterior_draws(rows, codebook, variance, uniform),
            "nearest": nearest_draws(rows, codebook, uniform),
        }
        loss, figure = self._decoded(latents, codes)
        result = {"clean": {"quality": figure, "loss": loss, "changed": 0.0}}
        for kind, drawn in draws.items():
            for share in SHARES:
                tokens, changed = corrupted(flat, drawn, share, order)
                loss, figure = self._decoded(latents, tokens.view(codes.shape))
                result[f"{kind} {share:.0%}".replace("%", " %")] = {
                    "quality": figure,
                    "loss": loss,
                    "changed": changed,
                }
        return result

    def _latents(self, count: int) -> Tensor:
        """Return the latents of ``count`` samples ``[count, D, *S]`` in float32."""
        parts = self.samples.inputs[:count].split(_BATCH)
        return torch.cat([self.model.latents(part).float() for part in parts])

    def _encode(self, latents: Tensor) -> Tensor:
        return torch.cat([self.model.quantizer.encode(part) for part in latents.split(_BATCH)])

    def _decoded(self, latents: Tensor, codes: Tensor) -> tuple[float, float]:
        """Return loss and quality of the decoder on ``codes``."""
        losses, squares, elements = 0.0, 0.0, 0
        for start in range(0, len(codes), _BATCH):
            part = slice(start, min(start + _BATCH, len(codes)))
            output = self.model.decoder(self.model.quantizer.decode(codes[part]))
            target = self._target(latents, part)
            losses += float(loop_loss(self.loop, output, target, "sum"))
            elements += target.numel()
            if self.loop.loss != "cross-entropy":
                squares += float((output.float() - target).square().sum())
        variance = float(latents.var((0, *range(2, latents.ndim)), correction=0).mean())
        loss = losses / elements
        return loss, quality(self.loop, loss, squares / elements, variance)

    def _target(self, latents: Tensor, part: slice) -> Tensor:
        if self.loop.frozen:
            return latents[part]
        if self.loop.loss == "cross-entropy":
            assert self.samples.labels is not None
            return self.samples.labels[part]
        return self.samples.inputs[part]


def as_row(figures: HeldOut) -> dict[str, Any]:
    """Return the figures by name, as they are kept."""
    return {
        "loss": figures.loss,
        "quality": figures.quality,
        "usage": figures.usage,
        "perplexity": figures.perplexity,
    }
