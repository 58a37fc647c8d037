"""The tiled path against the readable one that builds the token-by-code matrix."""

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from regvq.quantizers import CosineHead, EuclideanHead, Head, LinearHead, tiles
from regvq.quantizers.functional import kl_slope, regularized_choice, stochastic_mask
from regvq.quantizers.scores import Scores
from regvq.quantizers.tiles import GumbelNoise, best_codes, choose, soft_gradients
from tests.support.devices import every_device

B, L, N, D = 3, 70, 40, 6
M = B * L
HEADS: dict[str, Callable[[], Head]] = {
    "linear": lambda: LinearHead(3.0),
    "cosine": lambda: CosineHead(6.0),
    "Euclidean": EuclideanHead,
}
RATIOS, TEMPERATURES = (0.0, 0.4, 1.0), (1.0, 0.7)
every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
# What either path may be wrong by: some roundings of a sum over all codes.
TOLERANCE = {torch.float32: {"rtol": 2e-4, "atol": 2e-5}, torch.float64: {"rtol": 1e-10, "atol": 1e-12}}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are several, the last of each kind not full."""
    monkeypatch.setattr(tiles, "_ENTRIES", {"cpu": 16 * N, "cuda": 16 * N})
    monkeypatch.setattr(tiles, "_FEWEST_ROWS", 16)
    monkeypatch.setattr(tiles, "_BLOCK", 8)


def case(
    head: Callable[[], Head], dtype: torch.dtype, device: str = "cpu", kept: torch.dtype | None = None
) -> tuple[list[Tensor], Scores]:
    """Latents, codes and the head's own parameters as leaves, and the scores of them."""
    torch.manual_seed(0)
    built = head()
    built.bind(N, D)
    built.to(device, dtype)
    latents = torch.randn(M, D, dtype=dtype).to(kept or dtype).to(device, dtype).requires_grad_()
    codes = torch.randn(N, D, dtype=dtype).to(device).requires_grad_()
    if isinstance(built, EuclideanHead):
        built.observe(
            latents.detach(), torch.zeros_like(latents), torch.ones(M, dtype=torch.bool, device=device)
        )
    return [latents, codes, *built.parameters()], _scores(built, latents, codes)


def _scores(head: Head, latents: Tensor, codes: Tensor) -> Scores:
    if isinstance(head, LinearHead):  # in its own precision, which the head would leave
        return Scores(latents, head.linear.weight, head.linear.bias)
    return head(head.project(latents), head.project(codes))


def noise_for(ratio: float, scale: float, device: str = "cpu") -> GumbelNoise | None:
    if ratio == 0:
        return None
    mask = stochastic_mask(B, L, ratio, torch.device(device))
    return GumbelNoise(mask.flatten(), B * round(ratio * L), seed=7, scale=scale)


@every_device
@pytest.mark.parametrize(
    ("dtype", "kept"), [(torch.float32, None), (torch.float32, torch.bfloat16), (torch.float64, None)]
)
@pytest.mark.parametrize(("ratio", "temperature"), list(itertools.product(RATIOS, TEMPERATURES)))
@pytest.mark.parametrize("parts", ["expected", "prior", "both"])
@every_head
def test_values_and_gradients_are_those_of_the_matrix(
    head: Callable[[], Head],
    parts: str,
    ratio: float,
    temperature: float,
    dtype: torch.dtype,
    kept: torch.dtype | None,
    device: str,
) -> None:
    leaves, scores = case(head, dtype, device, kept)
    noise = noise_for(ratio, 2.5, device)
    logits = scores.logits()
    drawn = torch.zeros_like(logits) if noise is None else noise.matrix(scores)
    mask = torch.zeros(M, dtype=torch.bool, device=device) if noise is None else noise.mask
    log_prior = torch.linspace(0, 1, N, dtype=dtype, device=device).log_softmax(0)
    wanted = regularized_choice(logits, drawn, mask, temperature, log_prior)
    found = choose(scores, noise)
    best, chosen = found.best, found.codes
    assert torch.equal(best, wanted.best_codes)
    assert torch.equal(chosen, wanted.codes)
    slope = kl_slope(wanted.posterior, log_prior, M)
    values, upstream = (torch.randn(count, D, dtype=dtype, device=device) for count in (N, M))

    def loss(quantized: Tensor, prior: Tensor) -> Tensor:
        return (parts != "prior") * (quantized * upstream).sum() + (parts != "expected") * prior / 3

    used = [leaf for leaf in leaves if leaf is not leaves[1] or not isinstance(head(), LinearHead)]
    wanted_loss = loss(wanted.assignment @ values, M * wanted.kl)
    gradients = torch.autograd.grad(wanted_loss, used, retain_graph=True)
    expected, prior = soft_gradients(scores, values, slope, noise, temperature)
    assert not expected.any()
    assert not prior.any()
    if parts == "both":
        found = torch.autograd.grad(loss(expected, prior), used)
    else:  # the other one is not reached from the loss at all
        found = torch.autograd.grad((expected * upstream).sum() if parts == "expected" else prior / 3, used)
    for one, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE[dtype])


