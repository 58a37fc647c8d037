"""Gumbel-softmax: its KL, its noise and its temperature."""

import math

import pytest
import torch

from regvq.errors import RegvqError
from regvq.quantizers import CosineHead, GumbelQuantizer
from regvq.quantizers.functional import gumbel_noise
from regvq.schedules import Exponential


def _fixed_logits(quantizer: GumbelQuantizer, logits: list[float]) -> GumbelQuantizer:
    """Makes the head give the same ``logits`` everywhere."""
    with torch.no_grad():
        quantizer.head.linear.weight.zero_()
        quantizer.head.linear.bias.copy_(torch.tensor(logits))
    return quantizer


def test_kl_is_the_closed_form_against_the_uniform_distribution() -> None:
    probability = [0.5, 0.25, 0.125, 0.125]
    quantizer = _fixed_logits(GumbelQuantizer(4, 3, kl_weight=0.1), [math.log(p) for p in probability])
    output = quantizer(torch.randn(2, 3, 5))
    expected = math.log(4) - 1.75 * math.log(2)  # the entropy of that distribution is 1.75 bits
    assert output.stats["token_kl"].item() == pytest.approx(expected)
    assert output.losses["kl"].item() == pytest.approx(0.1 * expected)


def test_kl_is_zero_where_every_code_is_as_likely() -> None:
    output = _fixed_logits(GumbelQuantizer(8, 3), [2.5] * 8)(torch.randn(1, 3, 5))
    assert output.stats["token_kl"].item() == pytest.approx(0, abs=1e-6)


def test_training_draws_from_the_softmax_and_eval_takes_the_best() -> None:
    quantizer = _fixed_logits(GumbelQuantizer(2, 3), [math.log(0.7), math.log(0.3)])
    z = torch.randn(1, 3, 20_000)
    output = quantizer(z)
    assert output.codes.float().mean().item() == pytest.approx(0.3, abs=0.015)
    assert output.best_codes.max() == 0
    assert output.stochastic_mask is not None
    assert output.stochastic_mask.all()
    assert quantizer.eval()(z).codes.max() == 0


def test_the_gradient_is_that_of_the_soft_sample_at_this_steps_temperature() -> None:
    schedule = Exponential(1.0, 0.25, steps=2)  # 1, 1/2, 1/4
    quantizer = GumbelQuantizer(6, 3, temperature=schedule, kl_weight=0.0, head=CosineHead(5.0))
    upstream = torch.randn(1, 3, 8)
    for step, temperature in enumerate([1.0, 0.5, 0.25, 0.25]):
        z = torch.randn(1, 3, 8, requires_grad=True)
        torch.manual_seed(step)
        (gradient,) = torch.autograd.grad(quantizer(z).quantized, z, upstream)
        torch.manual_seed(step)
        torch.randint(2**62, ())  # the number of the pass
        rows = z[0].T
        logits = quantizer.logits(rows)
        noisy = logits + gumbel_noise(logits)
        soft = (noisy / temperature).softmax(1) @ quantizer.codebook.detach()
        (expected,) = torch.autograd.grad(soft.T[None], z, upstream)
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(RegvqError, match="temperature"):
        GumbelQuantizer(4, 3, temperature=temperature)
