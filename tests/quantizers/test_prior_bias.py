"""The prior as a bias of choices: hand-computed steps, what it reaches, and what knows nothing of it."""

import math

import pytest
import torch
from torch import Tensor

from regvq.errors import RegvqError
from regvq.priors import EmpiricalPrior, UniformPrior, ZipfPrior
from regvq.quantizers import (
    CosineHead,
    EMACodebook,
    EuclideanHead,
    GradientCodebook,
    Head,
    IdentityStraightThrough,
    LinearHead,
    PriorBias,
    RegularizedVectorQuantizer,
)
from tests.support.ranks import run_on_ranks


def _bias(**arguments: float) -> PriorBias:
    bias = PriorBias(**arguments)
    bias.build(torch.full((4,), 0.25))
    return bias


LOG_UNIFORM = torch.full((4,), -math.log(4))


def test_a_step_is_along_the_log_of_wanted_over_found() -> None:
    bias = _bias(rate=0.5, decay=0.9, memory=1.0)  # a batch of 4 tokens or more is all that is remembered
    bias.update(LOG_UNIFORM, torch.tensor([4.0, 2.0, 1.0, 1.0]), tokens=8)
    # log(1/4) - log(share) for shares 1/2, 1/4, 1/8, 1/8, without their mean of (-1 + 0 + 1 + 1) / 4 log 2;
    # the first step is a tenth of the rate.
    expected = 0.05 * math.log(2) * (torch.tensor([-1.0, 0.0, 1.0, 1.0]) - 0.25)
    torch.testing.assert_close(bias.bias, expected)
    bias.update(LOG_UNIFORM, torch.full((4,), 2.0), tokens=8)  # even: nothing is added
    torch.testing.assert_close(bias.bias, 0.9 * expected)


def test_a_step_grows_while_its_sign_stays_and_is_halved_when_it_turns() -> None:
    bias = _bias(rate=0.5, decay=0.0, memory=1.0)
    few, many = torch.tensor([1.0, 3.0, 2.0, 2.0]), torch.tensor([3.0, 1.0, 2.0, 2.0])
    steps = []
    for counts in (few, few, few, many, few):
        bias.update(LOG_UNIFORM, counts, tokens=8)
        steps.append(bias.step[0].item())
    assert steps == pytest.approx([0.05, 0.06, 0.072, 0.036, 0.018])
    for _ in range(50):
        bias.update(LOG_UNIFORM, few, tokens=8)
    assert bias.step[0].item() == pytest.approx(0.5)  # no larger than the rate


def test_a_code_that_is_put_elsewhere_starts_anew() -> None:
    bias = _bias(rate=0.5, memory=1.0)
    for _ in range(3):
        bias.update(LOG_UNIFORM, torch.tensor([4.0, 2.0, 1.0, 1.0]), tokens=8)
    before = bias.bias.clone()
    bias.forget(LOG_UNIFORM, torch.tensor([True, False, False, False]))
    assert bias.bias[0] == bias.sign[0] == 0
    assert bias.share[0] == 0.25
    assert bias.step[0].item() == pytest.approx(0.05)
    assert torch.equal(bias.bias[1:], before[1:])


def test_the_share_remembers_so_many_tokens_a_code() -> None:
    bias = _bias(memory=20.0)
    bias.update(LOG_UNIFORM, torch.tensor([8.0, 0.0, 0.0, 0.0]), tokens=8)
    # 8 of 20 * 4 tokens: a tenth
    torch.testing.assert_close(bias.share, 0.9 * torch.full((4,), 0.25) + torch.tensor([0.1, 0, 0, 0]))


def test_a_code_without_tokens_stays_finite() -> None:
    bias = _bias(rate=1.0, decay=0.0, memory=1.0)
    bias.update(LOG_UNIFORM, torch.tensor([8.0, 0.0, 0.0, 0.0]), tokens=8)
    # No error is larger than 1, and the first step is a tenth of the rate.
    torch.testing.assert_close(bias.bias, torch.tensor([-0.1, 0.1, 0.1, 0.1]) - 0.05)


