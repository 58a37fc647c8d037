"""An invisible mark in an image, and the test that finds it without the original.

Spread spectrum: the mark turns the coefficients of some hundreds of carriers (``carriers.py``) towards
their signs. With ``x`` a coefficient times its sign, in levels of 8 bits, the score of a picture is

    z = sum w r / sqrt(sum (w r)^2),    r = clip(x / STEP, -1, 1),    w = 1 / (m + CALM)

over the carriers, ``m`` being the mean magnitude around a coefficient, so that carriers which the picture
itself shakes count for little. Weights and ``|r|`` know nothing of signs. A picture without the mark has
either sign at each carrier, as likely as not, so ``z`` is a normalised sum of fair coin tosses: a
standard normal variable, whose upper tail exceeds the normal one by a factor of 3.2 at the most (Bentkus,
Dzindzalieta, Bernoulli 21, 2015). docs/responsible-use.md has what was measured on photographs.

Carriers reach up to a share of the picture's resolution, and after a resize the share is another one: the
detector looks for the carriers of a picture of this size, of a ninth more and of an eleventh less, and
its probability counts all looks.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from regvq.provenance import carriers

CHANCE = 1e-6
"""A picture is taken for marked where one without a mark scores as high with at most this probability."""

LOOKS = (1.0, 1 / 0.9, 1 / 1.1)
"""How many times as large the picture may have been when it was marked."""

LEAST_PSNR = 37.0
"""In dB: what the mark never goes below; smooth and large pictures need far less of it."""

STEP = 5.0
"""Levels from which on a coefficient speaks for its sign with full voice: twice JPEG's error or more."""

CALM = 8.0
"""Levels of a coefficient's surroundings below which all count alike."""

SMALLEST = 8
"""Pixels of a side below which a picture has no room for the mark."""

_GOAL, _GOAL_SIDE, _GROWTH = 12.0, 64, 0.75
"""The score at which marking stops, up to which side, and by which power of the side it grows beyond: a
large picture has room, and where it is smooth JPEG would round a fainter mark away."""

_ROUNDS = 6


def mark(images: Tensor, drawn: Tensor | None = None) -> Tensor:
    """Images with the mark.

    Carriers are turned in the order of what they cost, until the score is reached that outlives JPEG and
    a resize, or the noise that ``LEAST_PSNR`` allows. Textured places get more of it than smooth ones.
    Red, green and blue change alike. No chance: equal images are marked alike.

    Args:
        images: ``[B, 3, H, W]`` in [-1, 1], float.
        drawn: ``[H, W]`` bool, the pixels that may change; all of them where none are named.

    Returns:
        The same shape, type, device and range.
    """
    height, width = images.shape[2:]
    if min(height, width) < SMALLEST or (drawn is not None and not drawn.any()):
        return images
    levels, band = _levels(images), carriers.band(height, width)
    before = carriers.luminance(levels)
    rows, columns = (
        carriers.waves(side, count) for side, count in zip((height, width), band.shape, strict=True)
    )
    signs = carriers.signs(*band.shape)
    weight = _where_it_hides(before)
    if drawn is not None:
        weight = weight * drawn.cpu()
    changing = (weight > 0).sum((1, 2), keepdim=True)
    weight = weight / (weight.square().sum((1, 2), keepdim=True) / changing).sqrt()
    energy = changing * (255 / 10 ** (LEAST_PSNR / 20)) ** 2
    goal = _GOAL * max(1.0, math.sqrt(height * width) / _GOAL_SIDE) ** _GROWTH
    turned = _turned(carriers.coefficients(before, rows, columns), signs, band, energy, goal)
    lowest, highest = -levels.amin(1), 255 - levels.amax(1)
    change = torch.zeros_like(before)
    # What the weight and the ends of the range take away goes in again with the next round.
    for _ in range(_ROUNDS):
        aligned = signs * carriers.coefficients(before + change, rows, columns)
        push = signs * (STEP - aligned).clamp(min=0) * turned
        change = (change + weight * (rows.T @ push @ columns)).clamp(lowest, highest)
        spent = change.square().sum((1, 2), keepdim=True)
        change = change * (energy / spent.clamp(min=1e-9)).sqrt().clamp(max=1)
    marked = (levels + change[:, None]).div(127.5).sub(1).clamp(-1, 1)
    return marked.to(images.device, images.dtype)