def test_the_noise_does_not_depend_on_what_was_drawn_before() -> None:
    _, scores = case(LinearHead, torch.float32)
    noise = noise_for(0.4, 1.0)
    torch.manual_seed(1)
    first = noise.matrix(scores)
    torch.manual_seed(2)
    assert torch.equal(noise.matrix(scores), first)
    assert (first != 0).any(1).equal(noise.mask)
    state = torch.get_rng_state()
    choose(scores, noise)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_noise_is_gumbel_s_and_no_two_entries_share_it() -> None:
    tokens, codes = 500, 400
    scores = Scores(torch.zeros(tokens, 1), torch.zeros(codes, 1))
    noise = GumbelNoise(torch.ones(tokens, dtype=torch.bool), tokens, seed=3).matrix(scores)
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)  # Euler's constant
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)
    assert noise.isfinite().all()
    # float32 has 2^24 values of u: a few pairs of 200,000 meet by chance, whole tiles would by mistake.
    assert noise.unique().numel() > 0.98 * noise.numel()


def test_the_sampled_share_is_the_softmax() -> None:
    probability = torch.tensor([0.5, 0.3, 0.15, 0.05])
    tokens = 20_000
    scores = Scores(torch.ones(tokens, 1), probability.log()[:, None])
    noise = GumbelNoise(torch.ones(tokens, dtype=torch.bool), tokens, seed=5)
    found = choose(scores, noise)
    best, chosen = found.best, found.codes
    assert not best.any()
    share = torch.bincount(chosen, minlength=4) / tokens
    torch.testing.assert_close(share, probability, atol=0.012, rtol=0)


@pytest.mark.parametrize("tokens", [0, 1, 16, 17])
def test_any_number_of_tokens(tokens: int) -> None:
    scores = Scores(torch.randn(tokens, D), torch.randn(N, D))
    assert torch.equal(best_codes(scores), scores.logits().argmax(1))


@pytest.mark.parametrize("codes", [N, N + 1])  # in whole blocks, and not
def test_of_equal_logits_the_first_is_taken(codes: int) -> None:
    assert not best_codes(Scores(torch.randn(20, D), torch.ones(codes, D))).any()
    torch.manual_seed(0)
    few_values = Scores(torch.randint(3, (200, 2)).float(), torch.randint(3, (codes, 2)).float())
    assert best_codes(few_values).tolist() == few_values.logits().numpy().argmax(1).tolist()


@pytest.mark.parametrize("word", [0, 2**31 - 1, 2**31, 2**32 - 1])
def test_all_noise_is_finite(word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the generator gives, u stays between 0 and 1, and -log(-log(u)) within -2.8 and 16."""
    drawn = np.full(4, word | word << 32, dtype=np.uint64)
    monkeypatch.setattr(
        np.random, "SFC64", lambda seed: SimpleNamespace(random_raw=lambda count: drawn[:count])
    )
    noise = GumbelNoise(torch.ones(1, dtype=torch.bool), 1, seed=0)
    made = noise.add_to(torch.zeros(1, 7), slice(0, 1), torch.empty(1, 7))
    assert made.isfinite().all()
    assert -2.8 < made.min() <= made.max() < 16