def test_a_batch_without_tokens_moves_nothing_but_the_leak() -> None:
    bias = _bias(rate=0.5, decay=0.9, memory=1.0)
    bias.update(LOG_UNIFORM, torch.tensor([4.0, 2.0, 1.0, 1.0]), tokens=8)
    share = bias.share.clone()
    bias.update(LOG_UNIFORM, torch.zeros(4), tokens=8)  # none of them was finite
    assert torch.equal(bias.share, share)
    assert bias.bias.isfinite().all()
    before = bias.bias.clone()
    bias.update(LOG_UNIFORM, torch.zeros(4), tokens=0)
    assert torch.equal(bias.bias, before)


def test_a_bias_stays_bounded_where_the_prior_is_out_of_reach() -> None:
    bias = _bias(rate=0.5, decay=0.95, memory=1.0)
    for _ in range(1000):
        bias.update(LOG_UNIFORM, torch.tensor([8.0, 0.0, 0.0, 0.0]), tokens=8)
    # rate / (1 - decay), below and above their mean
    spread = (bias.bias[1] - bias.bias[0]).item()
    assert spread == pytest.approx(2 * 0.5 / 0.05, rel=1e-3)


@pytest.mark.parametrize("rate", [-0.1, math.inf, math.nan])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(RegvqError, match="rate"):
        PriorBias(rate=rate)


@pytest.mark.parametrize(("name", "value"), [("decay", 1.0), ("decay", -0.1), ("memory", 0.5)])
def test_other_arguments_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(RegvqError, match=name):
        PriorBias(**{name: value})


