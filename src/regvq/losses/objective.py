"""The weighted sum of everything that a tokenizer is trained to minimise."""

import torch
from torch import Tensor, nn

from regvq.losses.adversarial import AdversarialLoss
from regvq.losses.base import FeatureLoss, PixelLoss
from regvq.losses.reconstruction import L1Loss
from regvq.nets import FeatureNet
from regvq.types import LossOutput, TokenizerOutput


class Objective(nn.Module):
    """Reconstruction, perceptual, contrastive and adversarial loss and the quantizer's own.

    ``L1 + perceptual + lambda * PCL + adversarial + quantizer``, each weighted by itself; the
    quantizer's losses come weighted and are added unchanged. The discriminator's loss is part of the
    total: one backward and one optimizer serve both sides.

    Args:
        reconstruction: of pixels; L1 if none is given.
        perceptual: of features.
        contrastive: of features, under the quantizer's perturbation. A net like the perceptual loss's
            is replaced by that one, so that it runs once.
        adversarial: the discriminator and both its sides.
    """

    def __init__(
        self,
        reconstruction: PixelLoss | None = None,
        perceptual: FeatureLoss | None = None,
        contrastive: FeatureLoss | None = None,
        adversarial: AdversarialLoss | None = None,
    ) -> None:
        super().__init__()
        self.reconstruction = reconstruction or L1Loss()
        self.perceptual = perceptual
        self.contrastive = contrastive
        if perceptual and contrastive and _alike(perceptual.features, contrastive.features):
            contrastive.features = perceptual.features
        self.adversarial = adversarial

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """What the discriminator learns; empty where there is none."""
        if self.adversarial is None:
            return []
        return list(self.adversarial.discriminator.parameters())

    def forward(
        self, images: Tensor, output: TokenizerOutput, step: int, last_layer: nn.Parameter
    ) -> LossOutput:
        """The loss of one batch.

        Args:
            images: the originals, ``[B, 3, H, W]`` in [-1, 1].
            output: the tokenizer's pass over them.
            step: optimizer steps taken, for the adversary's start and ramp.
            last_layer: the decoder's last weight, for the adversary's adaptive weight.

        Returns:
            ``terms``: "reconstruction", "perceptual", "contrastive", "adversarial", "discriminator"
            and "quantizer/<name>", those that there are. ``stats``: "raw/<term>" before weighting,
            and from the adversary's start on "adaptive_weight", "score/real" and "score/fake".
        """
        # One float32 tensor that every loss depends on: gradients at it keep their small values.
        reconstruction = output.reconstruction.float()
        raw = self._image_losses(images, reconstruction, output.quantizer.perturbation)
        weights = {name: float(getattr(self, name).weight) for name in raw}
        terms = {name: weights[name] * value for name, value in raw.items()}
        stats = {f"raw/{name}": value.detach() for name, value in raw.items()}
        if self.adversarial is not None:
            image_loss = torch.stack(list(terms.values())).sum()
            adversary = self.adversarial(images, reconstruction, image_loss, step, last_layer)
            terms |= adversary.terms
            stats |= adversary.stats
        terms |= {f"quantizer/{name}": value for name, value in output.quantizer.losses.items()}
        return LossOutput(torch.stack([value.float() for value in terms.values()]).sum(), terms, stats)

    def _image_losses(
        self, images: Tensor, reconstruction: Tensor, perturbation: Tensor | None
    ) -> dict[str, Tensor]:
        """The raw losses that hold the reconstruction to the image."""
        losses = {"reconstruction": self.reconstruction(images, reconstruction)}
        seen: dict[FeatureNet, tuple[list[Tensor], list[Tensor]]] = {}
        for name, term in (("perceptual", self.perceptual), ("contrastive", self.contrastive)):
            if term is None:
                continue
            if term.features not in seen:
                with torch.no_grad():
                    real = term.features(images)
                seen[term.features] = real, term.features(reconstruction)
            losses[name] = term(*seen[term.features], perturbation)
        return losses


def _alike(first: FeatureNet, second: FeatureNet) -> bool:
    """Whether two feature nets, say both from one YAML file, give the same features."""
    ours, theirs = dict(first.named_buffers()), dict(second.named_buffers())
    return (
        type(first) is type(second)
        and ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in ours)
    )
