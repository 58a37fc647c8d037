"""Learning-rate factors by hand."""

import math

import pytest

from regvq.errors import RegvqError
from regvq.training import ConstantRate, CosineRate


def test_warm_up_is_linear_and_never_zero() -> None:
    rate = ConstantRate(warmup=4)
    assert [rate(step, math.inf) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_cosine_runs_from_one_to_the_end_value() -> None:
    rate = CosineRate(end=0.2)
    assert rate(0, 100) == 1
    assert rate(50, 100) == pytest.approx(0.6)
    assert rate(100, 100) == pytest.approx(0.2)
    assert rate(150, 100) == pytest.approx(0.2)


def test_cosine_needs_an_end() -> None:
    with pytest.raises(RegvqError, match="max_steps"):
        CosineRate()(0, math.inf)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(RegvqError, match="warmup"):
        ConstantRate(warmup=-1)
    with pytest.raises(RegvqError, match="end"):
        CosineRate(end=1.5)
