"""Regularized vector quantization, the heart of this package."""

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors import Prior, UniformPrior
from regvq.quantizers import functional
from regvq.quantizers.codebooks import Codebook, EMACodebook, GradientCodebook
from regvq.quantizers.collectives import world_size
from regvq.quantizers.composed import Choice, ComposedQuantizer
from regvq.quantizers.heads import EuclideanHead, Head, LinearHead
from regvq.quantizers.straight_through import (
    IdentityStraightThrough,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.schedules import Schedule, bounded_schedule


class RegularizedVectorQuantizer(ComposedQuantizer):
    """Prior distribution regularization and stochastic mask regularization.

    Zhang et al., "Regularized Vector Quantization for Tokenized Image Synthesis", CVPR 2023,
    sections 3.2 to 3.4. Each part can be taken out: ``prior_weight=0`` the prior, ``mask_ratio=0``
    the mask and with it the perturbation that the probabilistic contrastive loss reads. The defaults are
    what ``docs/recipe.md`` found best with the Euclidean head, but for the commitment, which depends on the
    scale of the latents; ``paper`` gives the literal form.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        mask_ratio: share of each sample's locations whose token is sampled while training, in
            [0, 1]; a number or a schedule over training steps.
        prior: the distribution that the tokens of a batch are drawn towards.
        prior_weight: weight of the KL to it; a number or a schedule. Not negative.
        temperature: of the softmax in the backward pass; a number or a schedule. Positive.
        sampling_temperature: divides the logits while training, before noise and softmax, so that
            masked locations sample farther (above 1) and the decoder learns to bear tokens that a
            generator would get wrong; the paper's is 1. A number or a schedule. Positive.
        posterior_momentum: the slope of the KL is taken at a running posterior with this momentum in
            [0, 1); 0 is the batch's own posterior (the paper's). Worth it where a batch has few
            tokens for many codes.
        head: latents to logits; Euclidean if none is given.
        codebook: how the embeddings learn; running means with restart if none is given.
        straight_through: the gradient of the choice; identity with commitment if none is given.

    Raises:
        RegvqError: a number is out of its range, or nothing would teach the head.
    """

    prior_log_prob: Tensor
    running_posterior: Tensor

    def __init__(
        self,
        codebook_size: int,
        dim: int,
        *,
        mask_ratio: float | Schedule = 0.4,
        prior: Prior = UniformPrior(),  # noqa: B008 - stateless
        prior_weight: float | Schedule = 0.1,
        temperature: float | Schedule = 1.0,
        sampling_temperature: float | Schedule = 40.0,
        posterior_momentum: float = 0.9,
        head: Head | None = None,
        codebook: Codebook | None = None,
        straight_through: StraightThrough | None = None,
    ) -> None:
        head = head or EuclideanHead()
        codebook = codebook or EMACodebook()
        straight_through = straight_through or IdentityStraightThrough()
        super().__init__(
            codebook_size, dim, head=head, codebook=codebook, straight_through=straight_through
        )
        self.resolve_init_args(head=head, codebook=codebook, straight_through=straight_through)
        self.mask_ratio = bounded_schedule("mask_ratio", mask_ratio, low=0.0, high=1.0)
        self.prior_weight = bounded_schedule("prior_weight", prior_weight, low=0.0)
        self.temperature = bounded_schedule("temperature", temperature, low=1e-6)
        self.sampling_temperature = bounded_schedule("sampling_temperature", sampling_temperature, low=1e-6)
        if not 0 <= posterior_momentum < 1:
            raise RegvqError(f"posterior_momentum must be in [0, 1), not {posterior_momentum}")
        if not (head.tied or prior_weight != 0 or straight_through.needs_posterior):
            raise RegvqError(
                f"a {type(head).__name__} learns through the prior or a softmax straight-through, and "
                "there is neither: give prior_weight, SoftmaxStraightThrough or another head"
            )
        self.prior = prior
        self.posterior_momentum = posterior_momentum
        self.register_buffer("prior_log_prob", prior.log_prob(codebook_size), persistent=False)
        self.register_buffer("running_posterior", self.prior_log_prob.exp())

    @classmethod
    def paper(
        cls,
        codebook_size: int,
        dim: int,
        *,
        mask_ratio: float | Schedule = 0.4,
        prior: Prior = UniformPrior(),  # noqa: B008 - stateless
        prior_weight: float | Schedule = 1.0,
        temperature: float | Schedule = 1.0,
    ) -> "RegularizedVectorQuantizer":
        """The paper's literal form: linear head, softmax straight-through, gradient codebook."""
        return cls(
            codebook_size,
            dim,
            mask_ratio=mask_ratio,
            prior=prior,
            prior_weight=prior_weight,
            temperature=temperature,
            sampling_temperature=1.0,
            posterior_momentum=0.0,
            head=LinearHead(),
            codebook=GradientCodebook(loss_weight=0.0, init="normal"),
            straight_through=SoftmaxStraightThrough(),
        )

    def choose(self, logits: Tensor, batch: int) -> Choice:
        step = self.steps.value
        best = logits.argmax(1).view(batch, -1)
        sampling_temperature = self.sampling_temperature(step)
        if self.training and sampling_temperature != 1:  # the paper's needs no copy of [M, N]
            logits = logits / sampling_temperature
        codes, noisy, mask = best, logits, None
        ratio = self.mask_ratio(step)
        if self.training and ratio > 0:
            mask = functional.stochastic_mask(batch, best.shape[1], ratio, logits.device)
            noisy = logits + functional.gumbel_noise(logits) * mask.flatten()[:, None]
            codes = noisy.argmax(1).view(batch, -1)
        weight = self.prior_weight(step)
        posterior = logits[:0]
        if weight > 0 or self.straight_through.needs_posterior:
            posterior = (noisy / self.temperature(step)).softmax(1)
        losses, stats = self._regularize(codes, posterior, weight)
        return Choice(
            codes=codes,
            best_codes=best,
            posterior=posterior,
            losses=losses,
            stats=stats,
            mask=mask,
        )

    def _regularize(
        self, codes: Tensor, posterior: Tensor, weight: float
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The prior term of a batch's ``codes`` [B, L] and its statistics."""
        counts = self.sum_over_ranks(functional.token_counts(codes, self.codebook_size))
        ranks = world_size() if self.training else 1
        tokens = codes.numel() * ranks
        probability = counts / counts.sum()
        log_prior = self.prior_log_prob.float()
        kl = functional.kl_divergence(probability, log_prior)
        stats = {
            "prior_kl": kl.detach(),
            "prior_kl_floor": kl.new_tensor(functional.kl_floor(self.codebook_size, tokens)),
        }
        if weight == 0:
            return {}, stats
        effective = tokens
        if self.posterior_momentum > 0:
            if self.training:
                with torch.no_grad():
                    self.running_posterior.lerp_(
                        probability.to(self.running_posterior), 1 - self.posterior_momentum
                    )
            probability = self.running_posterior.float()
            effective = round(tokens / (1 - self.posterior_momentum))
        slope = functional.kl_slope(probability, log_prior, effective)
        term = functional.prior_regularization(kl, slope, posterior, tokens / ranks)
        return {"prior": weight * term}, stats
