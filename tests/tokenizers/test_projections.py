"""The 1x1 convolutions around the quantizer start as the identity, as far as the sizes allow."""

import pytest
import torch

from regvq.nets import IdentityBackbone
from regvq.quantizers import EMAVectorQuantizer
from regvq.tokenizers import ImageTokenizer


@pytest.mark.parametrize("dim", [16, 48, 64])
def test_the_quantizer_starts_on_the_backbones_latents(dim):
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(IdentityBackbone(4), EMAVectorQuantizer(8, dim))
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    latents, own = tokenizer.latents(images), tokenizer.backbone.encode(images)
    shared = min(dim, 48)
    torch.testing.assert_close(latents[:, :shared], own[:, :shared])
    assert latents[:, shared:].abs().sum() == 0
    torch.testing.assert_close(tokenizer.post_quant_conv(latents)[:, :shared], own[:, :shared])
