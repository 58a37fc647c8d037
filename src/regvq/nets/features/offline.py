"""A feature net that needs no pretrained weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from regvq.nets.features.base import FeatureNet

# Mean squared response below which a location counts as flat and is no longer brought to unit contrast.
FLOOR = 0.1


class OfflineFeatures(FeatureNet):
    """Fixed random convolutions: orthogonal zero-mean filters, rectified, contrast-normalised.

    Three layers at 1/2, 1/4 and 1/8 of the image's side, each with the blurred image's three colours
    beside its responses. Of what was tried it agrees best with a pretrained net about how bad a
    distortion is, and it tells locations apart (``docs/offline-features.md``). The filters come from a
    seed of their own: the same on every machine, and no other random number is drawn.

    Args:
        widths: filters of each layer.
        seed: which filters.
    """

    name = "fixed random convolutions"

    def __init__(self, widths: Sequence[int] = (24, 40, 48), seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.depth = len(widths)
        inputs = 3
        for index, outputs in enumerate(widths):
            filters = _filters(outputs, inputs, 3 if index else 5, generator)
            self.register_buffer(f"filters_{index}", filters, persistent=False)
            inputs = outputs
        self.eval()

    def layers(self, images: Tensor) -> list[Tensor]:
        value, colours, outputs = images, images, []
        for index in range(self.depth):
            value = _respond(value, self.get_buffer(f"filters_{index}"), stride=1 if index else 2)
            colours = nn.functional.avg_pool2d(colours, 2, ceil_mode=True)
            # A flat patch has no response: without its colour it would have no direction at all.
            outputs.append(torch.cat([value, colours], 1))
            if index + 1 < self.depth:
                value = nn.functional.avg_pool2d(value, 2, ceil_mode=True)
        return outputs


def _filters(outputs: int, inputs: int, side: int, generator: torch.Generator) -> Tensor:
    """Random filters ``[outputs, inputs, side, side]`` with orthogonal rows, each of zero mean.

    Drawn and made orthogonal in float64, so that all machines agree to float32's last digits.
    """
    columns = inputs * side**2
    draw = torch.randn(
        max(outputs, columns), min(outputs, columns), generator=generator, dtype=torch.float64
    )
    basis, triangle = torch.linalg.qr(draw)
    # Which sign a column gets is the library's own choice; this fixes it.
    basis = basis * triangle.diagonal().sign()
    rows = basis if outputs > columns else basis.T
    filters = rows.reshape(outputs, inputs, side, side)
    filters = filters - filters.mean((2, 3), keepdim=True)
    scaled: Tensor = (math.sqrt(2) * filters).float().contiguous()
    return scaled


def _respond(value: Tensor, filters: Tensor, stride: int) -> Tensor:
    """Rectified responses, each location divided by the root mean square over its channels."""
    padded = nn.functional.pad(value, [filters.shape[2] // 2] * 4, mode="replicate")
    response = nn.functional.conv2d(padded, filters, stride=stride).relu()
    return response * (response.square().mean(1, keepdim=True) + FLOOR).rsqrt()
