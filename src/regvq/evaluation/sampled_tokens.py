"""How well a decoder bears tokens that are drawn instead of chosen.

In generation a decoder meets tokens that a generator sampled: plausible ones, rarely the best. Here
each token is drawn from ``softmax(token_logits / T)``. Logits of different quantizers have different
scales, so equal temperatures would mean different things; ``T`` is set per tokenizer such that the
same share of the tokens differs from the best match. At each location a generator errs the way the
tokenizer's own posterior does, towards codes that it holds for similar.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.evaluation.tokenizer import EvalMode
from regvq.metrics import PSNR, FrechetDistance
from regvq.nets import FeatureNet
from regvq.quantizers import Quantizer
from regvq.tokenizers import ImageTokenizer

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)
TOLERANCE = 0.01
"""How far the expected share may lie from the wanted one and still count as reached."""

_CHUNK = 2**22  # logits that exist at once: 16 MiB
_SEARCH_LOGITS = 2**21
_SEARCH_STEPS = 26


@dataclass(frozen=True)
class SampledPoint:
    """What became of the images at one share of changed tokens.

    Attributes:
        share: the share that was asked for, in [0, 1].
        temperature: the T that gives it; 0 for the best match itself; ``None`` where no T gives it.
        measured_share: the share of tokens that did change; ``None`` where it was not reached.
        psnr: dB over the whole set; ``None`` where it was not reached.
        frechet: Fréchet distance between originals and decoded images; ``None`` where the share was
            not reached.
    """

    share: float
    temperature: float | None
    measured_share: float | None
    psnr: float | None
    frechet: float | None


@dataclass(frozen=True)
class SampledTokens:
    """The curve over shares, and what plain sampling does.

    Attributes:
        points: one a share, in the order asked for.
        at_one: the point at T = 1; its ``share`` is the expected one.
        features: name of the features of the Fréchet distance.
    """

    points: tuple[SampledPoint, ...]
    at_one: SampledPoint
    features: str

    def at(self, share: float) -> SampledPoint:
        """The point for ``share``.

        Raises:
            KeyError: that share was not asked for.
        """
        for point in self.points:
            if math.isclose(point.share, share, abs_tol=1e-9):
                return point
        raise KeyError(share)


@torch.no_grad()
def sampled_tokens(
    tokenizer: ImageTokenizer,
    images: Tensor,
    features: FeatureNet,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    batch_size: int = 128,
) -> SampledTokens:
    """Decodes ``images`` from sampled tokens, at every share of changed tokens.

    The same Gumbel noise is used at every temperature, so the points of a curve differ by the
    temperature alone. Only latents and codes are kept; logits exist a chunk at a time.

    Args:
        tokenizer: used in eval mode, left in the mode it came in.
        images: ``[B, 3, H, W]`` float32 in [-1, 1].
        features: the net in whose pooled features the Fréchet distance is taken.
        shares: of tokens that differ from the best match, each in [0, 1).
        seed: of the noise.
        batch_size: images decoded at once.

    Raises:
        RegvqError: a share outside [0, 1), or fewer than two images.
    """
    if any(not 0 <= share < 1 for share in shares):
        raise RegvqError(f"shares of changed tokens must lie in [0, 1), not {list(shares)}")
    if len(images) < 2:
        raise RegvqError("sampled tokens need at least two images: the Fréchet distance takes no fewer")
    with EvalMode(tokenizer):
        device = tokenizer.post_quant_conv.weight.device
        latents = torch.cat([tokenizer.latents(part.to(device)) for part in images.split(batch_size)])
        rows = _rows(latents)
        search = TemperatureSearch(tokenizer.quantizer, rows)
        wanted = [0.0 if share == 0 else search.temperature(share) for share in shares]
        temperatures = [temperature for temperature in wanted if temperature is not None]
        codes = draw(tokenizer.quantizer, rows, [0.0, *temperatures, 1.0], seed)
        grid = (len(images), *latents.shape[2:])
        frechet = FrechetDistance(features, keep_originals=True)
        for part in images.split(batch_size):
            frechet.update(part, original=True)

        def point(share: float, temperature: float, drawn: Tensor) -> SampledPoint:
            psnr = PSNR()
            frechet.reset()
            for part, tokens in zip(
                images.split(batch_size), drawn.view(grid).split(batch_size), strict=True
            ):
                decoded = tokenizer.decode(tokens).cpu()
                psnr.update(decoded, part)
                frechet.update(decoded, original=False)
            changed = float((drawn != codes[0]).double().mean())
            return SampledPoint(
                share, temperature, changed, float(psnr.compute()), float(frechet.compute())
            )

        drawn = iter(codes[1:])
        points = tuple(
            SampledPoint(share, None, None, None, None)
            if temperature is None
            else point(share, temperature, next(drawn))
            for share, temperature in zip(shares, wanted, strict=True)
        )
        at_one = point(search.share(1.0), 1.0, codes[-1])
    return SampledTokens(points, at_one, features.name)


@torch.no_grad()
def decode_sampled(tokenizer: ImageTokenizer, images: Tensor, temperature: float, seed: int = 0) -> Tensor:
    """``images`` [B, 3, H, W] decoded from tokens drawn at ``temperature``: the same shape, in [-1, 1]."""
    with EvalMode(tokenizer):
        latents = tokenizer.latents(images.to(tokenizer.post_quant_conv.weight.device))
        (codes,) = draw(tokenizer.quantizer, _rows(latents), [temperature], seed)
        return tokenizer.decode(codes.view(len(images), *latents.shape[2:])).cpu()


def draw(quantizer: Quantizer, rows: Tensor, temperatures: Sequence[float], seed: int) -> list[Tensor]:
    """Codes drawn from ``softmax(logits / T)`` for each T, all with the same noise.

    ``argmax(logits / T + g)`` is ``argmax(logits + T g)``, which also serves T = 0, the best match.

    Args:
        quantizer: gives the logits of ``rows``.
        rows: latents ``[M, D]`` float32.
        temperatures: each at least 0.
        seed: of the Gumbel noise.

    Returns:
        One ``[M]`` int64 tensor a temperature.
    """
    generator = torch.Generator(rows.device).manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in temperatures]
    for logits in _logits(quantizer, rows):
        # -log of an exponential variable is standard Gumbel; its floor keeps the logarithm finite.
        noise = torch.empty_like(logits).exponential_(generator=generator).clamp_min_(1e-20)
        noise = noise.log_().neg_()
        for part, temperature in zip(parts, temperatures, strict=True):
            part.append(torch.add(logits, noise, alpha=temperature).argmax(1))
    return [torch.cat(part) for part in parts]


class TemperatureSearch:
    """Finds the temperature at which a wanted share of tokens changes.

    The expected share needs no sampling: it is the mean of ``1 - softmax(logits / T)[argmax]``, which
    rises with T. It is bisected on some of the tokens; what they are off by against all tokens is
    measured and taken into account, for the next share too, because passes over all logits are what
    costs time.

    Args:
        quantizer: gives the logits of ``rows``.
        rows: latents ``[M, D]`` float32.
    """

    def __init__(self, quantizer: Quantizer, rows: Tensor) -> None:
        self.quantizer = quantizer
        self.rows = rows
        size = max(256, _SEARCH_LOGITS // quantizer.codebook_size)
        # Drawn, not strided: a stride that divides the grid would see the same few locations always.
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:size]
        sampled_rows = rows[chosen.to(rows.device)]
        self.sample = torch.cat([_below_best(part) for part in _logits(quantizer, sampled_rows)])
        spread = float(-self.sample.min())
        # From next to deterministic to next to uniform, whatever the scale of the logits.
        self.low, self.high = 1e-6 * spread, 1e3 * spread
        self.offset = 0.0

    def share(self, temperature: float) -> float:
        """The expected share of all tokens that differ from the best match at ``temperature`` > 0."""
        total = sum(
            float(_change(_below_best(part), temperature).sum())
            for part in _logits(self.quantizer, self.rows)
        )
        return total / len(self.rows)

    def temperature(self, share: float) -> float | None:
        """The T at which ``share`` of the tokens changes; ``None`` where there is none.

        N codes cannot give more than ``1 - 1/N``; tied logits change tokens however small T is.
        """
        if self.high == 0:  # every logit equals every other: T changes nothing
            return 1.0 if abs(self.share(1.0) - share) <= TOLERANCE else None
        temperature, error = 1.0, math.inf
        for _ in range(3):
            temperature = _bisect(
                lambda value: float(_change(self.sample, value).mean()),
                share - self.offset,
                self.low,
                self.high,
            )
            error = self.share(temperature) - share
            # An unreachable share says nothing about the tokens that were searched on.
            self.offset = self.offset + error if abs(error) <= 5 * TOLERANCE else 0.0
            if abs(error) <= TOLERANCE / 5:
                break
        return temperature if abs(error) <= TOLERANCE else None


def _bisect(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where ``rising`` crosses ``target`` in [low, high], by halving the interval's ratio."""
    for _ in range(_SEARCH_STEPS):
        middle = math.sqrt(low * high)
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def _change(below_best: Tensor, temperature: float) -> Tensor:
    """``1 - softmax(logits / T)[argmax]`` of logits with their row's best subtracted: ``[M]``."""
    return 1 - 1 / (below_best / temperature).exp_().sum(1)


def _below_best(logits: Tensor) -> Tensor:
    return logits - logits.amax(1, keepdim=True)


def _rows(latents: Tensor) -> Tensor:
    return latents.flatten(2).transpose(1, 2).reshape(-1, latents.shape[1]).float()


def _logits(quantizer: Quantizer, rows: Tensor) -> Iterator[Tensor]:
    for part in rows.split(max(1, _CHUNK // quantizer.codebook_size)):
        yield quantizer.logits(part)
