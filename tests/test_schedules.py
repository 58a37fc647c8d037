"""Schedules against values computed by hand."""

import math

import pytest

from regvq.configurable import build, describe
from regvq.errors import RegvqError
from regvq.schedules import Constant, Cosine, Exponential, Linear, Schedule, as_schedule, bounded_schedule


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(0.3), {0: 0.3, 5: 0.3, 10**9: 0.3}),
        (Linear(1.0, 0.0, steps=4), {0: 1.0, 1: 0.75, 2: 0.5, 4: 0.0, 100: 0.0}),
        (Linear(0.0, 2.0, steps=2, delay=3), {0: 0.0, 3: 0.0, 4: 1.0, 5: 2.0, 6: 2.0}),
        (Cosine(1.0, 0.0, steps=4), {0: 1.0, 1: (2 + math.sqrt(2)) / 4, 2: 0.5, 4: 0.0, 9: 0.0}),
        (Cosine(0.0, 1.0, steps=2, delay=1), {0: 0.0, 1: 0.0, 2: 0.5, 3: 1.0}),
        (Exponential(1.0, 0.01, steps=2), {0: 1.0, 1: 0.1, 2: 0.01, 3: 0.01}),
        (Exponential(1.0, 16.0, steps=4, delay=2), {2: 1.0, 3: 2.0, 4: 4.0, 6: 16.0}),
    ],
)
def test_values(schedule: Schedule, values: dict[int, float]) -> None:
    for step, value in values.items():
        assert schedule(step) == pytest.approx(value, abs=1e-12)


def test_a_number_is_a_constant() -> None:
    assert as_schedule(0.4)(7) == 0.4
    ramp = Linear(0.0, 1.0, 10)
    assert as_schedule(ramp) is ramp


@pytest.mark.parametrize(("steps", "delay"), [(0, 0), (-1, 0), (5, -1)])
@pytest.mark.parametrize("ramp", [Linear, Cosine, Exponential])
def test_refuses_a_ramp_of_no_length(ramp: type[Linear], steps: int, delay: int) -> None:
    with pytest.raises(RegvqError, match="steps >= 1 and delay >= 0"):
        ramp(1.0, 0.5, steps, delay)


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_an_exponential_ramp_needs_positive_ends(start: float, end: float) -> None:
    with pytest.raises(RegvqError, match="positive ends"):
        Exponential(start, end, 5)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, Linear(0.5, 1.5, 10), Linear(-1, 0, 10)])
def test_bounds_hold_at_both_ends(value: float | Schedule) -> None:
    with pytest.raises(RegvqError, match=r"share must be in \[0, 1\]"):
        bounded_schedule("share", value, 0.0, 1.0)


def test_bounds_let_the_rest_through() -> None:
    assert bounded_schedule("weight", 0.0, 0.0)(3) == 0.0
    assert bounded_schedule("weight", Cosine(1.0, 0.5, 3), 0.5, 1.0)(3) == pytest.approx(0.5)


def test_described_and_built_again() -> None:
    again = build(describe(Exponential(1.0, 16.0, steps=4, delay=2)))
    assert isinstance(again, Exponential)
    assert again(4) == pytest.approx(4.0)
