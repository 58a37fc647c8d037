"""Codebook learning against numbers computed by hand."""

import math

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.quantizers import EMACodebook, GradientCodebook
from regvq.quantizers.codebooks import Codebook, random_latents


def _all(latents: Tensor) -> Tensor:
    return torch.ones(len(latents), dtype=torch.bool)


def _bound(codebook: Codebook, size: int, dim: int) -> Codebook:
    codebook.bind(size, dim)
    return codebook.train()


def test_uniform_start_lies_within_one_over_n() -> None:
    weight = _bound(GradientCodebook(init="uniform"), 50, 40).weight.detach()
    assert weight.abs().max() <= 1 / 50
    assert weight.std().item() == pytest.approx(1 / 50 / math.sqrt(3), rel=0.05)


def test_normal_start_has_unit_variance() -> None:
    assert _bound(GradientCodebook(init="normal"), 50, 40).weight.std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("make", [GradientCodebook, EMACodebook])
def test_data_start_takes_latents_of_the_first_batch(make: type) -> None:
    codebook = _bound(make(init="data"), 6, 3)
    latents = torch.randn(20, 3)
    codebook.start(latents, _all(latents))
    matches = (codebook.weight.detach()[:, None] == latents[None]).all(2)
    assert matches.any(1).all()
    assert matches.sum() == 6  # with latents enough, none is taken twice
    assert (matches.sum(0) <= 1).all()


def test_another_start_leaves_the_embeddings_alone() -> None:
    codebook = _bound(EMACodebook(init="normal"), 6, 3)
    before = codebook.weight.clone()
    latents = torch.randn(20, 3)
    codebook.start(latents, _all(latents))
    assert torch.equal(codebook.weight, before)


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(RegvqError, match="init"):
        GradientCodebook(init="zeros")


def test_fewer_latents_than_asked_for_repeat() -> None:
    latents = torch.randn(3, 2)
    drawn, distinct = random_latents(latents, _all(latents), 10)
    assert drawn.shape == (10, 2)
    assert distinct == 3
    assert len(drawn[:3].unique(dim=0)) == 3
    assert (drawn[:, None] == latents[None]).all(2).any(1).all()


def test_the_codebook_loss_pulls_the_embeddings_alone() -> None:
    latents = torch.tensor([[1.0, 2.0]], requires_grad=True)
    best = torch.tensor([[0.0, 4.0]], requires_grad=True)
    losses = GradientCodebook(loss_weight=2.0).losses(latents, best, _all(latents))
    assert losses["codebook"].item() == 5  # 2 * (1 + 4) / 2 elements
    losses["codebook"].backward()
    torch.testing.assert_close(best.grad, torch.tensor([[-2.0, 4.0]]))
    assert latents.grad is None


def _two_codes(decay: float, restart: float) -> EMACodebook:
    codebook = EMACodebook(decay=decay, restart=restart, init="normal")
    codebook.bind(2, 1)
    codebook.weight.copy_(torch.tensor([[0.0], [10.0]]))
    # Four tokens on two codes: each count 2, totals 0 and 20.
    codebook.start(torch.zeros(4, 1), torch.ones(4, dtype=torch.bool))
    return codebook.train()


def test_ema_embeddings_are_running_means() -> None:
    codebook = _two_codes(decay=0.5, restart=0.0)
    latents = torch.tensor([[1.0], [2.0], [3.0], [14.0]])
    codebook.update(latents, torch.tensor([0, 0, 0, 1]), _all(latents), 0)
    # counts 2 -> 2.5 and 1.5; totals 0 -> 3 and 20 -> 17
    torch.testing.assert_close(codebook.count, torch.tensor([2.5, 1.5]))
    torch.testing.assert_close(codebook.weight, torch.tensor([[1.2], [17 / 1.5]]))


def _give_ones_to_the_first(codebook: EMACodebook) -> None:
    codebook.update(torch.ones(4, 1), torch.zeros(4, dtype=torch.int64), _all(torch.ones(4, 1)), 0)


def test_an_idle_code_keeps_its_place_without_restarts() -> None:
    codebook = _two_codes(decay=0.5, restart=0.0)
    for _ in range(60):  # 2 ** -60: its count has left float32's reach
        _give_ones_to_the_first(codebook)
    torch.testing.assert_close(codebook.weight, torch.tensor([[1.0], [10.0]]))


def test_an_idle_code_keeps_its_place_without_memory() -> None:
    codebook = _two_codes(decay=0.0, restart=0.0)
    _give_ones_to_the_first(codebook)
    assert codebook.weight.tolist() == [[1.0], [10.0]]


def test_a_dead_code_is_put_on_a_latent_of_the_batch() -> None:
    codebook = _two_codes(decay=0.5, restart=0.5)
    latents = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    tokens = torch.zeros(4, dtype=torch.int64)
    # Counts 3 and 1, the threshold is 0.5 * 2: not below it yet.
    codebook.update(latents, tokens, _all(latents), 0)
    assert codebook.weight[1].item() == 10
    codebook.update(latents, tokens, _all(latents), 0)  # counts 3.5 and 0.5: dead
    assert codebook.weight[1].item() in latents.flatten().tolist()
    assert codebook.count.tolist() == [3.5, 1.0]  # with half of the mean count
    torch.testing.assert_close(codebook.total, codebook.weight * codebook.count[:, None])


@pytest.mark.parametrize(("decay", "restart"), [(1.0, 0.1), (-0.1, 0.1), (0.99, -0.1), (math.nan, 0.1)])
def test_ema_refuses(decay: float, restart: float) -> None:
    with pytest.raises(RegvqError, match="decay"):
        EMACodebook(decay=decay, restart=restart)


@pytest.mark.parametrize(
    ("tokens", "batches", "steps"),
    [
        (4 * 100, 0, 10),  # a code gets 20 tokens in 5 steps: 10 at least
        (100, 0, 20),
        (100 // 4, 0, 20),  # in 80: 20 at most
        (4 * 100, 1000, 50),  # a twentieth of the steps so far
        (4 * 100, 10_000, 100),  # what a decay of 0.99 spans
    ],
)
def test_a_short_memory_grows_with_the_training(tokens: int, batches: int, steps: int) -> None:
    codebook = _bound(EMACodebook(decay=0.99, memory=20.0, init="normal"), 100, 2)
    latents = torch.ones(tokens, 2)
    before = codebook.count.clone()
    codebook.restart = 0.0
    codebook.update(latents, torch.zeros(tokens, dtype=torch.int64), _all(latents), batches)
    assert codebook.count[0].item() == pytest.approx(before[0].item() * (1 - 1 / steps) + tokens / steps)
