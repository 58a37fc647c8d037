"""Discrete diffusion as pure functions: states, transitions, posteriors and the bound.

Gu et al., "Vector Quantized Diffusion Model for Text-to-Image Synthesis", CVPR 2022; Austin et al.,
"Structured Denoising Diffusion Models in Discrete State-Spaces", 2021. States are the N codes and the
mask, number N. One step keeps a code with probability ``alpha + beta``, turns it into each other code
with probability ``beta`` and into the mask with ``gamma``; the mask stays. So a transition over any
number of steps has the same three numbers, and no matrix is ever built.

Shapes: ``t`` [B] int64 in [0, T]; states ``[B, L]``; distributions over states ``[B, L, N + 1]``, over
codes ``[B, L, N]``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-30


@dataclass(frozen=True)
class Transition:
    """What happens to a code between two times; each ``[B, 1, 1]``, or any shape that broadcasts.

    ``alpha + N beta + gamma = 1``.

    Attributes:
        alpha: probability to be left alone.
        beta: probability to be replaced by a given code, drawn evenly from all N.
        gamma: probability to be masked.
    """

    alpha: Tensor
    beta: Tensor
    gamma: Tensor


@dataclass(frozen=True)
class DiffusionSchedule:
    """The cumulated transitions from time 0 to each time.

    Attributes:
        kept: ``[T + 1]`` float64, falling from 1 to 0: the share of codes left alone until t.
        masked: ``[T + 1]`` float64, rising from 0: the share that is masked at t.
        codebook_size: number of codes N.
    """

    kept: Tensor
    masked: Tensor
    codebook_size: int

    @property
    def steps(self) -> int:
        """T."""
        return len(self.kept) - 1

    def on(self, device: torch.device) -> "DiffusionSchedule":
        """The same on a device; itself where it is there."""
        if self.kept.device == device:
            return self
        return DiffusionSchedule(self.kept.to(device), self.masked.to(device), self.codebook_size)

    def until(self, t: Tensor) -> Transition:
        """From time 0 to ``t``: the cumulated ``alpha``, ``beta`` and ``gamma`` (VQ-Diffusion, eq. 8)."""
        kept, masked = self.kept.to(t.device)[t], self.masked.to(t.device)[t]
        return self._transition(kept, masked)

    def between(self, s: Tensor, t: Tensor) -> Transition:
        """From time ``s`` to a later time ``t``."""
        kept, masked = self.kept.to(t.device), self.masked.to(t.device)
        # Nothing is left alone before s that could be left alone after it where kept[s] is 0.
        alpha = kept[t] / kept[s].clamp_min(TINY)
        gamma = 1 - (1 - masked[t]) / (1 - masked[s]).clamp_min(TINY)
        return self._transition(alpha, gamma)

    def _transition(self, alpha: Tensor, gamma: Tensor) -> Transition:
        # Never below zero by rounding: where nothing is replaced, beta is exactly zero.
        beta = (1 - alpha - gamma).clamp_min(0) / self.codebook_size
        beta = torch.where(beta * self.codebook_size < 1e-12, 0.0, beta)
        return Transition(*(value.float()[:, None, None] for value in (alpha, beta, gamma)))


def mask_and_replace(steps: int, codebook_size: int, final_mask: float = 0.9) -> DiffusionSchedule:
    """Codes kept fall linearly to none, masked ones rise linearly to ``final_mask`` (VQ-Diffusion, 4.1)."""
    time = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return DiffusionSchedule(1 - time, final_mask * time, codebook_size)


def absorbing(steps: int, codebook_size: int) -> DiffusionSchedule:
    """No code is replaced; all are masked in the end (D3PM, appendix A.2.2)."""
    return mask_and_replace(steps, codebook_size, final_mask=1.0)


def q_pred(x_0: Tensor, schedule: DiffusionSchedule, t: Tensor) -> Tensor:
    """``q(x_t | x_0)`` of codes ``x_0`` [B, L]: ``[B, L, N + 1]`` (VQ-Diffusion, eq. 8)."""
    step = schedule.until(t)
    size = schedule.codebook_size
    shape = (*x_0.shape, size + 1)
    result = step.beta.expand(shape).clone()
    result.scatter_add_(2, x_0[..., None], step.alpha.expand(*x_0.shape, 1))
    result[..., size:] = step.gamma
    return result


def q_posterior(x_t: Tensor, p_x_0: Tensor, schedule: DiffusionSchedule, t: Tensor, s: Tensor) -> Tensor:
    """``sum_k q(x_s | x_t, x_0 = k) p(x_0 = k)`` for an earlier time ``s``: ``[B, L, N + 1]``.

    With a one-hot ``p_x_0`` it is the posterior itself (VQ-Diffusion, eq. 5), with a predicted one the
    reverse step of the model (eq. 11). Codes from which ``x_t`` cannot come count for nothing; where
    codes are never replaced, a code stays what it is.

    Args:
        x_t: states ``[B, L]``.
        p_x_0: ``[B, L, N]``, a distribution over codes.
        schedule: the transitions.
        t: ``[B]``, later than ``s``.
        s: ``[B]``.
    """
    size = schedule.codebook_size
    until_t, until_s, between = schedule.until(t), schedule.until(s), schedule.between(s, t)
    masked = (x_t == size)[..., None]
    code = x_t.clamp_max(size - 1)[..., None]
    # q(x_t | x_0 = k) for all k at once: only whether x_t is the mask, or k itself, matters.
    likelihood = torch.where(masked, until_t.gamma, until_t.beta).expand_as(p_x_0).clone()
    likelihood.scatter_add_(2, code, torch.where(masked, 0.0, until_t.alpha))
    ratio = torch.where(likelihood > 0, p_x_0 / likelihood.clamp_min(TINY), 0.0)
    total = ratio.sum(-1, keepdim=True)
    # sum_k q(x_s = i | x_0 = k) ratio_k, then times q(x_t | x_s = i).
    codes = until_s.alpha * ratio + until_s.beta * total
    forward = torch.where(masked, between.gamma, between.beta).expand_as(p_x_0).clone()
    forward.scatter_add_(2, code, torch.where(masked, 0.0, between.alpha))
    stays_masked = torch.where(masked, until_s.gamma * total, 0.0)
    # There a truncated prediction may exclude the very code that is seen, and nothing would be left.
    certain = (~masked & (until_t.beta == 0)).to(p_x_0)
    seen = ((1 - certain) * forward * codes).scatter_add(2, code, certain)
    result = torch.cat([seen, stays_masked], dim=-1)
    return result / result.sum(-1, keepdim=True).clamp_min(TINY)


def kl(p: Tensor, q: Tensor) -> Tensor:
    """``KL(p || q)`` in nats over the last dimension; ``0 log 0 = 0``."""
    return (torch.xlogy(p, p) - torch.xlogy(p, q.clamp_min(TINY))).sum(-1)


def bound_term(x_0: Tensor, x_t: Tensor, p_x_0: Tensor, schedule: DiffusionSchedule, t: Tensor) -> Tensor:
    """One term of the variational bound: ``KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))``, ``[B, L]``.

    At ``t = 1`` the first is certain, and the term is ``-log p(x_0 | x_1)`` (VQ-Diffusion, eq. 12). The
    terms of all t add up to the bound: at time T codes are forgotten, so that no term is left there.
    """
    # torch's own one_hot looks at all codes first.
    one_hot = torch.zeros_like(p_x_0).scatter_(-1, x_0[..., None], 1.0)
    truth = q_posterior(x_t, one_hot, schedule, t, t - 1)
    return kl(truth, q_posterior(x_t, p_x_0, schedule, t, t - 1))
