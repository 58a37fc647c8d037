"""Regularized vector quantization, the heart of this package."""

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors import Prior, UniformPrior
from regvq.quantizers import functional
from regvq.quantizers.codebooks import Codebook, EMACodebook, GradientCodebook
from regvq.quantizers.composed import Choice, ComposedQuantizer
from regvq.quantizers.heads import EuclideanHead, Head, LinearHead
from regvq.quantizers.scores import Scores
from regvq.quantizers.straight_through import (
    IdentityStraightThrough,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.quantizers.tiles import GumbelNoise, choose, soft_gradients
from regvq.ranks import world_size
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
        if not (head.tied or prior_weight != 0 or straight_through.needs_softmax):
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

    def choose(self, scores: Scores, codes: Tensor, batch: int) -> Choice:
        step = self.steps.value
        # Dividing the logits is the same as multiplying the noise and the temperature of the softmax.
        spread = self.sampling_temperature(step) if self.training else 1.0
        noise = self._noise(len(scores), batch, spread)
        best, chosen = choose(scores, noise)
        kl, slope, stats = self._prior(chosen)
        weight = self.prior_weight(step)
        expected, losses = None, {}
        if weight > 0 or self.straight_through.needs_softmax:
            temperature = self.temperature(step) * spread
            expected, pull = soft_gradients(scores, codes, slope, noise, temperature)
            # Data-parallel training averages gradients over ranks, so this rank's tokens are all there are.
            losses = {"prior": weight * (kl + pull / len(scores))} if weight > 0 else {}
        return Choice(
            codes=chosen.view(batch, -1),
            best_codes=best.view(batch, -1),
            expected=expected,
            losses=losses,
            stats=stats,
            mask=None if noise is None else noise.mask.view(batch, -1),
        )

    def _noise(self, tokens: int, batch: int, scale: float) -> GumbelNoise | None:
        """The noise of the places that are to be sampled, or none."""
        ratio = self.mask_ratio(self.steps.value)
        if not (self.training and ratio > 0):
            return None
        mask = functional.stochastic_mask(batch, tokens // batch, ratio, self.prior_log_prob.device)
        count = batch * round(ratio * (tokens // batch))
        # From the host's chance: asking the device would make the host wait for it.
        return GumbelNoise(mask.flatten(), count, seed=int(torch.randint(2**62, ())), scale=scale)

    def _prior(self, chosen: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The KL of the tokens ``chosen`` [M] to the prior, its slope [N], and statistics."""
        counts = self.sum_over_ranks(functional.token_counts(chosen, self.codebook_size))
        tokens = chosen.numel() * (world_size() if self.training else 1)
        posterior = counts / counts.sum()
        log_prior = self.prior_log_prob.float()
        kl = functional.kl_divergence(posterior, log_prior)
        stats = {
            "prior_kl": kl,
            "prior_kl_floor": kl.new_full((), functional.kl_floor(self.codebook_size, tokens)),
        }
        if self.posterior_momentum > 0:
            if self.training:
                self.running_posterior.lerp_(
                    posterior.to(self.running_posterior), 1 - self.posterior_momentum
                )
            posterior = self.running_posterior.float()
            tokens = round(tokens / (1 - self.posterior_momentum))
        return kl, functional.kl_slope(posterior, log_prior, tokens), stats