def score(images: Tensor) -> Tensor:
    """How strongly images speak for the mark: the largest ``z`` of all looks.

    Args:
        images: ``[B, 3, H, W]`` in [-1, 1], float.

    Returns:
        ``[B]`` float64; 0 for pictures of a few pixels or of one colour, which say nothing.
    """
    return looks(images).amax(1)


def looks(images: Tensor) -> Tensor:
    """``z`` of images ``[B, 3, H, W]`` in [-1, 1] at every look: ``[B, len(LOOKS)]`` float64."""
    height, width = images.shape[2:]
    if min(height, width) < SMALLEST:
        return torch.zeros(len(images), len(LOOKS), dtype=torch.float64)
    luminance = carriers.luminance(_levels(images))
    up, across = carriers.counts(height, width, max(LOOKS))
    found = carriers.coefficients(luminance, carriers.waves(height, up), carriers.waves(width, across))
    scores = []
    for scale in LOOKS:
        band = carriers.band(height, width, scale)
        part = found[:, : band.shape[0], : band.shape[1]]
        voices = _weights(part) * _response(part * carriers.signs(*band.shape)) * band
        length = voices.square().sum((1, 2)).sqrt()
        # Of a picture of one colour nothing is left but rounding errors.
        scores.append(voices.sum((1, 2)) / length.clamp(min=1e-6))
    return torch.stack(scores, 1)


def chance(score: float, tried: int = 1) -> float:
    """The probability that the best of ``tried`` pictures without a mark scores as high: in [0, 1].

    By the normal tail of one look, times all looks of all pictures (Bonferroni).
    """
    return min(1.0, tried * len(LOOKS) * math.erfc(score / math.sqrt(2)) / 2)


def _levels(images: Tensor) -> Tensor:
    """Pixels in [0, 255] as float64 on the CPU: the same arithmetic on every device."""
    return images.detach().cpu().double().clamp(-1, 1).add(1).mul(127.5)


def _turned(found: Tensor, signs: Tensor, band: Tensor, energy: Tensor, goal: float) -> Tensor:
    """Which carriers are turned: ``[B, U, V]`` of 0 and 1.

    The cheapest ones, by energy for what is gained, until the goal is reached or the energy is spent.
    """
    aligned, weights = signs * found, _weights(found) * band
    response = _response(aligned)
    missing = (STEP - aligned).clamp(min=0)
    gain = weights * (1 - response)
    cost = missing.square() / gain.clamp(min=1e-12)
    order = cost.where(band, torch.inf).flatten(1).argsort(dim=1, stable=True)

    def running(start: Tensor, steps: Tensor) -> Tensor:
        return (start * band).sum((1, 2))[:, None] + (steps * band).flatten(1).gather(1, order).cumsum(1)

    voices = weights * response
    length = running(voices.square(), weights.square() - voices.square()).sqrt()
    reached = running(voices, gain) / length.clamp(min=1e-12)
    spent = running(torch.zeros_like(missing), missing.square())
    free = missing.flatten(1).gather(1, order) == 0  # turned by nature: kept from being turned back
    chosen = (free | (reached < goal)) & (spent <= energy[:, 0])
    return torch.zeros_like(spent).scatter(1, order, chosen.double()).view_as(found) * band


def _response(aligned: Tensor) -> Tensor:
    """What a coefficient says: in [-1, 1]."""
    return (aligned / STEP).clamp(-1, 1)


def _weights(found: Tensor) -> Tensor:
    """How much each of the coefficients ``[B, U, V]`` counts, by the magnitude of its neighbours."""
    magnitude = found.abs()
    with_itself = avg_pool2d(magnitude[:, None], 5, stride=1, padding=2)[:, 0]
    return 1 / ((25 * with_itself - magnitude) / 24 + CALM)


def _where_it_hides(luminance: Tensor) -> Tensor:
    """How much of the mark each pixel takes, for luminance ``[B, H, W]``: more where there is texture."""
    mean, square = (
        avg_pool2d(values[:, None], 5, stride=1, padding=2, count_include_pad=False)[:, 0]
        for values in (luminance, luminance.square())
    )
    return ((square - mean.square()).clamp(min=0).sqrt() + 4) ** 0.25
