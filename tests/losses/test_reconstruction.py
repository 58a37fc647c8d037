"""Pixel losses by hand."""

import pytest
import torch

from regvq.losses import L1Loss, L2Loss


@pytest.mark.parametrize(("loss", "expected"), [(L1Loss(), 0.75), (L2Loss(), 1.25)])
def test_by_hand(loss, expected):
    images = torch.tensor([1.0, 0.0, 0.5, -1.0]).view(1, 1, 2, 2)
    reconstruction = torch.tensor([1.0, 1.0, 0.5, 1.0]).view(1, 1, 2, 2)
    value = loss(images, reconstruction.bfloat16())
    assert value.item() == expected
    assert value.dtype == torch.float32
