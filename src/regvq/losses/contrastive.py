"""The probabilistic contrastive loss: a reconstruction's features pulled to the original's.

Zhang et al., "Regularized Vector Quantization for Tokenized Image Synthesis", CVPR 2023, section 3.4,
over PatchNCE: Park et al., "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regvq.errors import RegvqError
from regvq.losses.base import FeatureLoss
from regvq.losses.functional import unit_norm
from regvq.nets import FeatureNet


def relative_weights(perturbation: Tensor, grid: tuple[int, int]) -> Tensor:
    """``L * w'``: each location's perturbation over the mean of its image's.

    Args:
        perturbation: ``[B, h, w]``, squared distances, not negative.
        grid: height and width of the grid it is resized to, by area.

    Returns:
        ``[B, L]`` float32 without gradient, of mean 1 an image; all 1 where an image has none.
    """
    weights = perturbation.detach().float().unsqueeze(1)
    weights = nn.functional.interpolate(weights, size=grid, mode="area").flatten(1)
    mean = weights.mean(1, keepdim=True)
    # Below the least normal number a quotient is rounding; and 0 / 0 must not be formed at all.
    least = torch.finfo(mean.dtype).tiny
    return torch.where(mean > least, weights / mean.clamp_min(least), 1.0)


def contrastive_loss(similarity: Tensor, weights: Tensor) -> Tensor:
    """The loss of each location, with the constant ``-log w'`` of the paper's formula dropped.

    ``log(L w'_i exp(s_ii) + sum_{j != i} exp(s_ij)) - s_ii``: the paper's gradient, and finite where
    ``w'_i`` is 0, which is every location whose token was not sampled. With ``L w' = 1`` it is the
    cross-entropy of PatchNCE.

    Args:
        similarity: s, ``[B, L, L]``: rows are locations of the original, columns of the reconstruction.
        weights: ``L w'``, ``[B, L]``, not negative. Carries no gradient.

    Returns:
        ``[B, L]``, not negative where the weight is 1 or more.
    """
    positive = similarity.diagonal(dim1=1, dim2=2)
    # The weight is a bias on the diagonal. A bias of -inf takes the location's own match out of its
    # row; what is left is finite, and so is the gradient.
    biased = similarity + torch.diag_embed(weights.log())
    return biased.logsumexp(2) - positive


class ProbabilisticContrastiveLoss(nn.Module):
    """A contrastive loss over locations that pulls less where a token was perturbed more.

    Where the stochastic mask sampled a token far from the best match, the reconstruction cannot equal
    the original, and the loss should not insist.

    Args:
        temperature: tau, what cosines are divided by. Positive.
        max_locations: where a layer has more locations, this many are drawn, the same for both images
            and the whole batch; evenly spaced ones in eval mode, without chance. L is then their
            number; ``L w'`` is taken over the whole layer first.
    """

    def __init__(self, temperature: float = 0.07, max_locations: int = 256) -> None:
        super().__init__()
        if temperature <= 0 or max_locations < 2:
            raise RegvqError(
                "a contrastive loss needs temperature > 0 and max_locations >= 2, "
                f"not {temperature} and {max_locations}"
            )
        self.temperature = temperature
        self.max_locations = max_locations

    def forward(self, real: Tensor, fake: Tensor, perturbation: Tensor | None = None) -> Tensor:
        """The mean loss over locations and batch: a float32 scalar.

        Gradient flows to ``fake`` alone: the original is what is pulled to.

        Args:
            real: features of the original, ``[B, C, H, W]``.
            fake: features of the reconstruction, ``[B, C, H, W]``.
            perturbation: ``[B, h, w]``, squared distance between sampled and best-matching embedding;
                None stands for uniform weights (PatchNCE).

        Raises:
            RegvqError: the shapes do not fit.
        """
        if real.ndim != 4 or real.shape != fake.shape:
            raise RegvqError(
                f"features must be two [B, C, H, W], not {list(real.shape)} and {list(fake.shape)}"
            )
        if perturbation is None:
            perturbation = real.new_zeros(len(real), 1, 1)
        if perturbation.ndim != 3 or len(perturbation) != len(real):
            raise RegvqError(f"perturbation must be [{len(real)}, h, w], not {list(perturbation.shape)}")
        with torch.autocast(real.device.type, enabled=False):
            weights = relative_weights(perturbation, (real.shape[2], real.shape[3]))
            y, z = real.detach().flatten(2), fake.flatten(2)
            if y.shape[2] > self.max_locations:
                chosen = self._locations(y.shape[2], y.device)
                y, z, weights = y[:, :, chosen], z[:, :, chosen], weights[:, chosen]
            similarity = unit_norm(y).transpose(1, 2) @ unit_norm(z) / self.temperature
            return contrastive_loss(similarity, weights).mean()

    def _locations(self, number: int, device: torch.device) -> Tensor:
        if self.training:
            return torch.randperm(number, device=device)[: self.max_locations]
        return torch.linspace(0, number - 1, self.max_locations, device=device).long()


class PatchNCELoss(ProbabilisticContrastiveLoss):
    """The same with uniform weights, whatever the perturbation: PatchNCE, the paper's ablation "+CL"."""

    def forward(self, real: Tensor, fake: Tensor, perturbation: Tensor | None = None) -> Tensor:
        """As the parent's; ``perturbation`` is not read."""
        return super().forward(real, fake, None)


class ContrastiveLoss(FeatureLoss):
    """A contrastive loss on every layer of a feature net, averaged over the layers.

    Args:
        features: the frozen net. Where it is the perceptual loss's own, the objective runs it once.
        layer_loss: the loss of one layer; the probabilistic one if none is given.
        weight: of this term in the objective.
    """

    def __init__(
        self,
        features: FeatureNet,
        layer_loss: ProbabilisticContrastiveLoss | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(features, weight)
        self.layer_loss = layer_loss or ProbabilisticContrastiveLoss()

    def forward(
        self, real: Sequence[Tensor], fake: Sequence[Tensor], perturbation: Tensor | None = None
    ) -> Tensor:
        losses = [self.layer_loss(y, z, perturbation) for y, z in zip(real, fake, strict=True)]
        return torch.stack(losses).mean()
