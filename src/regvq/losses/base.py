"""The two kinds of loss that hold a reconstruction to its image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from regvq.nets import FeatureNet


class PixelLoss(nn.Module, ABC):
    """A distance between images.

    Args:
        weight: of this term in the objective.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    @abstractmethod
    def forward(self, images: Tensor, reconstruction: Tensor) -> Tensor:
        """The raw loss between two batches ``[B, 3, H, W]`` in about [-1, 1]: a float32 scalar."""


class FeatureLoss(nn.Module, ABC):
    """A distance between the features of images.

    It is given the features instead of running the net, so that losses on one net share its passes.

    Args:
        features: the frozen net.
        weight: of this term in the objective.
    """

    def __init__(self, features: FeatureNet, weight: float = 1.0) -> None:
        super().__init__()
        self.features = features
        self.weight = weight

    @abstractmethod
    def forward(
        self, real: Sequence[Tensor], fake: Sequence[Tensor], perturbation: Tensor | None = None
    ) -> Tensor:
        """The raw loss: a float32 scalar.

        Args:
            real: ``features(images)``; receives no gradient.
            fake: ``features(reconstruction)``.
            perturbation: ``[B, h, w]``, squared distance between sampled and best-matching embedding
                at every token; None where the quantizer has none. Only some losses read it.
        """
