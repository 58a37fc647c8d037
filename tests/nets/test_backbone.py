"""Encoder and decoder: sizes, the start of training, and options that cannot be."""

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D

from regvq.errors import RegvqError
from regvq.nets import AttentiveVQGANBackbone, IdentityBackbone, VQGANBackbone


def small(**options):
    return VQGANBackbone(
        **({"channels": [8, 8, 16], "layers": 1, "latent_channels": 6, "norm_groups": 4} | options)
    )


@pytest.mark.parametrize("attention", [False, True])
def test_images_to_latents_and_back(attention):
    backbone = small(attention=attention)
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    latents = backbone.encode(images)
    assert backbone.downsampling == 4
    assert latents.shape == (2, 6, 4, 6)
    assert backbone.decode(latents).shape == images.shape


def test_attention_only_where_it_is_asked_for():
    options = {"channels": [8, 16, 16], "layers": 1, "latent_channels": 6, "norm_groups": 4}
    backbone = AttentiveVQGANBackbone(**options, attention_levels=(1,))
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    assert backbone.decode(backbone.encode(images)).shape == images.shape
    down = [hasattr(block, "attentions") for block in backbone.encoder.down_blocks]
    up = [hasattr(block, "attentions") for block in backbone.decoder.up_blocks]
    assert down == [False, True, False] == up[::-1]
    with pytest.raises(RegvqError, match="attention_levels must be indices into the 3 channels"):
        AttentiveVQGANBackbone(**options, attention_levels=(3,))


def test_the_defaults_are_the_papers_size():
    with torch.device("meta"):
        backbone = VQGANBackbone()
        assert backbone.encode(torch.empty(1, 3, 256, 256)).shape == (1, 256, 16, 16)
        assert backbone.decode(torch.empty(1, 256, 16, 16)).shape == (1, 3, 256, 256)


def test_residual_blocks_start_as_the_identity():
    blocks = [module for module in small().modules() if isinstance(module, ResnetBlock2D)]
    assert len(blocks) >= 10
    for block in blocks:
        values = torch.randn(2, block.in_channels, 8, 8)
        shortcut = block.conv_shortcut(values) if block.conv_shortcut is not None else values
        # The bias of the last convolution is all that a branch adds; it is one number a channel.
        added = block(values, None) - shortcut
        torch.testing.assert_close(added, added[:1, :, :1, :1].expand_as(added), atol=1e-5, rtol=0)


def test_the_last_layer_makes_the_image():
    backbone = small()
    backbone.decode(torch.randn(1, 6, 4, 4)).sum().backward()
    assert backbone.last_layer.shape[0] == 3
    assert backbone.last_layer.grad.abs().sum() > 0


def test_the_identity_backbone_is_one():
    backbone = IdentityBackbone(4)
    images = torch.rand(2, 3, 8, 8)
    assert backbone.encode(images).shape == (2, backbone.latent_channels, 2, 2)
    assert torch.equal(backbone.decode(backbone.encode(images)), images)


@pytest.mark.parametrize("channels", [[], [6, 8]])
def test_groups_must_divide_every_width(channels):
    with pytest.raises(RegvqError, match="norm_groups=4 must divide"):
        small(channels=channels)
