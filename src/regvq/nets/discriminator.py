"""A critic of image patches."""

from torch import Tensor, nn

from regvq.errors import RegvqError


class PatchDiscriminator(nn.Module):
    """PatchGAN: one score for every overlapping patch of an image.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, with
    group norms for batch norms. A batch norm lets an image's score depend on its neighbours in the
    batch and on whether real and fake images share one, must be synced over ranks, and drifts with
    small batches; a group norm sees one image.

    Three layers judge patches of 70 pixels (for images of 256), two of 34 (for images of 32 to 64).

    Args:
        channels: width of the first layer; it doubles with every further one, up to eightfold.
        layers: convolutions that halve the side. Images need a side of ``3 * 2**layers`` or more.
        norm_groups: groups of the group norms; must divide ``channels``. None: no norms at all.
    """

    def __init__(self, channels: int = 64, layers: int = 3, norm_groups: int | None = 8) -> None:
        super().__init__()
        if channels < 1 or layers < 1:
            raise RegvqError(f"channels and layers must be at least 1, not {channels} and {layers}")
        if norm_groups is not None and (norm_groups < 1 or channels % norm_groups):
            raise RegvqError(f"norm_groups={norm_groups} must divide channels={channels}")
        self.smallest = 3 * 2**layers
        widths = [channels * min(2**depth, 8) for depth in range(layers + 1)]
        parts: list[nn.Module] = [_convolution(3, channels, stride=2), nn.LeakyReLU(0.2)]
        for depth in range(1, layers + 1):
            stride = 2 if depth < layers else 1
            parts.append(_convolution(widths[depth - 1], widths[depth], stride))
            if norm_groups is not None:
                parts.append(nn.GroupNorm(norm_groups, widths[depth]))
            parts.append(nn.LeakyReLU(0.2))
        parts.append(_convolution(widths[-1], 1, stride=1))
        self.net = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        """Scores ``[B, 1, h, w]``, high for real, of images ``[B, 3, H, W]`` in about [-1, 1].

        Raises:
            RegvqError: the images are too small to hold a patch.
        """
        if min(images.shape[2:]) < self.smallest:
            raise RegvqError(
                f"this discriminator needs images of at least {self.smallest} pixels a side, "
                f"not {images.shape[2]}x{images.shape[3]}: give it fewer layers"
            )
        scores: Tensor = self.net(images)
        return scores


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=4, stride=stride, padding=1)
    nn.init.normal_(convolution.weight, 0.0, 0.02)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # it has one: the default
    return convolution
