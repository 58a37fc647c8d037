"""Perceptual losses: distances between the features of two images."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.losses.base import FeatureLoss
from regvq.losses.functional import unit_norm
from regvq.nets import VGG16Features
from regvq.nets.features.weights import load_weights


class PerceptualLoss(FeatureLoss):
    """Squared distance of unit-norm features, averaged over locations, batch and layers.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018,
    equation 1 with every channel's weight 1 and the mean over layers in place of the sum: in [0, 4].
    """

    def forward(
        self, real: Sequence[Tensor], fake: Sequence[Tensor], perturbation: Tensor | None = None
    ) -> Tensor:
        layers = [
            (unit_norm(y.detach()) - unit_norm(z)).square().sum(1).mean()
            for y, z in zip(real, fake, strict=True)
        ]
        return torch.stack(layers).mean()


class LPIPS(FeatureLoss):
    """Learned perceptual image patch similarity, version 0.1, on VGG-16.

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018,
    equation 1: summed over layers, averaged over locations and batch; 0 for equal images.

    Args:
        weights: a state dict of torchvision's ``vgg16``; None takes torch's own cache.
        channel_weights: the learned weights of the channels, ``vgg.pth`` of the ``lpips`` package; None
            takes them from that package (``pip install regvq[eval]``).
        weight: of this term in the objective.

    Raises:
        RegvqError: a file is missing, or is another net's.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        channel_weights: str | Path | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(VGG16Features(weights), weight)
        state = load_weights(channel_weights or _installed_channel_weights(), "vgg.pth", "LPIPS")
        for index, channels in enumerate((64, 128, 256, 512, 512)):
            value = state.get(f"lin{index}.model.1.weight")
            if value is None or value.shape != (1, channels, 1, 1):
                raise RegvqError("the channel weights are not those of LPIPS 0.1 on VGG-16")
            self.register_buffer(f"channels_{index}", value.float(), persistent=False)

    def forward(
        self, real: Sequence[Tensor], fake: Sequence[Tensor], perturbation: Tensor | None = None
    ) -> Tensor:
        total = torch.zeros((), device=fake[0].device)
        for index, (y, z) in enumerate(zip(real, fake, strict=True)):
            difference = (unit_norm(y.detach()) - unit_norm(z)).square()
            total = total + (difference * self.get_buffer(f"channels_{index}")).sum(1).mean()
        return total


def _installed_channel_weights() -> Path:
    package = find_spec("lpips")
    if package is None or package.origin is None:
        raise RegvqError(
            "the lpips package, which carries the channel weights of LPIPS, is not installed: "
            "install regvq[eval] or give channel_weights"
        )
    return Path(package.origin).parent / "weights" / "v0.1" / "vgg.pth"
