"""Encoder and decoder as one object, because they are sized together."""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from typing import cast

import torch
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import (
    AttnDownEncoderBlock2D,
    AttnUpDecoderBlock2D,
    DownEncoderBlock2D,
    UNetMidBlock2D,
    UpDecoderBlock2D,
)
from torch import Tensor, nn

from regvq.configurable import Configurable
from regvq.errors import RegvqError
from regvq.nets.patch_shortcut import PatchShortcut

BackboneStage = (
    AttnDownEncoderBlock2D | AttnUpDecoderBlock2D | DownEncoderBlock2D | UNetMidBlock2D | UpDecoderBlock2D
)
"""The classes of the blocks of an encoder and a decoder: one block is one resolution, or the middle."""


class Backbone(nn.Module, Configurable, ABC):
    """Images to latents and latents to images.

    Attributes:
        latent_channels: channels of the latents.
        downsampling: image pixels a token's side.
    """

    latent_channels: int
    downsampling: int

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, H, W]`` in [-1, 1] to latents ``[B, C, H/f, W/f]``."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, C, h, w]`` to images ``[B, 3, h*f, w*f]``, about [-1, 1]."""

    @property
    @abstractmethod
    def last_layer(self) -> nn.Parameter:
        """The decoder's last weight, at which an adversarial loss is balanced (VQ-GAN, eq. 7)."""


def encoder_and_decoder(
    channels: Sequence[int],
    layers: int,
    latent_channels: int,
    norm_groups: int,
    attention: bool,
    attention_levels: Container[int] = (),
) -> tuple[Encoder, Decoder]:
    """Diffusers' encoder and decoder, sized as one; every residual block starts as the identity.

    Args:
        channels: width of each resolution.
        layers: residual blocks a resolution in the encoder.
        latent_channels: channels of the latents.
        norm_groups: groups of the group norms.
        attention: self-attention in the middle, at the lowest resolution.
        attention_levels: indices into ``channels``: there it follows every residual block, too.

    Raises:
        RegvqError: a number is too small, or the groups do not divide the widths.
    """
    if layers < 1 or latent_channels < 1 or norm_groups < 1:
        raise RegvqError(
            f"layers, latent_channels and norm_groups must be at least 1, not {layers}, "
            f"{latent_channels} and {norm_groups}"
        )
    if not channels or any(width < 1 or width % norm_groups for width in channels):
        raise RegvqError(f"norm_groups={norm_groups} must divide every width of {list(channels)}")
    kinds = ["Attn" if level in attention_levels else "" for level in range(len(channels))]
    encoder = Encoder(
        in_channels=3,
        out_channels=latent_channels,
        down_block_types=tuple(f"{kind}DownEncoderBlock2D" for kind in kinds),
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        norm_num_groups=norm_groups,
        double_z=False,
        mid_block_add_attention=attention,
    )
    decoder = Decoder(
        in_channels=latent_channels,
        out_channels=3,
        up_block_types=tuple(f"{kind}UpDecoderBlock2D" for kind in reversed(kinds)),
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        norm_num_groups=norm_groups,
        mid_block_add_attention=attention,
    )
    for module in (*encoder.modules(), *decoder.modules()):
        if isinstance(module, ResnetBlock2D):
            nn.init.zeros_(module.conv2.weight)
    return encoder, decoder


class VQGANBackbone(Backbone):
    """The convolutional encoder and decoder of VQ-GAN, built from diffusers' blocks.

    Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021. The options
    are those of diffusers' ``VQModel`` and ``shortcut``, which it does not have.

    Every residual block starts as the identity (Goyal et al., "Accurate, Large Minibatch SGD", 2017,
    section 5.1), without which short runs end before the network has learned to copy its input.

    Args:
        channels: width of each resolution; every one after the first halves the side.
        layers: residual blocks a resolution in the encoder (the decoder has one more).
        latent_channels: channels of the latents.
        norm_groups: groups of the group norms; must divide every width. Groups of one or two channels
            learn slowly, because normalising them takes away a picture's colour.
        attention: self-attention at the lowest resolution.
        shortcut: the networks add to a linear shortcut (see ``PatchShortcut``) and start with nothing
            to add. Short runs learn much more with it; latents have about the scale of pixels then, for
            which a commitment of 8 serves better than the usual 0.25 (docs/recipe.md).
    """

    def __init__(
        self,
        channels: Sequence[int] = (128, 128, 256, 256, 512),
        layers: int = 2,
        latent_channels: int = 256,
        norm_groups: int = 32,
        attention: bool = True,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder_and_decoder(
            channels, layers, latent_channels, norm_groups, attention
        )
        self.latent_channels = latent_channels
        self.downsampling = 2 ** (len(channels) - 1)
        self.shortcut = PatchShortcut(latent_channels, self.downsampling) if shortcut else None
        if shortcut:
            for last in (self.encoder.conv_out, self.decoder.conv_out):
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)

    def encode(self, images: Tensor) -> Tensor:
        latents: Tensor = self.encoder(images)
        return latents if self.shortcut is None else latents + self.shortcut.encode(images)

    def decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.decoder(latents)
        return images if self.shortcut is None else images + self.shortcut.decode(latents)

    @property
    def last_layer(self) -> nn.Parameter:
        return cast(nn.Parameter, self.decoder.conv_out.weight)


class IdentityBackbone(Backbone):
    """No network: a token is a block of pixels, scaled by one learned number. For tests.

    Args:
        downsampling: side of the block.
    """

    def __init__(self, downsampling: int = 4) -> None:
        super().__init__()
        self.downsampling = downsampling
        self.latent_channels = 3 * downsampling**2
        self.gain = nn.Parameter(torch.ones(()))

    def encode(self, images: Tensor) -> Tensor:
        return nn.functional.pixel_unshuffle(images, self.downsampling)

    def decode(self, latents: Tensor) -> Tensor:
        return self.gain * nn.functional.pixel_shuffle(latents, self.downsampling)

    @property
    def last_layer(self) -> nn.Parameter:
        return self.gain
