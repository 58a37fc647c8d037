"""Padding by mirroring, against numpy's."""

import numpy as np
import pytest
import torch

from regvq.tokenizers.padding import pad_to_multiple


def test_by_hand() -> None:
    image = torch.tensor([[[1.0, 2.0, 3.0]]])
    assert pad_to_multiple(image, 4)[0].tolist() == [[1, 2, 3, 2]] * 4


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (5, 9), (7, 8), (31, 17)])
@pytest.mark.parametrize("factor", [1, 2, 8, 16])
def test_agrees_with_numpy(size: tuple[int, int], factor: int) -> None:
    image = torch.rand(2, 3, *size)
    padded = pad_to_multiple(image, factor)
    extra = [(0, -length % factor) for length in size]
    assert np.array_equal(padded.numpy(), np.pad(image.numpy(), [(0, 0), (0, 0), *extra], mode="reflect"))


def test_an_image_that_fits_is_the_same_tensor() -> None:
    image = torch.rand(3, 8, 16)
    assert pad_to_multiple(image, 8) is image
