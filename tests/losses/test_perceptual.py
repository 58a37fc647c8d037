"""Perceptual losses against their formulas."""

import lpips
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models

from regvq.errors import RegvqError
from regvq.losses import LPIPS, PerceptualLoss, perceptual
from regvq.losses.functional import unit_norm
from regvq.nets import OfflineFeatures

WIDTHS = (64, 128, 256, 512, 512)


def images(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_perceptual_by_hand():
    # One location a layer. Layer 1: (1,0) and (0,1), distance 2; layer 2: (3,4)/5 and (1,0): 0.4^2 + 0.8^2.
    real = [torch.tensor([2.0, 0.0]).view(1, 2, 1, 1), torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)]
    fake = [torch.tensor([0.0, 7.0]).view(1, 2, 1, 1), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)]
    loss = PerceptualLoss(OfflineFeatures())
    assert loss(real, fake).item() == pytest.approx((2 + 0.8) / 2)
    assert loss(real, real).item() == 0


def test_perceptual_gradient_reaches_the_reconstruction_alone():
    net = OfflineFeatures()
    original, reconstruction = images(0).requires_grad_(), images(1).requires_grad_()
    PerceptualLoss(net)(net(original), net(reconstruction)).backward()
    assert original.grad is None
    assert reconstruction.grad.abs().sum() > 0


def test_features_that_are_nearly_nothing_have_a_bounded_gradient():
    features = torch.full((1, 3, 2, 2), 1e-9, requires_grad=True)
    unit_norm(features).sum().backward()
    assert features.grad.abs().max() <= 1e4 + 1
    assert unit_norm(torch.full((1, 4, 1, 1), 0.5)).flatten().tolist() == [0.5] * 4


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Random VGG-16 and channel weights, as files, and as tensors."""
    folder = tmp_path_factory.mktemp("lpips")
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {f"features.{k}": v.shape for k, v in models.vgg16().features.state_dict().items()}
    net = {key: torch.randn(shape, generator=generator) * 0.05 for key, shape in shapes.items()}
    channels = {
        f"lin{index}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for index, width in enumerate(WIDTHS)
    }
    save_file(net, folder / "vgg16.safetensors")
    torch.save(channels, folder / "vgg.pth")
    return folder, channels


def test_lpips_is_its_formula(files):
    folder, channels = files
    loss = LPIPS(folder / "vgg16.safetensors", folder / "vgg.pth", weight=0.3)
    real, fake = loss.features(images(0)), loss.features(images(1))
    expected = torch.zeros(())
    for y, z, weight in zip(real, fake, channels.values(), strict=True):
        gap = y / y.norm(dim=1, keepdim=True) - z / z.norm(dim=1, keepdim=True)
        expected += (weight * gap.square()).sum(1).mean()
    torch.testing.assert_close(loss(real, fake), expected)
    assert loss(real, real).item() == 0
    assert loss.weight == 0.3
    assert loss.state_dict() == {}


def test_lpips_is_that_of_the_lpips_package(files):
    """With its own channel weights, on the same random VGG-16: the trained one cannot be downloaded."""
    folder, _ = files
    ours = LPIPS(folder / "vgg16.safetensors")
    theirs = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval()
    state = load_file(folder / "vgg16.safetensors")
    for part in (
        theirs.net.slice1,
        theirs.net.slice2,
        theirs.net.slice3,
        theirs.net.slice4,
        theirs.net.slice5,
    ):
        part.load_state_dict({key: state[f"features.{key}"] for key in part.state_dict()})
    with torch.no_grad():
        expected = theirs(images(0), images(1)).mean()
        found = ours(ours.features(images(0)), ours.features(images(1)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_lpips_refuses_other_channel_weights(files, tmp_path):
    folder, channels = files
    torch.save({**channels, "lin2.model.1.weight": torch.ones(1, 64, 1, 1)}, tmp_path / "alex.pth")
    with pytest.raises(RegvqError, match="not those of LPIPS"):
        LPIPS(folder / "vgg16.safetensors", tmp_path / "alex.pth")


def test_lpips_says_what_is_missing(files, monkeypatch):
    folder, _ = files
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(RegvqError, match=r"lpips package.*install regvq\[eval\] or give channel_weights"):
        LPIPS(folder / "vgg16.safetensors")
