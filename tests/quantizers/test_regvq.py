"""Reg-VQ: the mask, the perturbation, the prior term and its gradients, against plain references."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors import EmpiricalPrior, GaussianPrior, Prior, UniformPrior
from regvq.quantizers import (
    CosineHead,
    EuclideanHead,
    GradientCodebook,
    Head,
    IdentityStraightThrough,
    LinearHead,
    PriorBias,
    RegularizedVectorQuantizer,
    SoftmaxStraightThrough,
    StraightThrough,
)
from regvq.quantizers.functional import ReadableChoice, regularized_choice
from regvq.quantizers.tiles import GumbelNoise
from regvq.schedules import Cosine, Linear
from tests.support.devices import every_device

N, D, B, L = 12, 5, 3, 10


every_head = pytest.mark.parametrize(
    "head",
    [lambda: LinearHead(3.0), lambda: CosineHead(6.0), EuclideanHead],
    ids=["linear", "cosine", "Euclidean"],
)


def _plain(
    *,
    dim: int = D,
    head: Head | None = None,
    straight_through: StraightThrough | None = None,
    mask_ratio: float = 0.4,
    prior: Prior | None = None,
    prior_weight: float = 0.3,
    temperature: float = 0.7,
    sampling_temperature: float = 1.0,
) -> RegularizedVectorQuantizer:
    """The paper's posterior and a gradient codebook without a loss: only the parts under test are left."""
    return RegularizedVectorQuantizer(
        N,
        dim,
        mask_ratio=mask_ratio,
        prior=prior or GaussianPrior(),
        prior_bias=PriorBias(rate=0.0),
        prior_weight=prior_weight,
        temperature=temperature,
        head=head or LinearHead(3.0),
        codebook=GradientCodebook(loss_weight=0.0, init="normal"),
        sampling_temperature=sampling_temperature,
        posterior_momentum=0.0,
        straight_through=straight_through or SoftmaxStraightThrough(),
    ).train()


# The mask


@settings(max_examples=40, deadline=None)
@given(ratio=st.floats(0, 1), length=st.integers(1, 50))
def test_the_exact_share_of_every_sample_is_sampled(ratio: float, length: int) -> None:
    output = _plain(mask_ratio=ratio)(torch.randn(B, D, length))
    if ratio == 0:
        assert output.stochastic_mask is None
    else:
        assert output.stochastic_mask is not None
        assert output.stochastic_mask.sum(1).tolist() == [round(ratio * length)] * B


def test_each_sample_and_each_step_draws_its_own_mask() -> None:
    quantizer = _plain(mask_ratio=0.5)
    z = torch.randn(1, D, 64).expand(8, -1, -1)
    masks = torch.cat([quantizer(z).stochastic_mask for _ in range(2)])
    assert len({tuple(row) for row in masks.tolist()}) == 16


def test_off_the_mask_the_best_code_is_taken_and_the_perturbation_is_zero() -> None:
    quantizer = _plain(mask_ratio=0.5)
    output = quantizer(torch.randn(B, D, 100))
    mask, perturbation = output.stochastic_mask, output.perturbation
    assert torch.equal(output.codes[~mask], output.best_codes[~mask])
    assert (perturbation[~mask] == 0).all()
    assert (output.codes[mask] != output.best_codes[mask]).any()
    codebook = quantizer.codebook.detach()
    expected = (codebook[output.codes] - codebook[output.best_codes]).square().sum(-1)
    torch.testing.assert_close(perturbation, expected)
    assert (perturbation[mask & (output.codes != output.best_codes)] > 0).all()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_sampled_tokens_follow_the_softmax_of_the_logits(temperature: float) -> None:
    quantizer = _plain(mask_ratio=1.0, sampling_temperature=temperature)
    z = torch.randn(1, D, 1)
    output = quantizer(z.expand(1, D, 50_000))
    share = torch.bincount(output.codes.flatten(), minlength=N) / 50_000
    wanted = (quantizer.token_logits(z)[0, :, 0] / temperature).softmax(0)
    torch.testing.assert_close(share, wanted, atol=0.01, rtol=0)


def test_without_a_mask_nothing_is_sampled() -> None:
    output = _plain(mask_ratio=0.0)(torch.randn(B, D, L))
    assert output.perturbation is None
    assert torch.equal(output.codes, output.best_codes)


# The prior


def test_the_reported_kl_is_the_closed_form_of_the_tokens_shares() -> None:
    quantizer = _plain(prior_weight=0.25)
    output = quantizer(torch.randn(B, D, L))
    share = (torch.bincount(output.codes.flatten(), minlength=N) / (B * L)).double()
    prior = GaussianPrior().log_prob(N).double()
    used = share > 0
    expected = (share[used] * (share[used].log() - prior[used])).sum().item()
    assert output.stats["prior_kl"].item() == pytest.approx(expected, rel=1e-5)
    assert output.losses["prior"].item() == pytest.approx(0.25 * expected, rel=1e-5)


