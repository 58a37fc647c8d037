"""VQ-GAN's networks with self-attention at chosen resolutions, as published models have them."""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from regvq.errors import RegvqError
from regvq.nets.backbone import Backbone, encoder_and_decoder


class AttentiveVQGANBackbone(Backbone):
    """``VQGANBackbone`` with self-attention after every residual block of some resolutions.

    Esser et al., "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021, whose published
    models attend at the lowest resolution throughout (``attn_resolutions``).

    Args:
        channels: width of each resolution; every one after the first halves the side.
        layers: residual blocks a resolution in the encoder (the decoder has one more).
        latent_channels: channels of the latents.
        norm_groups: groups of the group norms; must divide every width.
        attention: self-attention in the middle, between the last resolution and the latents.
        attention_levels: where else, as indices into ``channels``.

    Raises:
        RegvqError: a number is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[int] = (128, 128, 256, 256, 512),
        layers: int = 2,
        latent_channels: int = 256,
        norm_groups: int = 32,
        attention: bool = True,
        attention_levels: Sequence[int] = (4,),
    ) -> None:
        super().__init__()
        if not all(0 <= level < len(channels) for level in attention_levels):
            raise RegvqError(
                f"attention_levels must be indices into the {len(channels)} channels, not "
                f"{list(attention_levels)}"
            )
        self.encoder, self.decoder = encoder_and_decoder(
            channels, layers, latent_channels, norm_groups, attention, attention_levels
        )
        self.latent_channels = latent_channels
        self.downsampling = 2 ** (len(channels) - 1)

    def encode(self, images: Tensor) -> Tensor:
        latents: Tensor = self.encoder(images)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.decoder(latents)
        return images

    @property
    def last_layer(self) -> nn.Parameter:
        return cast(nn.Parameter, self.decoder.conv_out.weight)
