"""Images in the size that a feature net was trained on."""

from torch import Tensor
from torch.nn.functional import interpolate

from regvq.nets.features.base import FeatureNet


class EnlargedFeatures(FeatureNet):
    """A feature net that sees every image resized to one size, bicubic with antialiasing.

    Args:
        net: the net.
        size: side in pixels.
    """

    def __init__(self, net: FeatureNet, size: int) -> None:
        super().__init__()
        self.net = net
        self.size = size
        self.name = f"{net.name} at {size} px"
        self.eval()

    def layers(self, images: Tensor) -> list[Tensor]:
        if images.shape[2:] != (self.size, self.size):
            images = interpolate(images, (self.size, self.size), mode="bicubic", antialias=True).clamp(
                -1, 1
            )
        return self.net.layers(images)