def test_the_kl_is_zero_where_the_tokens_are_the_prior() -> None:
    counts = [3, 1, 2, 2]
    prior = EmpiricalPrior(counts, smoothing=1e-9)
    quantizer = RegularizedVectorQuantizer(
        4, 4, mask_ratio=0.0, prior=prior, codebook=GradientCodebook(init="normal")
    )
    with torch.no_grad():
        quantizer.embeddings.weight.copy_(torch.eye(4))
    tokens = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
    output = quantizer(torch.eye(4)[tokens].T[None])
    assert output.stats["prior_kl"].item() == pytest.approx(0, abs=1e-6)


def test_the_floor_is_reported_where_tokens_are_fewer_than_codes() -> None:
    output = RegularizedVectorQuantizer(64, D)(torch.randn(2, D, 4))
    assert output.stats["prior_kl_floor"].item() == pytest.approx(math.log(64 / 8))
    assert output.stats["prior_kl"] >= output.stats["prior_kl_floor"] - 1e-6


def test_the_prior_can_be_taken_out() -> None:
    output = _plain(prior_weight=0.0)(torch.randn(B, D, L))
    assert "prior" not in output.losses
    assert output.stats["prior_kl"] > 0  # still reported


# The gradients


def _noise_of(quantizer: RegularizedVectorQuantizer) -> GumbelNoise | None:
    """What the next training pass draws from the present random state."""
    torch.randint(2**62, ())  # the number of the pass
    return quantizer._noise(torch.ones(B, L, dtype=torch.bool, device=quantizer.prior_log_prob.device), 1.0)


def _choice(quantizer: RegularizedVectorQuantizer, z: Tensor, noise: GumbelNoise | None) -> ReadableChoice:
    """What ``quantizer`` chooses for ``z`` [B, D, L], over the full matrix."""
    scores = quantizer.scores(z.transpose(1, 2).reshape(-1, z.shape[1]))
    logits, nowhere = scores.logits(), torch.zeros(len(scores), dtype=torch.bool, device=z.device)
    drawn = torch.zeros_like(logits) if noise is None else noise.matrix(scores)
    mask = nowhere if noise is None else noise.mask
    temperature = quantizer.temperature(0) * (1.0 if noise is None else noise.scale)
    return regularized_choice(logits, drawn, mask, temperature, quantizer.prior_log_prob)


def _weighted(rows: Tensor) -> Tensor:
    """A loss of ``quantized`` [M, D] whose gradient differs everywhere."""
    return (rows * torch.arange(rows.numel()).to(rows).view_as(rows).sin()).sum()


@every_device
@pytest.mark.parametrize("prior_weight", [0.0, 0.3])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("mask_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("dim", [D, 64])
@every_head
def test_softmax_gradients_equal_plain_autograd(
    head: Callable[[], Head],
    dim: int,
    mask_ratio: float,
    temperature: float,
    prior_weight: float,
    device: str,
) -> None:
    quantizer = _plain(
        dim=dim, head=head(), mask_ratio=mask_ratio, temperature=temperature, prior_weight=prior_weight
    ).to(device)
    z = torch.randn(B, dim, L, device=device, requires_grad=True)
    inputs = [z, *quantizer.parameters()]
    torch.manual_seed(5)
    choice = _choice(quantizer, z, _noise_of(quantizer))
    wanted = _weighted(choice.assignment @ quantizer.codebook) + prior_weight * choice.kl
    expected = torch.autograd.grad(wanted, inputs)
    torch.manual_seed(5)
    output = quantizer(z)
    assert torch.equal(output.codes.flatten(), choice.codes)
    assert torch.equal(output.best_codes.flatten(), choice.best_codes)
    torch.testing.assert_close(output.stats["prior_kl"], choice.kl.detach())
    loss = _weighted(output.quantized.transpose(1, 2).reshape(-1, dim)) + output.loss
    for gradient, reference in zip(torch.autograd.grad(loss, inputs), expected, strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-5)


@every_device
@pytest.mark.parametrize("mask_ratio", [0.0, 0.4, 1.0])
@every_head
def test_under_autocast_only_the_ends_are_rounded(
    head: Callable[[], Head], mask_ratio: float, device: str
) -> None:
    quantizer = _plain(head=head(), mask_ratio=mask_ratio).to(device)
    layer = torch.nn.Conv1d(D, D, 1).to(device)
    autocast = torch.autocast(device.partition(":")[0], torch.bfloat16)
    with autocast:
        z = layer(torch.randn(B, D, L, device=device))
    z.retain_grad()
    # Weights that bfloat16 can hold: what comes back from the decoder is not rounded either.
    upstream = torch.randn(B, D, L, device=device).bfloat16()

    full = z.detach().float().requires_grad_()  # the step moves the head's width: the reference comes first
    torch.manual_seed(5)
    choice = _choice(quantizer, full, _noise_of(quantizer))
    rows = choice.assignment @ quantizer.codebook
    loss = (rows * upstream.transpose(1, 2).reshape(-1, D)).sum() + 0.3 * choice.kl
    parameters = list(quantizer.parameters())
    wanted, *expected = torch.autograd.grad(loss, [full, *parameters])

    torch.manual_seed(5)
    with autocast:
        output = quantizer(z)
    ((output.quantized.float() * upstream).sum() + output.loss).backward()
    assert z.dtype == output.quantized.dtype == torch.bfloat16
    assert torch.equal(output.codes.flatten(), choice.codes)
    torch.testing.assert_close(output.losses["prior"], 0.3 * choice.kl)
    # Half of the last of bfloat16's eight bits.
    torch.testing.assert_close(z.grad.float(), wanted, rtol=2**-8, atol=1e-5)
    for parameter, reference in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, reference, rtol=1e-4, atol=1e-5)


