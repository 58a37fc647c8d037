"""The linear shortcut: a transform and its inverse, cut to the lowest frequencies."""

import math

import pytest
import torch

from regvq.nets import VQGANBackbone
from regvq.nets.patch_shortcut import PatchShortcut, cosine_basis, lowest_frequencies


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_the_cosine_basis_is_orthonormal(side):
    basis = cosine_basis(side)
    torch.testing.assert_close(basis @ basis.T, torch.eye(side), atol=1e-6, rtol=0)


def test_the_cosine_basis_of_two_by_hand():
    half = 1 / math.sqrt(2)
    torch.testing.assert_close(cosine_basis(2), torch.tensor([[half, half], [half, -half]]))


def test_frequencies_come_from_the_mean_colour_upwards():
    kernels = lowest_frequencies(9, 4)
    for colour in range(3):
        expected = torch.zeros(3, 4, 4)
        expected[colour] = 1 / 4
        torch.testing.assert_close(kernels[colour], expected)
    # The next three colours vary along one axis alone, and sum to nothing.
    assert kernels[3:9].sum((2, 3)).abs().max() < 1e-6


def test_all_frequencies_bring_the_image_back():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 16, 8) * 2 - 1
    shortcut = PatchShortcut(64, 4)
    latents = shortcut.encode(images)
    assert latents.shape == (2, 64, 4, 2)
    assert latents[:, 48:].abs().max() == 0  # 3 * 4 * 4 frequencies, the rest is room
    torch.testing.assert_close(shortcut.decode(latents), images, atol=1e-5, rtol=0)


def test_few_channels_keep_what_is_smooth():
    shortcut = PatchShortcut(3, 4)
    colours = torch.rand(2, 3, 2, 2) * 2 - 1
    smooth = colours.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(shortcut.decode(shortcut.encode(smooth)), smooth, atol=1e-5, rtol=0)


def test_networks_start_with_nothing_to_add_and_learn():
    torch.manual_seed(0)
    backbone = VQGANBackbone(
        [8, 8, 16], 1, latent_channels=64, norm_groups=4, attention=False, shortcut=True
    )
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    rebuilt = backbone.decode(backbone.encode(images))
    torch.testing.assert_close(rebuilt, images, atol=1e-5, rtol=0)
    (rebuilt - 0.5).square().sum().backward()
    for layer in (backbone.encoder.conv_out, backbone.last_layer):
        weight = getattr(layer, "weight", layer)
        assert weight.grad.abs().sum() > 0
