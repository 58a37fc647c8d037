"""The pure maths against numbers computed by hand and against dense references."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regvq.quantizers import functional


def test_euclidean_logits_are_scaled_squared_distances() -> None:
    latents = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    codes = torch.tensor([[0.0, 1.0], [3.0, 0.0]])
    # squared distances 1, 9 and 18, 16; variance 2: divided by -4
    expected = torch.tensor([[-0.25, -2.25], [-4.5, -4.0]])
    torch.testing.assert_close(functional.euclidean_scores(latents, codes, 2.0).logits(), expected)


def test_euclidean_logits_find_the_nearest_code_far_from_the_origin() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = 100 + 0.01 * torch.randn(64, 8, generator=generator)
    latents = 100 + 0.01 * torch.randn(256, 8, generator=generator)
    nearest = torch.cdist(latents.double(), codes.double()).argmin(1)
    found = functional.euclidean_scores(latents, codes, 1.0).logits().argmax(1)
    # What float32 keeps of 100 +- 0.01 is 4e-6 coarse: two codes may be equally near to that.
    assert (found == nearest).float().mean() > 0.99


def test_cosine_logits() -> None:
    latents = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    codes = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(
        functional.cosine_scores(latents, codes, 10.0).logits(), torch.tensor([[0.0, 10.0], [8.0, 6.0]])
    )


def test_gumbel_noise_has_the_gumbel_moments() -> None:
    noise = functional.gumbel_noise(torch.empty(200_000))
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)  # Euler's constant
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)


def test_the_gumbel_argmax_draws_from_the_softmax() -> None:
    probability = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = probability.log().expand(100_000, 4)
    drawn = (logits + functional.gumbel_noise(logits)).argmax(1)
    share = functional.token_counts(drawn, 4) / len(drawn)
    torch.testing.assert_close(share, probability, atol=0.006, rtol=0)


@given(
    batch=st.integers(1, 5),
    length=st.integers(1, 300),
    ratio=st.floats(0, 1),
)
def test_the_mask_holds_the_exact_share_of_every_sample(batch: int, length: int, ratio: float) -> None:
    mask = functional.stochastic_mask(batch, length, ratio, torch.device("cpu"))
    assert mask.shape == (batch, length)
    assert mask.sum(1).tolist() == [round(ratio * length)] * batch


def test_the_mask_is_drawn_anew_for_every_sample_and_falls_everywhere_alike() -> None:
    mask = functional.stochastic_mask(4000, 10, 0.4, torch.device("cpu"))
    assert len({tuple(row) for row in mask.tolist()}) == math.comb(10, 4)
    torch.testing.assert_close(mask.float().mean(0), torch.full((10,), 0.4), atol=0.03, rtol=0)


def test_counts_usage_and_perplexity_of_a_known_stream() -> None:
    counts = functional.token_counts(torch.tensor([[0, 0], [2, 2], [0, 5]]), 8)
    assert counts.tolist() == [3, 0, 2, 0, 0, 1, 0, 0]
    assert functional.usage(counts).item() == pytest.approx(3 / 8)
    entropy = -(0.5 * math.log(1 / 2) + 1 / 3 * math.log(1 / 3) + 1 / 6 * math.log(1 / 6))
    assert functional.perplexity(counts).item() == pytest.approx(math.exp(entropy))


def test_perplexity_reaches_both_ends() -> None:
    assert functional.perplexity(torch.full((7,), 3.0)).item() == pytest.approx(7, rel=1e-6)
    assert functional.perplexity(torch.tensor([0.0, 9.0, 0.0])).item() == 1
    assert functional.perplexity(torch.zeros(3)).item() == 1  # nothing counted: no NaN


@given(st.lists(st.integers(0, 50), min_size=2, max_size=20).filter(any))
def test_kl_is_the_closed_form(counts: list[int]) -> None:
    size = len(counts)
    share = [count / sum(counts) for count in counts]
    prior = [(index + 1) / (size * (size + 1) / 2) for index in range(size)]
    expected = sum(p * math.log(p / q) for p, q in zip(share, prior, strict=True) if p > 0)
    value = functional.kl_divergence(torch.tensor(share), torch.tensor(prior).log()).item()
    assert value == pytest.approx(expected, abs=2e-6)


def test_kl_is_zero_at_the_prior() -> None:
    prior = torch.tensor([0.5, 0.25, 0.25])
    assert functional.kl_divergence(prior, prior.log()).item() == pytest.approx(0, abs=1e-7)


def test_kl_floor_is_what_distinct_tokens_reach() -> None:
    # 4 tokens on 16 codes at best take 4 codes: each 1/4 against 1/16
    assert functional.kl_floor(16, 4) == pytest.approx(math.log(4))
    reached = functional.kl_divergence(
        torch.tensor([0.25] * 4 + [0.0] * 12), torch.full((16,), -math.log(16))
    )
    assert reached.item() == pytest.approx(functional.kl_floor(16, 4))
    assert functional.kl_floor(16, 16) == functional.kl_floor(16, 1000) == 0


def test_kl_slope_is_the_derivative_and_finite_where_a_code_is_unused() -> None:
    share = torch.tensor([0.6, 0.4, 0.0], dtype=torch.float64, requires_grad=True)
    log_prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    (exact,) = torch.autograd.grad((share[:2] * (share[:2].log() - log_prior[:2])).sum(), share)
    slope = functional.kl_slope(share.detach(), log_prior, tokens=5)
    torch.testing.assert_close(slope[:2], exact[:2])
    assert slope[2].item() == pytest.approx(math.log(1 / 10) - math.log(0.5) + 1)  # half a token of 5


def test_the_prior_has_no_value_and_the_slope_as_gradient() -> None:
    logits = torch.randn(6, 4, requires_grad=True)
    slope = torch.tensor([1.0, -2.0, 0.5, 3.0])
    term = functional.prior_gradient(logits.softmax(1), slope)
    assert term.item() == 0
    (gradient,) = torch.autograd.grad(term, logits)
    p = logits.detach().softmax(1)
    expected = p * (slope - p @ slope[:, None])  # the softmax's Jacobian, written out
    torch.testing.assert_close(gradient, expected)


def test_the_readable_choice_has_the_gradients_of_the_formula() -> None:
    tokens, size, dim, temperature, weight = 40, 7, 3, 0.7, 0.3
    latents = torch.randn(tokens, dim, dtype=torch.float64, requires_grad=True)
    codes = torch.randn(size, dim, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(tokens, dim, dtype=torch.float64)
    log_prior = torch.randn(size, dtype=torch.float64).log_softmax(0)
    logits = latents @ codes.T
    logits.retain_grad()
    noise, mask = 3 * torch.randn(tokens, size, dtype=torch.float64), torch.arange(tokens) % 5 < 2
    choice = functional.regularized_choice(logits, noise, mask, temperature, log_prior)

    noisy = logits.detach() + noise * mask[:, None]
    assert torch.equal(choice.best_codes, logits.argmax(1))
    assert torch.equal(choice.codes, noisy.argmax(1))
    assert (choice.codes != choice.best_codes)[mask].any()
    assert torch.equal(choice.assignment.argmax(1), choice.codes)
    counts = torch.bincount(choice.codes, minlength=size)
    torch.testing.assert_close(choice.posterior, counts.double() / tokens)
    used = counts > 0
    share = choice.posterior[used]
    torch.testing.assert_close(choice.kl, (share * (share.log() - log_prior[used])).sum())

    quantized = choice.assignment @ codes.detach()
    torch.testing.assert_close(quantized, codes[choice.codes].detach())
    ((quantized * upstream).sum() + weight * choice.kl).backward()
    # p * (G - sum of p G) / temperature with G = dq E^T + weight v / tokens
    p = (noisy / temperature).softmax(1)
    slope = (counts.clamp_min(0.5).double() / tokens).log() - log_prior + 1
    pull = upstream @ codes.detach().T + weight * slope / tokens
    torch.testing.assert_close(logits.grad, p * (pull - (p * pull).sum(1, keepdim=True)) / temperature)


def test_squared_distance() -> None:
    a, b = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[4.0, 6.0], [0.0, 0.0]])
    assert functional.squared_distance(a, b).tolist() == [25, 0]
