"""Heads: logits, what is learned in them, and the Euclidean head's running variance."""

import math

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers import CosineHead, EuclideanHead, LinearHead


def _all(tokens: int) -> Tensor:
    return torch.ones(tokens, dtype=torch.bool)


def test_euclidean_has_unit_variance_before_the_first_batch() -> None:
    logits = EuclideanHead()(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2)).logits()
    assert logits.item() == -2  # 4 / (2 * 1)


def test_euclidean_takes_the_mean_squared_error_and_then_follows_it() -> None:
    head = EuclideanHead(decay=0.9)
    head.observe(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 2), _all(2))
    assert head.variance.item() == 2  # (4 + 0 + 0 + 4) / 4 elements: the first batch counts in full
    head.observe(torch.ones(5, 2), torch.zeros(5, 2), _all(5))
    assert head.variance.item() == pytest.approx(0.9 * 2 + 0.1 * 1)
    logits = head(torch.tensor([[3.0, 0.0]]), torch.zeros(1, 2)).logits()
    assert logits.item() == pytest.approx(-9 / (2 * 1.9))


def test_euclidean_stays_finite_where_every_latent_sits_on_its_code() -> None:
    head = EuclideanHead()
    codes = torch.randn(4, 2)
    head.observe(codes, codes, _all(len(codes)))
    assert head(codes, codes).logits().isfinite().all()
    head.observe(codes + 1e-8, codes, _all(len(codes)))
    assert head(codes + 1e-8, codes).logits().isfinite().all()


def test_cosine_is_blind_to_length() -> None:
    head = CosineHead(scale=7.0)
    latents, codes = torch.randn(5, 3), torch.randn(4, 3)
    logits = head(head.project(latents), head.project(codes)).logits()
    expected = 7 * torch.nn.functional.cosine_similarity(latents[:, None], codes[None], dim=2)
    torch.testing.assert_close(logits, expected)
    same = head(head.project(50 * latents), head.project(codes / 9)).logits()
    torch.testing.assert_close(same, logits)


def test_cosine_learns_its_scale_unless_told_not_to() -> None:
    assert [name for name, _ in CosineHead().named_parameters()] == ["log_scale"]
    assert list(CosineHead(learnable=False).parameters()) == []
    assert CosineHead(scale=30.0).log_scale.item() == pytest.approx(math.log(30))


def test_linear_is_an_affine_map_that_the_codebook_does_not_enter() -> None:
    head = LinearHead()
    head.bind(4, 3)
    latents = torch.randn(5, 3)
    expected = latents @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(latents, torch.randn(4, 3)).logits(), expected)
    torch.testing.assert_close(head(latents, torch.full((4, 3), torch.nan)).logits(), expected)


def test_linear_scale_multiplies_the_first_weights() -> None:
    weights = []
    for scale in (1.0, 3.0):
        torch.manual_seed(1)
        head = LinearHead(scale)
        head.bind(4, 3)
        weights.append(head.linear.weight.detach())
    torch.testing.assert_close(weights[1], 3 * weights[0])


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_a_scale_is_positive(value: float) -> None:
    with pytest.raises(RegvqError, match="positive"):
        CosineHead(scale=value)
