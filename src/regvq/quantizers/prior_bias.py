"""A prior that moves choices and leaves latents alone."""

import torch
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError

_GROWTH, _SHRINKAGE = 1.2, 0.5
"""Of a code's step where the sign of its error stays, and where it turns (Rprop's)."""
_LEAST = 1e-4
"""Of ``rate``: the least step of a code."""


class PriorBias(nn.Module, Configurable):
    """One number for each code, added to its logit while training, which draws the tokens to the prior.

    Derivation. To give token i a code n at the cost ``-l_in``, so that code n gets the share ``pi_n`` of
    the tokens, is a problem of optimal transport between tokens and codes. With one multiplier ``b_n`` for
    each code its Lagrangian dual is

        max_b  sum_n pi_n b_n  -  mean_i max_n (l_in + b_n),

    whose gradient is ``pi_n - share_n``, where ``share_n`` is the share of the tokens with
    ``argmax_n (l_in + b_n) = n``. A step of ascent raises the bias of codes with too few tokens. The step
    here is along ``log(pi_n / share_n)``, which has the same sign and the same fixed point and does not
    depend on N. ``share`` is a running mean, since one batch has few tokens for many codes.

    How much a share answers to a bias depends on how dense the latents lie around the code, over orders of
    magnitude: one step size for all of them is too small for some, and for others so large that all tokens
    change sides in every step. So each code has a step of its own, which grows while its error keeps its
    sign and is halved when it turns (Riedmiller and Braun, "A Direct Adaptive Method for Faster
    Backpropagation Learning: The RPROP Algorithm", 1993).

    Between steps the biases shrink by ``decay``: where the shares are what the prior asks for they go back
    to zero, and where they cannot be they stay bounded by ``rate / (1 - decay)``. A code that is put
    elsewhere starts without bias.

    No gradient passes through the biases. Through the softmax, as a loss, the prior drags latents that
    nothing else holds to one place; a bias only changes which code a token takes, and the codebook follows.

    Args:
        rate: the largest step, in units of the logits; 0 for no biases.
        decay: of the biases between steps, in [0, 1).
        memory: tokens for each code that the running share spans, whatever the batch; at least 1.

    Raises:
        RegvqError: an argument is out of its range.
    """

    training_only = True
    """Saved models are written without it."""

    bias: Tensor
    share: Tensor
    step: Tensor
    sign: Tensor

    def __init__(self, rate: float = 0.05, decay: float = 0.95, memory: float = 20.0) -> None:
        super().__init__()
        if not (0 <= rate < float("inf") and 0 <= decay < 1 and memory >= 1):
            raise RegvqError(
                "a prior's bias takes rate >= 0, decay in [0, 1) and memory >= 1, not "
                f"{rate}, {decay} and {memory}"
            )
        self.rate, self.decay, self.memory = rate, decay, memory

    def build(self, prior: Tensor) -> None:
        """Create the biases for a prior ``[N]``; they start at zero, the shares at the prior."""
        self.register_buffer("bias", torch.zeros_like(prior))
        self.register_buffer("share", prior.clone())
        self.register_buffer("step", torch.full_like(prior, 0.1 * self.rate))
        self.register_buffer("sign", torch.zeros_like(prior))

    def batches(self, codebook_size: int, tokens: int) -> float:
        """Return over how many batches of ``tokens`` a share is measured: at least 1."""
        return max(self.memory * codebook_size / max(tokens, 1), 1.0)

    @torch.no_grad()
    def update(self, log_prior: Tensor, counts: Tensor, tokens: int) -> None:
        """Take a step.

        Args:
            log_prior: ``[N]``.
            counts: ``[N]`` float32, of the tokens that all ranks chose in a training step, biases included.
            tokens: how many they are at most.
        """
        if self.rate == 0 or tokens == 0:
            return
        weight = 1 / self.batches(len(counts), tokens)
        total = counts.sum()
        current = torch.where(total > 0, counts / total.clamp_min(1), self.share)
        self.share.lerp_(current, weight)
        # A code without tokens has about half a token's worth.
        error = (log_prior - self.share.clamp_min(0.5 * weight / tokens).log()).clamp(-1, 1)
        sign = error.sign()
        turned = sign * self.sign
        factor = torch.where(turned > 0, _GROWTH, torch.where(turned < 0, _SHRINKAGE, 1.0))
        self.step.mul_(factor).clamp_(_LEAST * self.rate, self.rate)
        self.sign.copy_(sign)
        bias = self.decay * self.bias + self.step * error
        # A common shift changes nothing; without it the biases would wander off together.
        self.bias.copy_(bias - bias.mean())

    @torch.no_grad()
    def forget(self, log_prior: Tensor, moved: Tensor) -> None:
        """Let the codes ``moved`` [N] bool start anew: what was learned holds for their old places."""
        self.bias.masked_fill_(moved, 0.0)
        self.sign.masked_fill_(moved, 0.0)
        self.step.masked_fill_(moved, 0.1 * self.rate)
        self.share.copy_(torch.where(moved, log_prior.exp(), self.share))
