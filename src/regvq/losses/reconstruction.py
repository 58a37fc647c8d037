"""Pixel losses."""

from torch import Tensor, nn

from regvq.losses.base import PixelLoss


class L1Loss(PixelLoss):
    """Mean absolute difference: in [0, 2] for images in [-1, 1]."""

    def forward(self, images: Tensor, reconstruction: Tensor) -> Tensor:
        return nn.functional.l1_loss(reconstruction.float(), images.float())


class L2Loss(PixelLoss):
    """Mean squared difference: in [0, 4] for images in [-1, 1]."""

    def forward(self, images: Tensor, reconstruction: Tensor) -> Tensor:
        return nn.functional.mse_loss(reconstruction.float(), images.float())
