"""A quantizer put together from a head, a codebook and a straight-through form."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from regvq.quantizers.base import Quantizer
from regvq.quantizers.codebooks import Codebook
from regvq.quantizers.functional import squared_distance
from regvq.quantizers.heads import Head
from regvq.quantizers.scores import Scores
from regvq.quantizers.step_counter import TrainingSteps
from regvq.quantizers.straight_through import StraightThrough
from regvq.quantizers.tiles import best_codes, soft_gradients
from regvq.quantizers.transforms import outside_of_transforms, plain
from regvq.types import QuantizerOutput


@dataclass(frozen=True)
class Choice:
    """Which code each of ``M = B * L`` tokens took.

    Attributes:
        codes: ``[B, L]``, the chosen ones.
        best_codes: ``[B, L]``, the argmax of the logits.
        noiseless: ``[B, L]``, what would be chosen without sampling: what latents are pulled to, codes
            learn from, and perturbations are measured against.
        expected: zeros ``[M, D]`` with the gradient of the expected embeddings under the softmax that the
            choice is an argmax of, or ``None`` where nobody needs it.
        losses: weighted terms that come with the way of choosing.
        stats: raw values for logging.
        mask: ``[B, L]`` bool, the sampled locations, or ``None``.
    """

    codes: Tensor
    best_codes: Tensor
    noiseless: Tensor
    expected: Tensor | None
    losses: dict[str, Tensor]
    stats: dict[str, Tensor]
    mask: Tensor | None = None


class ComposedQuantizer(Quantizer):
    """Head, codebook learning and straight-through are injected; ``choose`` may be overridden.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        head: latents to logits.
        codebook: how the embeddings learn.
        straight_through: the gradient of the choice.
    """

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        head: Head,
        codebook: Codebook,
        straight_through: StraightThrough,
    ) -> None:
        super().__init__(codebook_size, dim)
        head.bind(codebook_size, dim)
        codebook.bind(codebook_size, dim)
        self.head = head
        self.embeddings = codebook
        self.straight_through = straight_through
        self.steps = TrainingSteps()

    @property
    def codebook(self) -> Tensor:
        return self.head.project(self.embeddings.vectors())

    def scores(self, tokens: Tensor) -> Scores:
        """The logits of ``tokens`` [M, D] as factors."""
        scores: Scores = self.head(self.head.project(tokens), self.codebook)
        return scores

    def logits(self, tokens: Tensor) -> Tensor:
        return self.scores(tokens).logits()

    def best_codes(self, tokens: Tensor) -> Tensor:
        return best_codes(self.scores(tokens))

    def set_step(self, step: int) -> None:
        self.steps.set(step)

    @property
    def logits_have_gradient(self) -> bool:
        """Whether this step's gradient passes through the logits; otherwise they are only compared."""
        return self.straight_through.needs_softmax

    def choose(self, scores: Scores, codes: Tensor, valid: Tensor) -> Choice:
        """Pick a code for each of the ``M = B * L`` tokens: here the best match.

        Args:
            scores: of the tokens and all codes.
            codes: ``[N, D]``, the codebook.
            valid: ``[B, L]`` bool, the tokens that take part in statistics and losses.
        """
        best = best_codes(scores).view(valid.shape)
        expected = None
        if self.straight_through.needs_softmax:
            expected, _ = soft_gradients(scores, codes, codes.new_zeros(len(codes)))
        return Choice(codes=best, best_codes=best, noiseless=best, expected=expected, losses={}, stats={})

    def quantize(self, tokens: Tensor, valid: Tensor) -> QuantizerOutput:
        latents = self.head.project(tokens.flatten(0, 1))
        rows = valid.flatten()
        # A batch without tokens, of all ranks, starts nothing; to look would make the host wait for a
        # device.
        if self.learning and self.steps.batches == 0:
            with outside_of_transforms():
                self.embeddings.start(plain(latents).detach(), plain(rows))
        codes = self.codebook
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.logits_have_gradient):
            scores = self.head(latents, codes)
        choice = self.choose(scores, codes, valid)
        best = F.embedding(choice.noiseless.flatten(), codes)
        chosen = best if choice.mask is None else F.embedding(choice.codes.flatten(), codes)
        quantized = self.straight_through(latents, chosen, best, choice.expected)
        losses = {
            **self.straight_through.losses(latents, best, rows),
            **self.embeddings.losses(latents, best, rows),
            **choice.losses,
        }
        perturbation = None
        if choice.mask is not None:
            perturbation = squared_distance(chosen, best).detach().view(valid.shape)
        if self.learning:
            with outside_of_transforms():
                self._learn(plain(latents), plain(best), plain(choice.noiseless), plain(rows))
        return QuantizerOutput(
            quantized=quantized.view_as(tokens),
            codes=choice.codes,
            best_codes=choice.best_codes,
            stochastic_mask=choice.mask,
            perturbation=perturbation,
            losses=losses,
            stats=choice.stats,
        )

    def _learn(self, latents: Tensor, best: Tensor, codes: Tensor, valid: Tensor) -> None:
        latents = latents.detach()
        self.head.observe(latents, best.detach(), valid)
        moved = self.embeddings.update(latents, codes.flatten(), valid, self.steps.batches)
        if moved is not None:
            self.forget(moved)
        self.steps.finish_batch()

    def forget(self, moved: Tensor) -> None:
        """See that the codes ``moved`` [N] bool were put elsewhere; nothing is known of them here."""
