"""PSNR and SSIM against numbers worked out by hand."""

import math

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from regvq.metrics import PSNR, SSIM


def test_psnr_of_a_constant_error() -> None:
    metric = PSNR()
    metric.update(torch.full((1, 3, 8, 8), 0.3), torch.full((1, 3, 8, 8), 0.1))
    # Range 2, error 0.2: 10 log10(4 / 0.04) = 20 dB.
    assert float(metric.compute()) == pytest.approx(20.0, abs=1e-5)


def test_psnr_pools_the_error_over_the_set() -> None:
    metric = PSNR()
    zeros = torch.zeros(1, 3, 8, 8)
    metric.update(zeros, zeros)  # flawless: its own ratio would be infinite
    metric.update(zeros + 0.2, zeros)
    assert float(metric.compute()) == pytest.approx(10 * math.log10(4 / 0.02), abs=1e-5)


def test_psnr_weighs_images_not_batches() -> None:
    images, originals = torch.rand(5, 3, 8, 8), torch.rand(5, 3, 8, 8)
    whole, parts = PSNR(), PSNR()
    whole.update(images, originals)
    for part in (slice(0, 4), slice(4, 5)):
        parts.update(images[part], originals[part])
    assert float(parts.compute()) == pytest.approx(float(whole.compute()), abs=1e-9)


def test_psnr_clamps() -> None:
    metric = PSNR()
    metric.update(torch.full((1, 3, 4, 4), 7.0), torch.full((1, 3, 4, 4), 1.0))
    assert float(metric.compute()) == math.inf


def test_ssim_is_one_for_the_same_image_and_less_for_another() -> None:
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    same, other = SSIM(), SSIM()
    same.update(images, images)
    other.update((images + 0.3 * torch.randn_like(images)).clamp(-1, 1), images)
    assert float(same.compute()) == pytest.approx(1.0, abs=1e-5)
    assert float(other.compute()) < 0.95


def test_ssim_of_two_even_images_by_hand() -> None:
    images, others = torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), -0.25)
    metric = SSIM()
    metric.update(images, others)
    # No variance: what is left is that of the means, with C = (0.01 * 2)^2 for the range of 2.
    expected = (2 * 0.5 * -0.25 + 4e-4) / (0.5**2 + 0.25**2 + 4e-4)
    assert float(metric.compute()) == pytest.approx(expected, abs=1e-5)


def test_ssim_takes_the_range_as_two() -> None:
    images, others = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1
    metric = SSIM()
    metric.update(images, others)
    expected = structural_similarity_index_measure(images, others, data_range=2.0)
    assert float(metric.compute()) == pytest.approx(float(expected), abs=1e-6)
