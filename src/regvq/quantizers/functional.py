"""The maths of vector quantization: pure functions of tensors, named as in the paper.

Shapes: ``M`` tokens, ``N`` codes, ``D`` dimensions, ``B`` samples, ``L`` locations a sample.
All of it expects float32; the callers see to that. This is the readable form, which builds the
token-by-code matrix; ``tiles`` does the same without it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from regvq.quantizers.scores import Scores


def euclidean_scores(latents: Tensor, codes: Tensor, variance: Tensor | float) -> Scores:
    """``-|h - e|^2 / (2 variance)`` of ``latents`` [M, D] and ``codes`` [N, D]."""
    # Far from the origin the squares would swallow the differences. A shift of both changes nothing else.
    centre = codes.detach().mean(0)
    latents, codes = latents - centre, codes - centre
    return Scores(
        latents,
        weight=codes / variance,
        bias=codes.square().sum(1) / (-2 * variance),
        offset=latents.square().sum(1) / (-2 * variance),
    )


def cosine_scores(latents: Tensor, codes: Tensor, scale: Tensor | float) -> Scores:
    """``scale * cos(h, e)`` of unit-norm ``latents`` [M, D] and ``codes`` [N, D]."""
    return Scores(latents, weight=scale * codes)


def gumbel_noise(like: Tensor) -> Tensor:
    """Standard Gumbel noise of the shape of ``like``: ``-log(-log(u))``, u uniform in (0, 1)."""
    # Clamped on both sides: u = 0 and u = 1 would give an infinite logit.
    uniform = torch.rand_like(like).clamp_(1e-20, 1 - 1e-7)
    return uniform.log_().neg_().log_().neg_()


def stochastic_mask(batch: int, length: int, ratio: float, device: torch.device) -> Tensor:
    """Draws which locations are sampled (paper, section 3.3): ``[B, L]`` bool.

    Exactly ``round(ratio * length)`` locations of every sample, drawn anew for each sample.
    """
    share = round(ratio * length)
    order = torch.rand(batch, length, dtype=torch.float32, device=device).argsort(dim=1)
    mask = torch.zeros(batch, length, dtype=torch.bool, device=device)
    return mask.scatter_(1, order[:, :share], True)


def token_counts(codes: Tensor, codebook_size: int, valid: Tensor | None = None) -> Tensor:
    """Return how often each code occurs in ``codes`` (any shape, int64): ``[N]`` float32.

    Args:
        codes: each in [0, N).
        codebook_size: number of codes N.
        valid: of the shape of ``codes``, bool: those that count; all if none is given.
    """
    counts = torch.zeros(codebook_size, dtype=torch.float32, device=codes.device)
    ones = counts.new_ones(codes.numel()) if valid is None else valid.flatten().float()
    return counts.index_add_(0, codes.flatten(), ones)


def mean_squared_error(a: Tensor, b: Tensor, valid: Tensor) -> Tensor:
    """Return the mean of ``(a - b)^2`` over the channels of the ``valid`` tokens, 0 where there are none.

    Args:
        a: ``[M, D]``.
        b: ``[M, D]``.
        valid: ``[M]`` bool.
    """
    error = torch.where(valid, squared_distance(a, b), 0.0).sum()
    return error / (valid.sum().clamp_min(1) * a.shape[1])


def perplexity(counts: Tensor) -> Tensor:
    """``exp`` of the entropy of ``counts`` [N]: in [1, N], the number of codes worth of evenness."""
    probability = counts / counts.sum().clamp_min(1)
    return torch.xlogy(probability, probability).sum().neg().exp()


def usage(counts: Tensor) -> Tensor:
    """The share of codes that occur at all, of ``counts`` [N]: in [0, 1]."""
    return (counts > 0).float().mean()


def kl_divergence(probability: Tensor, log_prior: Tensor) -> Tensor:
    """``KL(p || prior) = sum p (log p - log prior)`` in nats, ``0 log 0 = 0`` (paper, eq. 3)."""
    return (torch.xlogy(probability, probability) - probability * log_prior).sum()


def kl_floor(codebook_size: int, tokens: int) -> float:
    """The least KL to a uniform prior that ``tokens`` one-hot tokens can reach, in nats."""
    return math.log(max(codebook_size / max(tokens, 1), 1.0))


def kl_slope(probability: Tensor, log_prior: Tensor, tokens: int) -> Tensor:
    """``dKL/dp_n = log p_n - log prior_n + 1``, ``[N]``, finite where a code is unused.

    An unused code has ``-inf``; half a token's worth of probability stands in for zero.
    """
    return probability.clamp_min(1 / (2 * tokens)).log() - log_prior + 1


def prior_gradient(posterior: Tensor, slope: Tensor) -> Tensor:
    """Zero with the gradient of ``posterior.sum(0) @ slope``, the slope held constant: a scalar.

    The posterior over the batch is a mean of one-hots, which has no gradient; in the backward pass each
    one-hot is replaced by its softmax (paper, section 3.2). Divided by the number of tokens, this is what
    the KL lacks.
    """
    surrogate = posterior.sum(0) @ slope.detach()
    return surrogate - surrogate.detach()


@dataclass(frozen=True)
class ReadableChoice:
    """What ``regularized_choice`` gives.

    Attributes:
        best_codes: ``[M]`` int64, the argmax of the logits.
        codes: ``[M]`` int64, the chosen ones: the argmax with noise where there is any.
        assignment: ``[M, N]``, one-hots of ``codes`` with the gradient of the softmax that chose them.
        posterior: ``[N]``, how large a share of the tokens each code has; no gradient.
        kl: of the posterior to the prior, a scalar, with the gradient that the softmax gives it.
    """

    best_codes: Tensor
    codes: Tensor
    assignment: Tensor
    posterior: Tensor
    kl: Tensor


def regularized_choice(
    logits: Tensor, noise: Tensor, mask: Tensor, temperature: float, log_prior: Tensor
) -> ReadableChoice:
    """Reg-VQ's choice and its prior term with every matrix written out (paper, sections 3.2 and 3.3).

    What ``tiles`` and ``RegularizedVectorQuantizer`` do is held to this. ``assignment @ codes`` is what
    the paper calls ``quantized``. All in the dtype of the logits.

    Args:
        logits: ``[M, N]``.
        noise: ``[M, N]``, Gumbel noise, drawn by the caller.
        mask: ``[M]`` bool, the tokens to which it is added.
        temperature: of the softmax in the backward pass.
        log_prior: ``[N]``.
    """
    noisy = torch.where(mask[:, None], logits + noise, logits)
    codes, (tokens, codebook_size) = noisy.argmax(1), logits.shape
    soft = (noisy / temperature).softmax(1)
    posterior = token_counts(codes, codebook_size).to(logits.dtype) / tokens
    pull = prior_gradient(soft, kl_slope(posterior, log_prior, tokens)) / tokens
    return ReadableChoice(
        best_codes=logits.argmax(1),
        codes=codes,
        assignment=F.one_hot(codes, codebook_size).to(soft) + (soft - soft.detach()),
        posterior=posterior,
        kl=kl_divergence(posterior, log_prior) + pull,
    )


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """``|a - b|^2`` over the last dimension: the perturbation of a sampled code (paper, section 3.4)."""
    difference = a - b
    distance: Tensor = torch.linalg.vecdot(difference, difference)
    return distance


def expected_gradient(posterior: Tensor, codes: Tensor) -> Tensor:
    """Zeros [M, D] with the gradient of the expected embedding ``posterior @ codes``, codes held constant.

    Added to the chosen embeddings it makes ``(one_hot - sg(posterior) + posterior) @ codes``: the
    codebook learns through the one-hot alone, the encoder through the softmax (the paper's form).
    """
    expected = posterior @ codes.detach()
    return expected - expected.detach()


def identity_straight_through(latents: Tensor, chosen: Tensor) -> Tensor:
    """The chosen embeddings [M, D]; the gradient goes to the latents unchanged (VQ-VAE)."""
    # Adding an exact zero keeps the value bit-identical to the embedding.
    return chosen.detach() + (latents - latents.detach())


def balanced_straight_through(
    latents: Tensor,
    chosen: Tensor,
    best: Tensor,
    commitment: float,
    total: Callable[[Tensor], Tensor] = Tensor.detach,
) -> Tensor:
    """Return the chosen embeddings [M, D]; latents get their gradient ``g`` and a pull in proportion.

    The latents' gradient is ``g + commitment * |g| / |h - e| * (h - e)``, ``e`` the best embeddings and the
    norms those of the whole matrices.

    Args:
        latents: ``[M, D]``.
        chosen: ``[M, D]``.
        best: ``[M, D]``.
        commitment: norm of the pull over that of ``g``.
        total: sums two numbers over all ranks, where these share a batch.
    """
    balanced: Tensor = _Balanced.apply(latents, chosen.detach(), best.detach(), commitment, total)
    return balanced


class _Balanced(torch.autograd.Function):
    @staticmethod
    def forward(
        latents: Tensor, chosen: Tensor, best: Tensor, commitment: float, total: Callable[[Tensor], Tensor]
    ) -> Tensor:
        return chosen.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        latents, _, best, ctx.commitment, ctx.total = inputs
        ctx.save_for_backward(latents - best)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (error,) = ctx.saved_tensors
        squares = torch.stack([gradient.double().square().sum(), error.double().square().sum()])
        pull, distance = ctx.total(squares)
        # Where every latent lies on its code, there is nothing to pull.
        scale = torch.where(distance > 0, ctx.commitment * (pull / distance).sqrt(), 0.0)
        return gradient + scale.to(gradient) * error, None, None, None, None


def rotation_straight_through(latents: Tensor, chosen: Tensor) -> Tensor:
    """The chosen embeddings [M, D] as a rotation and rescaling of the latents, held constant.

    Fifty et al., "Restructuring Vector Quantization with the Rotation Trick", 2024, eq. 4:
    ``q = |e|/|h| (h - 2 r r^T h + 2 e^ h^^T h)``, with ``r`` the unit sum of the unit vectors.
    The gradient is rotated the way the latent was, so it differs within a code's cell.
    """
    with torch.no_grad():
        norm = latents.norm(dim=1, keepdim=True).clamp_min(1e-6)
        unit_latent = latents / norm
        unit_chosen = F.normalize(chosen, dim=1, eps=1e-6)
        middle = F.normalize(unit_latent + unit_chosen, dim=1, eps=1e-6)
        scale = chosen.norm(dim=1, keepdim=True) / norm
    rotated: Tensor = (
        latents
        - 2 * (latents * middle).sum(1, keepdim=True) * middle
        + 2 * (latents * unit_latent).sum(1, keepdim=True) * unit_chosen
    )
    rotated = scale * rotated
    # The rotation reproduces the embedding up to rounding; adding an exact zero keeps it exact.
    return chosen.detach() + (rotated - rotated.detach())
