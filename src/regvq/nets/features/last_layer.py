"""The deepest layer of a feature net alone."""

from torch import Tensor

from regvq.nets.features.base import FeatureNet


class LastLayer(FeatureNet):
    """A feature net that keeps its last layer, as Fréchet distances do by convention.

    Heusel et al., 2017, compare the last pooled features of Inception. Where the layers of a net lie on
    different scales, a distance over all of them is that of the layer with the largest values.

    Args:
        net: the net.
    """

    def __init__(self, net: FeatureNet) -> None:
        super().__init__()
        self.net = net
        self.name = f"{net.name}, last layer"
        self.eval()

    def layers(self, images: Tensor) -> list[Tensor]:
        return self.net.layers(images)[-1:]
