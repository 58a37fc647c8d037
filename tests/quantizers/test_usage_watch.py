"""A drop-in user is told, once, that the codebook collapses."""

import warnings

import pytest
import torch

from regvq.errors import RegvqError
from regvq.quantizers import EMAVectorQuantizer, UsageWatch, VectorQuantizer


def _run(quantizer: torch.nn.Module, steps: int, spread: float) -> list[warnings.WarningMessage]:
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(steps):
            quantizer(spread * torch.randn(4, 8, 64) + 1)
    return caught


def test_a_collapsing_codebook_is_told_once() -> None:
    quantizer = VectorQuantizer(256, 8, init="uniform")  # nothing moves its codes here
    quantizer.usage_watch = UsageWatch(share=0.5, window=5, patience=2)
    told = _run(quantizer, 40, spread=1e-6)
    assert len(told) == 1
    assert "of 256 codes" in str(told[0].message)


def test_the_last_step_of_patience_tells() -> None:
    quantizer = VectorQuantizer(256, 8, init="uniform")
    quantizer.usage_watch = UsageWatch(share=0.5, window=5, patience=2)
    assert not _run(quantizer, 9, spread=1e-6)
    assert len(_run(quantizer, 1, spread=1e-6)) == 1


def test_a_healthy_codebook_and_few_tokens_are_not_told() -> None:
    assert not _run(EMAVectorQuantizer(64, 8), 250, spread=1.0)
    many = EMAVectorQuantizer(4096, 8)  # 256 tokens a step cannot use them all
    many.usage_watch = UsageWatch(window=1, patience=2)
    assert not _run(many, 20, spread=1.0)


def test_it_can_be_turned_off() -> None:
    quantizer = VectorQuantizer(256, 8, init="uniform")
    quantizer.usage_watch = None
    assert not _run(quantizer, 250, spread=1e-6)


def test_eval_and_frozen_passes_are_not_watched() -> None:
    quantizer = VectorQuantizer(256, 8, init="uniform")
    quantizer.usage_watch = UsageWatch(share=0.5, window=2, patience=1)
    assert not _run(quantizer.eval(), 10, spread=1e-6)
    assert not _run(quantizer.train().requires_grad_(False), 10, spread=1e-6)


@pytest.mark.parametrize("arguments", [{"share": 0.0}, {"share": 1.5}, {"window": 0}, {"patience": 0}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(RegvqError, match="share"):
        UsageWatch(**arguments)
