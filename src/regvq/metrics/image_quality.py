"""Likeness of two images, pixel by pixel and window by window."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.image import StructuralSimilarityIndexMeasure


class PSNR(Metric):
    """Peak signal-to-noise ratio in dB of images in [-1, 1], both clamped to that range first.

    ``10 log10(2^2 / MSE)``, with the mean squared error taken over the whole set. The mean of the
    images' own ratios, which is also called PSNR, is higher (the logarithm is concave), and one
    flawless image makes it infinite.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    squared_error: Tensor
    values: Tensor

    def __init__(self) -> None:
        super().__init__()
        zero = torch.zeros((), dtype=torch.float64)
        self.add_state("squared_error", default=zero, dist_reduce_fx="sum")
        self.add_state("values", default=zero.clone(), dist_reduce_fx="sum")

    def update(self, images: Tensor, originals: Tensor) -> None:
        """Adds ``images`` and the ``originals`` they should equal, both [B, 3, H, W] in [-1, 1]."""
        difference = images.clamp(-1, 1).float() - originals.clamp(-1, 1).float()
        self.squared_error += difference.square().sum(dtype=torch.float64)
        self.values += difference.numel()

    def compute(self) -> Tensor:
        """A float64 scalar in dB; infinite where nothing differs."""
        return 10 * torch.log10(4 * self.values / self.squared_error)


class SSIM(StructuralSimilarityIndexMeasure):
    """Structural similarity of images in [-1, 1], clamped; mean over images, at most 1.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004,
    with its 11-pixel Gaussian window.
    """

    def __init__(self) -> None:
        super().__init__(data_range=(-1.0, 1.0))

    def compute(self) -> Tensor:
        """A scalar; the mean over images."""
        value = super().compute()
        # A pair comes only where the full or the contrast image was asked for.
        return value[0] if isinstance(value, tuple) else value