def test_the_prior_gradient_is_that_of_the_kl_itself_where_every_code_is_used() -> None:
    quantizer = _plain(mask_ratio=0.0, prior_weight=1.0, temperature=1.0)
    z = torch.randn(B, D, 400, requires_grad=True)
    output = quantizer(z)
    assert output.codes.unique().numel() == N
    (gradient,) = torch.autograd.grad(output.losses["prior"], z)
    soft = quantizer.logits(z.transpose(1, 2).reshape(-1, D)).softmax(1)
    hard = F.one_hot(output.codes.flatten(), N)
    posterior = (hard - soft.detach() + soft).mean(0)
    kl = (posterior * (posterior.log() - GaussianPrior().log_prob(N))).sum()
    (expected,) = torch.autograd.grad(kl, z)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("form", [IdentityStraightThrough(0.0), SoftmaxStraightThrough()])
def test_the_prior_term_has_one_gradient_whatever_the_form_of_quantized(form: StraightThrough) -> None:
    torch.manual_seed(2)
    quantizer = _plain(straight_through=form, mask_ratio=0.0)
    torch.manual_seed(3)
    z = torch.randn(B, D, L, requires_grad=True)
    (gradient,) = torch.autograd.grad(quantizer(z).losses["prior"], z)
    (expected,) = torch.autograd.grad(0.3 * _choice(quantizer, z, None).kl, z)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_descending_the_prior_term_alone_evens_the_tokens_out() -> None:
    quantizer = _plain(mask_ratio=0.0, prior=UniformPrior(), prior_weight=1.0, temperature=1.0)
    z = torch.randn(B, D, 200)
    optimizer = torch.optim.Adam(quantizer.head.parameters(), lr=0.02)
    first = quantizer(z).stats["prior_kl"]
    for _ in range(150):
        optimizer.zero_grad()
        output = quantizer(z)
        output.losses["prior"].backward()
        optimizer.step()
    assert output.stats["prior_kl"] < 0.25 * first


def test_a_running_posterior_sets_the_slope_and_not_the_value() -> None:
    quantizer = RegularizedVectorQuantizer(
        N,
        D,
        mask_ratio=0.0,
        sampling_temperature=1.0,
        posterior_momentum=0.75,
        prior_weight=1.0,
        head=LinearHead(3.0),
    )
    z = torch.randn(B, D, L, requires_grad=True)
    output = quantizer(z)
    share = torch.bincount(output.codes.flatten(), minlength=N) / (B * L)
    expected = 0.75 / N + 0.25 * share  # it starts at the prior
    torch.testing.assert_close(quantizer.running_posterior, expected)
    assert output.losses["prior"].item() == pytest.approx(output.stats["prior_kl"].item())
    (gradient,) = torch.autograd.grad(output.losses["prior"], z)
    soft = quantizer.logits(z.transpose(1, 2).reshape(-1, D)).softmax(1)
    slope = expected.log() + math.log(N) + 1
    (reference,) = torch.autograd.grad((soft.mean(0) * slope).sum(), z)
    torch.testing.assert_close(gradient, reference, rtol=1e-4, atol=1e-7)


# Schedules, saving, bad values


