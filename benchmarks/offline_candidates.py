"""The feature nets that ``benchmarks/offline_features.py`` compares: none needs pretrained weights."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from regvq.nets import FeatureNet, OfflineFeatures
from regvq.nets.patch_shortcut import cosine_basis


class Pixels(FeatureNet):
    """The image itself at three scales: the least a candidate must beat."""

    name = "pixels, 3 scales"

    def layers(self, images: Tensor) -> list[Tensor]:
        return [images, *(nn.functional.avg_pool2d(images, side) for side in (2, 4))]


class Filters(FeatureNet):
    """A bank of linear filters on a pyramid, rectified to both signs, with the blurred colours."""

    def __init__(self, name: str, filters: Tensor, scales: int = 3, bias: float = 0.05) -> None:
        super().__init__()
        self.name, self.scales, self.bias = name, scales, bias
        self.register_buffer("filters", filters, persistent=False)

    def layers(self, images: Tensor) -> list[Tensor]:
        outputs = []
        for scale in range(self.scales):
            small = nn.functional.avg_pool2d(images, 2**scale) if scale else images
            side = self.filters.shape[2]
            padded = nn.functional.pad(small, [side // 2, (side - 1) // 2] * 2, mode="replicate")
            response = self.rectify(nn.functional.conv2d(padded, self.filters, stride=2))
            outputs.append(torch.cat([response, nn.functional.avg_pool2d(small, 2)], 1))
        return outputs

    def rectify(self, response: Tensor) -> Tensor:
        """What of the filters' responses ``[B, K, h, w]`` is kept."""
        return torch.cat([response.relu(), (-response).relu()], 1)


class Modulus(Filters):
    """Even and odd filters in quadrature: the modulus of each pair (first-order scattering)."""

    def rectify(self, response: Tensor) -> Tensor:
        even, odd = response.chunk(2, 1)
        return (even.square() + odd.square() + 1e-4).sqrt()


def gabor(side: int = 7, orientations: int = 6) -> Tensor:
    """Even then odd Gabor filters of luminance and two opponent colours: ``[2K, 3, side, side]``."""
    axis = torch.arange(side) - (side - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * (side / 4.5) ** 2))
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])
    even, odd = [], []
    for tint in colours / colours.norm(dim=1, keepdim=True):
        for angle in torch.arange(orientations) * math.pi / orientations:
            phase = (x * angle.cos() + y * angle.sin()) * 2 * math.pi / 4
            wave = envelope * phase.cos()
            wave = wave - envelope * (wave.sum() / envelope.sum())
            for bank, values in ((even, wave), (odd, envelope * phase.sin())):
                bank.append(tint[:, None, None] * values / values.norm())
    return torch.stack(even + odd)


def cosine_transform(side: int = 4) -> Tensor:
    """The cosine transform of a block in luminance and two opponent colours, without the mean."""
    basis = cosine_basis(side)
    blocks = torch.einsum("ay,bx->abyx", basis, basis).flatten(0, 1)[1:]
    colours = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    return torch.einsum("kc,nyx->kncyx", colours, blocks).flatten(0, 1)


class RandomConvolutions(FeatureNet):
    """A stack of fixed convolutions with orthogonal random filters, rectified, halved by pooling.

    Args:
        name: what the table prints.
        widths: channels of every layer.
        first: side of the first layer's filters, at stride ``stride``.
        stride: of the first layer.
        zero_mean: whether every filter sums to zero over its window.
        both_signs: rectify the responses and their negatives, in place of twice as many filters.
        normalise: divide every location by the root mean square over its channels.
        colours: append the blurred image to every layer.
        bank: the first layer's filters ``[K, 3, side, side]`` in place of random ones.
    """

    def __init__(
        self,
        name: str,
        widths: tuple[int, ...],
        *,
        first: int = 3,
        stride: int = 1,
        zero_mean: bool = False,
        both_signs: bool = False,
        normalise: float = 0.0,
        colours: float = 0.0,
        bank: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.name, self.stride, self.depth = name, stride, len(widths)
        self.both_signs, self.normalise, self.colours = both_signs, normalise, colours
        generator = torch.Generator().manual_seed(0)
        inputs = 3
        for index, width in enumerate(widths):
            number = width // 2 if both_signs else width
            side = first if index == 0 else 3
            filters = orthogonal(number, inputs * side**2, generator).view(number, inputs, side, side)
            if zero_mean:
                filters = filters - filters.mean((2, 3), keepdim=True)
            if index == 0 and bank is not None:
                filters = bank
            self.register_buffer(f"filters_{index}", math.sqrt(2) * filters, persistent=False)
            inputs = width

    def layers(self, images: Tensor) -> list[Tensor]:
        value, outputs = images, []
        for index in range(self.depth):
            if index:
                value = nn.functional.avg_pool2d(value, 2)
            filters = self.get_buffer(f"filters_{index}")
            padded = nn.functional.pad(value, [filters.shape[2] // 2] * 4, mode="replicate")
            response = nn.functional.conv2d(padded, filters, stride=1 if index else self.stride)
            if self.both_signs:
                response = torch.cat([response, -response], 1)
            value = response.relu()
            if self.normalise:
                value = value * (value.square().mean(1, keepdim=True) + self.normalise).rsqrt()
            outputs.append(value)
            if self.colours:
                small = nn.functional.avg_pool2d(images, self.stride * 2**index)
                outputs[-1] = torch.cat([value, self.colours * small], 1)
        return outputs


def orthogonal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random matrix ``[rows, columns]`` with orthonormal rows, or columns where those are fewer."""
    draw = torch.randn(max(rows, columns), min(rows, columns), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(draw)[0].float()
    return basis if rows > columns else basis.T


def shipped(seed: int) -> FeatureNet:
    net = OfflineFeatures(seed=seed)
    net.name = f"OfflineFeatures, seed {seed}"
    return net


def candidates() -> list[FeatureNet]:
    small = (24, 40, 48)
    halved: dict[str, Any] = {"first": 5, "stride": 2, "zero_mean": True}
    return [
        Pixels(),
        Filters("cosine transform 4x4", cosine_transform(4)),
        Filters("Gabor, both signs", gabor(7, 6)),
        Modulus("Gabor, modulus", gabor(7, 6)),
        RandomConvolutions("random 3x3", (32, 48, 64)),
        RandomConvolutions("+ zero mean", (32, 48, 64), zero_mean=True),
        RandomConvolutions("+ both signs", (32, 48, 64), zero_mean=True, both_signs=True),
        RandomConvolutions("random 5x5/2, zero mean", small, **halved),
        RandomConvolutions("+ normalised", small, normalise=0.1, **halved),
        RandomConvolutions("+ colours x2", small, normalise=0.1, colours=2.0, **halved),
        RandomConvolutions("+ colours", small, normalise=0.1, colours=1.0, **halved),
        RandomConvolutions("  floor 0.01", small, normalise=0.01, colours=1.0, **halved),
        RandomConvolutions("  floor 0.3", small, normalise=0.3, colours=1.0, **halved),
        RandomConvolutions("  16-32-48", (16, 32, 48), normalise=0.1, colours=1.0, **halved),
        RandomConvolutions(
            "  Gabor 5x5/2 first", small, normalise=0.1, colours=1.0, bank=gabor(5, 4), **halved
        ),
        *(shipped(seed) for seed in range(3)),
    ]
