"""The Fréchet distance against closed forms, and its streaming against one pass."""

import numpy as np
import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.metrics import FrechetDistance, frechet_distance
from regvq.nets import FeatureNet


class Corners(FeatureNet):
    """Eight pixels of the first channel as they are: features whose Gaussian a test can choose."""

    name = "corner pixels"

    def layers(self, images: Tensor) -> list[Tensor]:
        return [images[:, 0].flatten(1)[:, :8, None, None]]


def _images(rows: Tensor) -> Tensor:
    images = torch.zeros(len(rows), 3, 4, 4)
    images[:, 0].view(len(rows), -1)[:, :8] = rows
    return images


def test_gaussians_with_diagonal_covariances() -> None:
    mean, other_mean = torch.tensor([1.0, 0.0]).double(), torch.tensor([-1.0, 0.5]).double()
    covariance = torch.diag(torch.tensor([4.0, 9.0]).double())
    other = torch.diag(torch.tensor([1.0, 16.0]).double())
    # 4 + 0.25 from the means, (2 - 1)^2 + (3 - 4)^2 from the standard deviations.
    assert float(frechet_distance(mean, covariance, other_mean, other)) == pytest.approx(6.25, abs=1e-12)


def test_commuting_turned_covariances() -> None:
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    first, second = torch.rand(5).double() + 0.1, torch.rand(5).double() + 0.1
    zero = torch.zeros(5, dtype=torch.float64)
    distance = frechet_distance(zero, turn * first @ turn.T, zero, turn * second @ turn.T)
    expected = (first.sqrt() - second.sqrt()).square().sum()
    assert float(distance) == pytest.approx(float(expected), abs=1e-12)


def test_against_the_eigenvalues_of_the_product() -> None:
    roots = torch.randn(2, 6, 6, dtype=torch.float64)
    first, second = roots[0] @ roots[0].T, roots[1] @ roots[1].T
    zero = torch.zeros(6, dtype=torch.float64)
    eigenvalues = np.linalg.eigvals((first @ second).numpy()).real
    expected = float(first.trace() + second.trace()) - 2 * np.sqrt(eigenvalues).sum()
    assert float(frechet_distance(zero, first, zero, second)) == pytest.approx(expected, rel=1e-9)


def test_a_singular_covariance_is_at_no_distance_from_itself() -> None:
    column = torch.randn(6, 2, dtype=torch.float64)
    covariance, mean = column @ column.T, torch.randn(6, dtype=torch.float64)
    assert 0 <= float(frechet_distance(mean, covariance, mean, covariance)) < 1e-6


def test_streaming_equals_one_pass() -> None:
    originals, others = torch.rand(40, 8) - 0.5, torch.rand(30, 8) * 0.7
    metric = FrechetDistance(Corners())
    for part in originals.split(7):
        metric.update(_images(part), original=True)
    for part in others.split(11):
        metric.update(_images(part), original=False)
    expected = frechet_distance(
        originals.double().mean(0),
        originals.double().T.cov(),
        others.double().mean(0),
        others.double().T.cov(),
    )
    assert float(metric.compute()) == pytest.approx(float(expected), rel=1e-9)


def test_a_shift_costs_its_squared_length() -> None:
    rows = torch.rand(30, 8) * 0.5
    metric = FrechetDistance(Corners())
    metric.update(_images(rows), original=True)
    metric.update(_images(rows - 0.25), original=False)
    assert float(metric.compute()) == pytest.approx(8 * 0.25**2, abs=1e-6)


def test_originals_can_be_kept() -> None:
    rows = torch.rand(20, 8)
    metric = FrechetDistance(Corners(), keep_originals=True)
    metric.update(_images(rows), original=True)
    metric.update(_images(rows * 0.5), original=False)
    first = float(metric.compute())
    metric.reset()
    metric.update(_images(rows * 0.5), original=False)
    assert float(metric.compute()) == pytest.approx(first, abs=1e-12)
    forgetful = FrechetDistance(Corners())
    forgetful.update(_images(rows), original=True)
    forgetful.reset()
    forgetful.update(_images(rows), original=False)
    with pytest.raises(RegvqError, match="at least 2 original images, not 0"):
        forgetful.compute()


def test_its_name_carries_the_features() -> None:
    assert FrechetDistance(Corners()).name == "Fréchet distance (corner pixels)"