def test_schedules_are_read_at_every_training_step_and_not_in_eval() -> None:
    quantizer = RegularizedVectorQuantizer(
        N, D, mask_ratio=Linear(0.0, 1.0, steps=4), temperature=Cosine(2.0, 0.5, steps=4)
    )
    z = torch.randn(1, D, 8)
    sampled = []
    for _ in range(6):
        mask = quantizer.train()(z).stochastic_mask
        sampled.append(0 if mask is None else int(mask.sum()))
        quantizer.eval()(z)
    assert sampled == [0, 2, 4, 6, 8, 8]
    assert quantizer.temperature(quantizer.steps.value) == pytest.approx(0.5)


def test_the_step_counter_travels_in_the_state_dict() -> None:
    quantizer = RegularizedVectorQuantizer(N, D)
    for _ in range(3):
        quantizer(torch.randn(1, D, 8))
    state = quantizer.state_dict()
    assert state["steps._extra_state"].tolist() == [3, 3]
    twin = RegularizedVectorQuantizer(N, D)
    twin.load_state_dict(state)
    assert twin.steps.value == 3
    before = twin.codebook.clone()
    twin(torch.randn(1, D, 8))
    kept = (twin.codebook - before).norm() / before.norm()
    assert kept < 1.0  # a resumed codebook goes on; it is not started from the batch anew
    assert twin.steps.value == 4


def test_the_papers_form() -> None:
    quantizer = RegularizedVectorQuantizer.paper(N, D)
    assert isinstance(quantizer.head, LinearHead)
    assert isinstance(quantizer.straight_through, SoftmaxStraightThrough)
    assert isinstance(quantizer.embeddings, GradientCodebook)
    assert isinstance(quantizer.prior, UniformPrior)
    assert quantizer.mask_ratio(0) == 0.4
    assert quantizer.sampling_temperature(0) == 1
    assert quantizer.posterior_momentum == 0
    output = quantizer(torch.randn(B, D, L))
    assert output.losses.keys() == {"prior"}


def test_a_head_that_nothing_would_teach_is_refused() -> None:
    with pytest.raises(RegvqError, match="a LinearHead learns through the prior or a softmax"):
        RegularizedVectorQuantizer(N, D, head=LinearHead(), prior_weight=0)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan, Linear(0.4, 1.5, steps=10), Linear(-1, 0, steps=1)])
def test_a_mask_ratio_outside_the_unit_interval_is_refused(ratio: float) -> None:
    with pytest.raises(RegvqError, match=r"mask_ratio must be in \[0, 1\]"):
        RegularizedVectorQuantizer(N, D, mask_ratio=ratio)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prior_weight", -0.1),
        ("prior_weight", math.inf),
        ("temperature", 0.0),
        ("temperature", Linear(1.0, 0.0, steps=5)),
        ("sampling_temperature", 0.0),
        ("sampling_temperature", -1.0),
        ("posterior_momentum", 1.0),
        ("posterior_momentum", -0.5),
    ],
)
def test_other_values_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(RegvqError, match=name):
        RegularizedVectorQuantizer(N, D, **{name: value})


def test_a_prior_of_another_size_is_refused() -> None:
    with pytest.raises(RegvqError, match="3 counts"):
        RegularizedVectorQuantizer(N, D, prior=EmpiricalPrior([1, 2, 3]))


def test_the_prior_as_a_loss_is_warned_of_once() -> None:
    from regvq.quantizers import regvq

    regvq._warn_of_prior_loss.cache_clear()
    with pytest.warns(UserWarning, match="prior_weight"):
        RegularizedVectorQuantizer(N, D, prior_weight=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RegularizedVectorQuantizer.paper(N, D)
        RegularizedVectorQuantizer(N, D)


def test_the_statistics_say_over_how_many_batches_the_shares_are_measured() -> None:
    quantizer = RegularizedVectorQuantizer(100, D, prior_bias=PriorBias(memory=20.0))
    assert quantizer(torch.randn(2, D, 5)).stats["prior_batches"] == 200  # 20 * 100 codes / 10 tokens
    assert quantizer(torch.randn(50, D, 100)).stats["prior_batches"] == 1


def test_the_step_is_the_training_s_once_it_says_so() -> None:
    quantizer = RegularizedVectorQuantizer(N, D, mask_ratio=Linear(0.0, 1.0, steps=4))
    z, sampled = torch.randn(1, D, 8), []
    for step in (0, 1, 2):
        quantizer.set_step(step)
        for _ in range(3):  # accumulated batches, or two grids with one quantizer
            mask = quantizer(z).stochastic_mask
            sampled.append(0 if mask is None else int(mask.sum()))
    assert sampled == [0, 0, 0, 2, 2, 2, 4, 4, 4]
    assert quantizer.steps.value == 2
    assert quantizer.steps.batches == 9  # the codebook started once