def _crowd(tokens: int = 4096) -> Tensor:
    """Latents ``[8, 4, tokens / 8]`` of which nine tenths lie in one dense place."""
    dense = 0.1 * torch.randn(tokens * 9 // 10, 4)
    wide = torch.randn(tokens - len(dense), 4)
    rows = torch.cat([dense, wide])[torch.randperm(tokens)]
    return rows.view(8, -1, 4).transpose(1, 2)


def _trained(rate: float, prior: object = None, **arguments: object) -> RegularizedVectorQuantizer:
    torch.manual_seed(0)
    quantizer = RegularizedVectorQuantizer(
        32, 4, mask_ratio=0.0, prior=prior or UniformPrior(), prior_bias=PriorBias(rate=rate), **arguments
    )
    for _ in range(200):
        quantizer(_crowd())
    return quantizer


@pytest.mark.parametrize("head", [EuclideanHead, CosineHead])
def test_tokens_come_closer_to_the_prior(head: type[Head]) -> None:
    codebook = {"codebook": EMACodebook(restart=0.0)}
    plain = _trained(0.0, head=head(), **codebook)
    even = _trained(0.05, head=head(), codebook=EMACodebook(restart=0.0))
    torch.manual_seed(1)
    z = _crowd()
    with torch.no_grad():
        found = [float(net.eval()(z).stats["prior_kl"]) for net in (plain, even)]
    assert found[1] < 0.8 * found[0]


def test_another_prior_is_a_target_as_well() -> None:
    towards, uniform = _trained(0.05, ZipfPrior()), _trained(0.05)
    z, target = _crowd(), ZipfPrior().log_prob(32)

    def distance(net: RegularizedVectorQuantizer) -> float:
        share = torch.bincount(net.eval().encode(z).flatten(), minlength=32) / z[:, 0].numel()
        return float((torch.xlogy(share, share) - share * target).sum())

    assert distance(towards) < distance(uniform)


def test_latents_get_no_gradient_of_it() -> None:
    quantizer = _trained(0.05, straight_through=IdentityStraightThrough(commitment=0.0))
    assert quantizer.prior_bias.bias.abs().max() > 0
    z = _crowd().requires_grad_()
    output = quantizer(z)
    assert output.losses == {}
    (gradient,) = torch.autograd.grad(output.quantized.sum(), z)
    assert torch.equal(gradient, torch.ones_like(z))


def test_a_bias_lives_in_training_alone() -> None:
    torch.manual_seed(0)
    quantizer = RegularizedVectorQuantizer(32, 4, mask_ratio=0.0, codebook=GradientCodebook(init="normal"))
    z = _crowd()
    codes, logits = quantizer.encode(z), quantizer.token_logits(z)
    quantizer.prior_bias.bias[7] = 1e6
    assert torch.equal(quantizer.encode(z), codes)
    assert torch.equal(quantizer.token_logits(z), logits)
    assert torch.equal(quantizer.eval()(z).codes, codes)
    output = quantizer.train()(z)
    assert (output.codes == 7).all()
    assert torch.equal(output.best_codes, codes)


def test_the_perturbation_leaves_the_bias_s_own_displacement_out() -> None:
    quantizer = RegularizedVectorQuantizer(
        8, 4, mask_ratio=0.5, codebook=GradientCodebook(init="normal"), sampling_temperature=1.0
    )
    quantizer.prior_bias.bias[3] = 1e6
    z = torch.randn(2, 4, 10)
    output = quantizer(z)
    # The bias outweighs the noise: everything is code 3, sampled or not, and nothing was perturbed.
    assert (output.codes == 3).all()
    assert (output.best_codes != 3).any()
    assert (output.perturbation == 0).all()


def test_the_saved_state_of_before_is_read() -> None:
    quantizer = _trained(0.05)
    state = quantizer.state_dict()
    old = {
        name: value for name, value in state.items() if not name.startswith(("prior_bias", "changed_share"))
    }
    old["steps._extra_state"] = torch.tensor(200)
    twin = RegularizedVectorQuantizer(32, 4)
    twin.load_state_dict(old)
    assert twin.steps.value == twin.steps.batches == 200
    z = _crowd()
    assert torch.equal(twin.eval().encode(z), quantizer.eval().encode(z))


def test_a_prior_over_another_number_of_codes_is_refused() -> None:
    with pytest.raises(RegvqError, match="3 counts"):
        RegularizedVectorQuantizer(4, 2, prior=EmpiricalPrior([1, 2, 3]))


def test_it_works_with_a_linear_head() -> None:
    quantizer = RegularizedVectorQuantizer(
        16, 4, head=LinearHead(), prior_weight=0.1, codebook=GradientCodebook(init="normal")
    )
    quantizer.prior_bias.bias[5] = 1e6
    assert (quantizer(torch.randn(2, 4, 10)).codes == 5).all()


def test_constant_latents_stay_finite() -> None:
    torch.manual_seed(0)
    quantizer = RegularizedVectorQuantizer(16, 4)
    for _ in range(60):
        output = quantizer(torch.ones(2, 4, 10))
    assert output.quantized.isfinite().all()
    for name, value in quantizer.state_dict().items():
        assert value.isfinite().all(), name


def _on_a_rank(rank: int, ranks: int) -> dict[str, Tensor]:
    torch.manual_seed(3)
    quantizer = RegularizedVectorQuantizer(
        16,
        4,
        mask_ratio=0.0,
        codebook=GradientCodebook(init="normal"),
        straight_through=IdentityStraightThrough(),
    )
    data = torch.randn(5, 8, 4, 10, generator=torch.Generator().manual_seed(4))
    half = slice(rank * 8 // ranks, (rank + 1) * 8 // ranks)
    for batch in data:
        quantizer(batch[half])
    return {name: value.clone() for name, value in quantizer.named_buffers()}


def test_two_ranks_bias_as_the_joined_batch_does(tmp_path: object) -> None:
    joined = _on_a_rank(0, 1)
    assert joined["prior_bias.bias"].abs().max() > 0
    for found in run_on_ranks(_on_a_rank, tmp_path, 2):
        for name in ("prior_bias.bias", "prior_bias.share"):
            torch.testing.assert_close(found[name], joined[name])
