"""The linear way around a convolutional encoder and decoder."""

import torch
from torch import Tensor, nn

_COLOURS = 3


class PatchShortcut(nn.Module):
    """Linear maps from a patch of pixels to a latent and back.

    They start as the lowest frequencies of the patch's orthonormal cosine transform, so that networks
    which add to them have only what is not linear to learn, and latents that are near each other
    decode to patches that are. Shortcuts between pixels and channels train deep autoencoders of high
    compression (Chen et al., "Deep Compression Autoencoder", 2024, section 3.2); the cosine start
    serves any number of channels.

    Args:
        channels: of a latent. The first ``min(channels, 3 * side**2)`` carry the frequencies, from
            the mean colour upwards; the others start at zero.
        side: of a patch in pixels.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.to_latent = nn.Conv2d(_COLOURS, channels, side, stride=side, bias=False)
        self.to_patch = nn.ConvTranspose2d(channels, _COLOURS, side, stride=side, bias=False)
        frequencies = lowest_frequencies(channels, side)
        for layer in (self.to_latent, self.to_patch):
            nn.init.zeros_(layer.weight)
            with torch.no_grad():
                layer.weight[: len(frequencies)] = frequencies

    def encode(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` to latents ``[B, channels, H/side, W/side]``."""
        latents: Tensor = self.to_latent(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, channels, h, w]`` to images ``[B, 3, h*side, w*side]``."""
        images: Tensor = self.to_patch(latents)
        return images


def cosine_basis(side: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of ``side`` samples, one a row: ``[side, side]``."""
    frequency = torch.arange(side)[:, None]
    place = torch.arange(side)[None] + 0.5
    basis: Tensor = torch.cos(torch.pi * frequency * place / side) * (2 / side) ** 0.5
    basis[0] /= 2**0.5
    return basis


def lowest_frequencies(number: int, side: int) -> Tensor:
    """The ``number`` lowest frequencies of a coloured patch, at most all: ``[number, 3, side, side]``.

    Ordered by the sum of both directions' frequencies, the three colours of each together.
    """
    basis = cosine_basis(side)
    patches = torch.einsum("ay,bx->abyx", basis, basis).flatten(0, 1)
    both = (torch.arange(side)[:, None] + torch.arange(side)).flatten()
    patches = patches[both.argsort(stable=True)]
    return torch.einsum("kyx,cd->kcdyx", patches, torch.eye(_COLOURS)).flatten(0, 1)[:number]
