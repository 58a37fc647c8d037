"""Regularized vector quantization, the heart of this package."""

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors import Prior, UniformPrior
from regvq.quantizers import functional
from regvq.quantizers.changed_share import ChangedShare
from regvq.quantizers.codebooks import Codebook, EMACodebook, GradientCodebook
from regvq.quantizers.composed import Choice, ComposedQuantizer
from regvq.quantizers.heads import EuclideanHead, Head, LinearHead
from regvq.quantizers.prior_bias import PriorBias
from regvq.quantizers.scores import Scores
from regvq.quantizers.straight_through import (
    BalancedStraightThrough,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.quantizers.tiles import Chosen, GumbelNoise, choose, soft_gradients
from regvq.quantizers.transforms import outside_of_transforms, plain
from regvq.ranks import world_size
from regvq.schedules import Schedule, bounded_schedule


class RegularizedVectorQuantizer(ComposedQuantizer):
    """Prior distribution regularization and stochastic mask regularization.

    Zhang et al., "Regularized Vector Quantization for Tokenized Image Synthesis", CVPR 2023,
    sections 3.2 to 3.4. Each part can be taken out: ``prior_bias=PriorBias(rate=0)`` and ``prior_weight=0``
    the prior, ``mask_ratio=0`` the mask and with it the perturbation that the probabilistic contrastive
    loss reads. The defaults know nothing of the network around them: they mean the same for latents of any
    scale and losses of any unit, and ``docs/recipe.md`` says what they were measured in. ``paper`` gives
    the literal form.

    The prior comes in two forms. ``prior_bias``, the default, moves choices and leaves latents alone; it
    lives in training only: ``best_codes``, ``encode``, ``token_logits`` and eval mode know nothing of it.
    ``prior_weight`` is the paper's loss, whose gradient goes to the latents; in an encoder whose latents
    nothing else holds (no normalisation, small variance) it draws them to one place.

    Args:
        codebook_size: number of codes N.
        dim: channels D of the latents.
        mask_ratio: share of each sample's locations whose token is sampled while training, in
            [0, 1]; a number or a schedule over training steps.
        prior: the distribution that tokens are drawn towards.
        prior_bias: how choices are drawn towards it; ``PriorBias()`` if none is given.
        prior_weight: weight of the KL to it as a loss; a number or a schedule. Not negative.
        temperature: of the softmax in the backward pass; a number or a schedule. Positive.
        sampling_temperature: divides the logits while training, before noise and softmax, so that
            masked locations sample farther (above 1) and the decoder learns to bear tokens that a
            generator would get wrong; the paper's is 1. A number or a schedule, positive, or
            ``ChangedShare``, which holds the share of sampled tokens that change; ``ChangedShare()`` if
            none is given.
        posterior_momentum: the slope of the KL is taken at a running posterior with this momentum in
            [0, 1); 0 is the batch's own posterior (the paper's). Worth it where a batch has few
            tokens for many codes.
        head: latents to logits; Euclidean if none is given.
        codebook: how the embeddings learn; EMA with restart if none is given.
        straight_through: the gradient of the choice; balanced if none is given.

    Raises:
        RegvqError: a number is out of its range, the prior is of another number of codes, or nothing would
            teach the head.
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
        prior_bias: PriorBias | None = None,
        prior_weight: float | Schedule = 0.0,
        temperature: float | Schedule = 1.0,
        sampling_temperature: float | Schedule | ChangedShare | None = None,
        posterior_momentum: float = 0.9,
        head: Head | None = None,
        codebook: Codebook | None = None,
        straight_through: StraightThrough | None = None,
    ) -> None:
        head = head or EuclideanHead()
        codebook = codebook or EMACodebook(restart=0.25, memory=20.0)
        straight_through = straight_through or BalancedStraightThrough()
        prior_bias = prior_bias or PriorBias()
        sampling = ChangedShare() if sampling_temperature is None else sampling_temperature
        super().__init__(
            codebook_size, dim, head=head, codebook=codebook, straight_through=straight_through
        )
        self.resolve_init_args(
            head=head,
            codebook=codebook,
            straight_through=straight_through,
            prior_bias=prior_bias,
            sampling_temperature=sampling,
        )
        self.mask_ratio = bounded_schedule("mask_ratio", mask_ratio, low=0.0, high=1.0)
        self.prior_weight = bounded_schedule("prior_weight", prior_weight, low=0.0)
        self.temperature = bounded_schedule("temperature", temperature, low=1e-6)
        self.changed_share = sampling if isinstance(sampling, ChangedShare) else None
        self.sampling_temperature = (
            None
            if isinstance(sampling, ChangedShare)
            else bounded_schedule("sampling_temperature", sampling, low=1e-6)
        )
        if not 0 <= posterior_momentum < 1:
            raise RegvqError(f"posterior_momentum must be in [0, 1), not {posterior_momentum}")
        if not (head.tied or prior_weight != 0 or straight_through.needs_softmax):
            raise RegvqError(
                f"a {type(head).__name__} learns through the prior or a softmax straight-through, and "
                "there is neither: give prior_weight, SoftmaxStraightThrough or another head"
            )
        if isinstance(prior_weight, Schedule) or prior_weight > 0:
            _warn_of_prior_loss()
        self.prior = prior
        self.prior_bias = prior_bias
        self.posterior_momentum = posterior_momentum
        log_prior = prior.log_prob(codebook_size).to(torch.float32)
        prior_bias.build(log_prior.exp())
        self.register_buffer("prior_log_prob", log_prior, persistent=False)
        self.register_buffer("running_posterior", log_prior.exp())

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
            prior_bias=PriorBias(rate=0.0),
            prior_weight=prior_weight,
            temperature=temperature,
            sampling_temperature=1.0,
            posterior_momentum=0.0,
            head=LinearHead(),
            codebook=GradientCodebook(loss_weight=0.0, init="normal"),
            straight_through=SoftmaxStraightThrough(),
        )

    @property
    def logits_have_gradient(self) -> bool:
        return super().logits_have_gradient or self.prior_weight(self.steps.value) > 0

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Saved models know neither of these, which matter to a training alone: they start anew.
        for part in ("prior_bias", "changed_share"):
            module = getattr(self, part)
            if module is not None and not any(key.startswith(f"{prefix}{part}.") for key in state_dict):
                state_dict.update(module.state_dict(prefix=f"{prefix}{part}."))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def choose(self, scores: Scores, codes: Tensor, valid: Tensor) -> Choice:
        step = self.steps.value
        spread = self._spread(step)
        # Dividing the logits is the same as multiplying the noise and the temperature of the softmax.
        noise = self._noise(valid, spread)
        shift = self.prior_bias.bias if self.training and self.prior_bias.rate > 0 else None
        found = choose(scores, noise, shift)
        with outside_of_transforms():
            taken = Chosen(plain(found.best), plain(found.noiseless), plain(found.codes))
            stats = self._sampling_stats(taken, noise, plain(valid), spread)
            kl, slope = self._prior(taken, plain(valid), stats)
        weight = self.prior_weight(step)
        expected, losses = None, {}
        if self.logits_have_gradient:
            temperature = self.temperature(step) * spread
            expected, pull = soft_gradients(scores, codes, slope, noise, temperature)
            # Data-parallel training averages gradients over ranks, so this rank's tokens are all there are.
            losses = {"prior": weight * (kl + pull / max(len(scores), 1))} if weight > 0 else {}
        return Choice(
            codes=found.codes.view(valid.shape),
            best_codes=found.best.view(valid.shape),
            noiseless=found.noiseless.view(valid.shape),
            expected=expected,
            losses=losses,
            stats=stats,
            mask=None if noise is None else noise.mask.view(valid.shape),
        )

    def forget(self, moved: Tensor) -> None:
        self.prior_bias.forget(self.prior_log_prob, moved)

    def _spread(self, step: int) -> float:
        """The temperature at which masked places are sampled."""
        if not self.training:
            return 1.0
        if self.changed_share is not None:
            return self.changed_share.temperature
        assert self.sampling_temperature is not None  # there is one of the two
        return self.sampling_temperature(step)

    def _noise(self, valid: Tensor, scale: float) -> GumbelNoise | None:
        """The noise of the places that are to be sampled, or none."""
        ratio = self.mask_ratio(self.steps.value)
        if not (self.training and ratio > 0):
            return None
        batch, length = valid.shape
        mask = functional.stochastic_mask(batch, length, ratio, valid.device)
        count = batch * round(ratio * length)
        # From the host's random state: asking the device would make the host wait for it.
        return GumbelNoise(mask.flatten(), count, seed=int(torch.randint(2**62, ())), scale=scale)

    def _sampling_stats(
        self, found: Chosen, noise: GumbelNoise | None, valid: Tensor, spread: float
    ) -> dict[str, Tensor]:
        """Look how many of the sampled tokens have changed, and tell ``changed_share``."""
        if noise is None:
            return {}
        sampled = noise.mask & valid.flatten()
        changed = sampled & (found.codes != found.noiseless)
        counted = self.sum_over_ranks(torch.stack([changed.sum(), sampled.sum()]).float())
        if self.learning and self.changed_share is not None:
            self.changed_share.update(*counted)
        return {
            "changed_share": counted[0] / counted[1].clamp_min(1),
            "sampling_temperature": counted.new_full((), spread),
        }

    def _prior(self, found: Chosen, valid: Tensor, stats: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The KL of the chosen tokens to the prior and its slope [N]; moves what learns of the counts."""
        size, real = self.codebook_size, valid.flatten()
        noiseless = functional.token_counts(found.noiseless, size, real)
        counts = functional.token_counts(found.codes, size, real)
        counts, noiseless = self.sum_over_ranks(torch.stack([counts, noiseless]))
        tokens = valid.numel() * (world_size() if self.training else 1)
        posterior = counts / counts.sum().clamp_min(1)
        log_prior = self.prior_log_prob.float()
        kl = functional.kl_divergence(posterior, log_prior)
        stats["prior_kl"] = kl
        stats["prior_kl_floor"] = kl.new_full((), functional.kl_floor(size, tokens))
        stats["prior_batches"] = kl.new_full((), self.prior_bias.batches(size, tokens))
        if self.learning:
            self.prior_bias.update(log_prior, noiseless, tokens)
        if self.posterior_momentum > 0:
            if self.learning:
                mixed = self.running_posterior.lerp(posterior, 1 - self.posterior_momentum)
                self.running_posterior.copy_(torch.where(counts.sum() > 0, mixed, self.running_posterior))
            posterior = self.running_posterior.clone()
            tokens = round(tokens / (1 - self.posterior_momentum))
        return kl, functional.kl_slope(posterior, log_prior, max(tokens, 1))


@functools.cache
def _warn_of_prior_loss() -> None:
    warnings.warn(
        "the prior as a loss draws latents that nothing holds (no normalisation, small variance) to one "
        "place: watch the usage, or leave prior_weight at 0 for a bias (docs/collapsed-codebook.md)",
        stacklevel=3,
    )
